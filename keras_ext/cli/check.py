"""`keras-ext check`: finds problems of a model, its data and its training."""

import argparse
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.cli import arrays
from keras_ext.cli.imports import custom_objects
from keras_ext.cli.start import quiet_stderr, start_keras
from keras_ext.cli.usage import UsageError, integer, note
from keras_ext.doctor import SEVERITIES, Finding, report
from keras_ext.doctor.report.wording import clean, summary

# The probe training has enough steps to show how the loss begins to move.
MOST_STEPS, MOST_EPOCHS, BATCH_SIZE, SEED = 300, 20, 32, 0


def add(commands: Any) -> None:
    """Add the command to what `add_subparsers` returned."""
    parser = commands.add_parser(
        "check",
        help="find what is wrong with a model, its data and its training",
        description="Look at a model and its data, train a copy of the model "
        "for a few hundred steps, and report what is wrong. The model's file "
        "does not change. Exit status: 1 if there is an error, 0 if there is "
        "none, 2 if the check cannot run.",
    )
    parser.set_defaults(run=_check)
    argument = parser.add_argument
    argument("model", metavar="MODEL.keras", help="a saved Keras model")
    argument(
        "--data",
        required=True,
        metavar="DATA.npz",
        help="arrays x and y, and optionally x_val and y_val; several inputs "
        "or outputs are x_0, x_1, ... and x_0_val, ...",
    )
    argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file or a module that defines your own classes and functions "
        "of the model; you can give it several times",
    )
    argument("--html", metavar="FILE", help="also write the report as a page")
    argument(
        "--epochs",
        type=integer(1),
        help=f"epochs of the probe training; default: as many as {MOST_STEPS} "
        f"steps allow, at most {MOST_EPOCHS}",
    )
    argument(
        "--batch-size",
        type=integer(1),
        default=BATCH_SIZE,
        help=f"batch size of the probe training; default: {BATCH_SIZE}",
    )


def _check(args: argparse.Namespace) -> int:
    page = args.html and _writable(Path(args.html))
    data = arrays.load(Path(args.data))
    path = Path(args.model)
    arrays.check_is_file(path)
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UsageError(f"{str(path)!r} is not a model in Keras's format")
    start_keras()
    import keras

    with keras.saving.custom_object_scope(custom_objects(args.imports)):
        findings, history, what = _findings(args, data)
    if page:
        title = f"Training report: {path.name}"
        page.write_text(report.html(findings, history, title), "utf-8")
    print(
        f"{clean(path.name)}, checked {what}, on {keras.config.backend()}: "
        f"{summary(findings)}"
    )
    if findings:
        print()
        report.write(findings, sys.stdout)
    return int(_has_error(findings))


def _findings(
    args: argparse.Namespace, data: Mapping[str, Any]
) -> tuple[list[Finding], Any, str]:
    """Return the findings, the training's history, and what was checked."""
    from keras_ext.doctor import check

    model = _model(Path(args.model))
    arrays.check_inputs(model, data["x"])
    with arrays.usage_errors("the data do not fit the model"):
        findings = check(model, data["x"], data.get("y"))
    if not model.compiled:
        note("the model is not compiled: it is checked without a training")
        return findings, None, "before training"
    doctor, steps, failure = _probe(args, data)
    findings = _merged(findings, doctor.findings)
    if failure is None:
        what = f"before training and in {steps} steps of it"
        return findings, doctor.history, what
    reason = arrays.one_line(failure)
    if not _has_error(findings):
        raise UsageError(f"the data do not fit the model: {reason}")
    note(f"the probe training failed: {reason}")
    return findings, doctor.history, "before training"


def _probe(
    args: argparse.Namespace, data: Mapping[str, Any]
) -> tuple[Any, int, Exception | None]:
    """Train a copy of the model.

    Returns:
        The doctor that watched, the number of steps, and the exception that
        ended the training, if one did.
    """
    import keras

    from keras_ext.callbacks import TrainingDoctor

    model = _model(Path(args.model))
    with quiet_stderr():
        # Keras imports TensorFlow to set its seed, on any backend.
        keras.utils.set_random_seed(SEED)
    x, y, size = data["x"], data.get("y"), args.batch_size
    count = arrays.count(x)
    if count > MOST_STEPS * size:
        chosen = np.random.default_rng(SEED).permutation(count)
        chosen = np.sort(chosen[: MOST_STEPS * size])
        x, y = arrays.select(x, chosen), arrays.select(y, chosen)
        count = len(chosen)
    per_epoch = -(-count // size)
    epochs = args.epochs or min(max(1, MOST_STEPS // per_epoch), MOST_EPOCHS)
    validation = None
    if "x_val" in data:
        validation = (data["x_val"], data.get("y_val"))
    # The report prints all findings, so the doctor itself prints none.
    doctor = TrainingDoctor(on_finding=lambda finding: None)
    failure = None
    try:
        model.fit(
            x,
            y,
            batch_size=size,
            epochs=epochs,
            validation_data=validation,
            callbacks=[doctor],
            verbose=0,
        )
    except Exception as error:
        failure = error
    return doctor, epochs * per_epoch, failure


def _merged(
    before: Sequence[Finding], after: Sequence[Finding]
) -> list[Finding]:
    """Return each problem once; a finding from training comes first."""
    known = {problem for finding in after for problem in finding.chain}
    found = [f for f in before if f.problem not in known] + list(after)
    return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))


def _has_error(findings: Sequence[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _model(path: Path) -> Any:
    import keras

    load = keras.saving.load_model
    try:
        with warnings.catch_warnings():
            # An optimizer that never made a step has no state to load.
            warnings.filterwarnings("ignore", "(?s).*variable.*optimizer")
            return load(path, safe_mode=True)
    except Exception as error:
        failure = error
    reason = arrays.one_line(failure)
    # Perhaps only a loss or an optimizer of the user's own is missing.
    try:
        model = load(path, compile=False, safe_mode=True)
    except Exception:
        raise UsageError(
            f"{str(path)!r} cannot be loaded: {reason}"
        ) from failure
    note(f"the model is loaded without what it was compiled with: {reason}")
    return model


def _writable(path: Path) -> Path:
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{str(path)!r} cannot be written")
    return path
