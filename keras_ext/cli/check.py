"""`keras-ext check`: what is wrong with a model, its data, its training."""

import argparse
import contextlib
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ext.cli.imports import custom_objects
from keras_ext.cli.usage import UsageError, note, positive
from keras_ext.doctor import SEVERITIES, Finding, report
from keras_ext.doctor.report.wording import clean, summary

# Of the probe training: enough to see how the loss begins to move.
MOST_STEPS, MOST_EPOCHS, BATCH_SIZE, SEED = 300, 20, 32, 0

_PATTERN = re.compile(r"([xy])(?:_(\d+))?(_val)?")


def add(commands: Any) -> None:
    """Add the command.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "check",
        help="say what is wrong with a model, its data and its training",
        description="Look at a model and its data, train a copy of it for a "
        "few hundred steps, and say what is wrong. The file is not changed. "
        "Exit status: 1 if an error was found, 0 if not, 2 if there was "
        "nothing to check.",
    )
    parser.set_defaults(run=_check)
    argument = parser.add_argument
    argument("model", metavar="MODEL.keras", help="a saved Keras model")
    argument(
        "--data",
        required=True,
        metavar="DATA.npz",
        help="arrays x and y, and, if you like, x_val and y_val; those of "
        "several inputs or outputs are x_0, x_1, ... and x_0_val, ...",
    )
    argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file or a module with classes and functions of your own that "
        "the model is made of; may be given several times",
    )
    argument("--html", metavar="FILE", help="write the report as a page, too")
    argument(
        "--epochs",
        type=positive,
        help=f"of the probe training; default: as many as {MOST_STEPS} steps "
        f"allow, at most {MOST_EPOCHS}",
    )
    argument(
        "--batch-size",
        type=positive,
        default=BATCH_SIZE,
        help=f"default: {BATCH_SIZE}",
    )


def _check(args: argparse.Namespace) -> int:
    with keras.saving.custom_object_scope(custom_objects(args.imports)):
        return _checked(args)


def _checked(args: argparse.Namespace) -> int:
    page = args.html and _writable(Path(args.html))
    data = _data(Path(args.data))
    model = _model(Path(args.model))
    _check_inputs(model, data["x"])
    # Not earlier: it is not needed to say what is wrong with the arguments.
    from keras_ext.doctor import check

    with _usage("the data do not fit the model"):
        findings = check(model, data["x"], data.get("y"))
    records, what = None, "before training"
    if model.compiled:
        doctor, steps, failure = _probe(args, data)
        findings = _merged(findings, doctor.findings)
        records = doctor.history
        if failure is None:
            what += f" and in {steps} steps of it"
        elif not any(f.severity == "error" for f in findings):
            raise UsageError(
                f"the data do not fit the model: {_one_line(failure)}"
            )
        else:
            note(f"the probe training failed: {_one_line(failure)}")
    else:
        note(
            "the model is not compiled, so there is no probe training; the "
            "check before training follows"
        )
    name = Path(args.model).name
    if page:
        title = f"Training report: {name}"
        page.write_text(report.html(findings, records, title), "utf-8")
    backend = keras.config.backend()
    print(f"{clean(name)}, checked {what}, on {backend}: {summary(findings)}")
    if findings:
        print()
        report.write(findings, sys.stdout)
    return int(any(f.severity == "error" for f in findings))


def _probe(
    args: argparse.Namespace, data: Mapping[str, Any]
) -> tuple[Any, int, Exception | None]:
    """Train a copy of the model.

    Returns:
        The doctor who watched, the number of steps, and what the training
        died of, if it did.
    """
    from keras_ext.callbacks.training_doctor import TrainingDoctor

    model = _model(Path(args.model))
    keras.utils.set_random_seed(SEED)
    x, y, size = data["x"], data.get("y"), args.batch_size
    count = len(_first(x))
    if count > MOST_STEPS * size:
        chosen = np.random.default_rng(SEED).permutation(count)
        chosen = np.sort(chosen[: MOST_STEPS * size])
        x, y = _at(x, chosen), _at(y, chosen)
        count = len(chosen)
    per_epoch = -(-count // size)
    epochs = args.epochs or min(max(1, MOST_STEPS // per_epoch), MOST_EPOCHS)
    held_out = None
    if "x_val" in data:
        held_out = (data["x_val"], data.get("y_val"))
    # Nothing is printed while it trains: the report says it all.
    doctor = TrainingDoctor(on_finding=lambda finding: None)
    failure = None
    try:
        model.fit(
            x,
            y,
            batch_size=size,
            epochs=epochs,
            validation_data=held_out,
            callbacks=[doctor],
            verbose=0,
        )
    except Exception as error:
        failure = error
    return doctor, epochs * per_epoch, failure


def _merged(
    before: Sequence[Finding], after: Sequence[Finding]
) -> list[Finding]:
    """Return each problem once, as the training showed it if it did."""
    known = {problem for finding in after for problem in finding.chain}
    found = [f for f in before if f.problem not in known] + list(after)
    return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))


def _model(path: Path) -> Any:
    _check_is_file(path)
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UsageError(f"{str(path)!r} is not a model in Keras's format")
    try:
        with warnings.catch_warnings():
            # The state of an optimizer that never made a step is missing.
            warnings.filterwarnings("ignore", "(?s).*variable.*optimizer")
            return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        failure = error
    # A loss or an optimizer of its own may be all that is missing.
    what = f"{str(path)!r} cannot be loaded"
    if "Could not locate" in str(failure):
        what += " (--import names the file of a class or function of your own)"
    with _usage(what, failure):
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    note(f"what the model was compiled with is lost: {_one_line(failure)}")
    return model


def _data(path: Path) -> dict[str, Any]:
    """Return inputs and targets by name; several of them as a tuple."""
    _check_is_file(path)
    found: dict[str, dict[int | None, np.ndarray]] = {}
    with _usage(f"{str(path)!r} cannot be read"):
        file = np.load(path, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise UsageError(f"{str(path)!r} is not an npz file")
    with file, _usage(f"{str(path)!r} cannot be read"):
        for name in file.files:
            match = _PATTERN.fullmatch(name)
            if match:
                kind, index, held_out = match.groups()
                place = None if index is None else int(index)
                found.setdefault(kind + (held_out or ""), {})[place] = file[
                    name
                ]
    if "x" not in found:
        raise UsageError(
            f"{str(path)!r} has no array x; it has "
            f"{', '.join(file.files) or 'none'}"
        )
    if "y" in found and "x_val" in found and "y_val" not in found:
        raise UsageError(f"{str(path)!r} has x_val, but no y_val")
    if "y_val" in found and "x_val" not in found:
        raise UsageError(f"{str(path)!r} has y_val, but no x_val")
    data = {kind: _together(kind, arrays) for kind, arrays in found.items()}
    for held_out in ("", "_val"):
        _check_lengths(data, f"x{held_out}", f"y{held_out}")
    return data


def _together(kind: str, arrays: Mapping[int | None, np.ndarray]) -> Any:
    for array in arrays.values():
        if array.dtype.kind not in "biuf" or array.ndim == 0:
            raise UsageError(
                f"{kind} must be an array of numbers, not one of "
                f"{array.dtype} and shape {array.shape}"
            )
        if len(array) == 0:
            raise UsageError(f"{kind} is empty: its shape is {array.shape}")
    if set(arrays) == {None}:
        return arrays[None]
    if set(arrays) != set(range(len(arrays))):
        raise UsageError(
            f"there must be either {kind} or {kind[0]}_0, {kind[0]}_1, ..."
        )
    return tuple(arrays[i] for i in range(len(arrays)))


def _check_lengths(data: Mapping[str, Any], *kinds: str) -> None:
    lengths = {
        kind: sorted({len(array) for array in _arrays(data[kind])})
        for kind in kinds
        if kind in data
    }
    if len({n for several in lengths.values() for n in several}) > 1:
        what = ", ".join(
            f"{kind} {'/'.join(map(str, n))}" for kind, n in lengths.items()
        )
        raise UsageError(f"the numbers of samples differ: {what}")


def _check_inputs(model: Any, x: Any) -> None:
    arrays = _arrays(x)
    inputs = getattr(model, "inputs", None)
    if not inputs:
        with _usage("x does not fit the model"):
            model(_at(x, slice(2)), training=False)
        return
    if len(inputs) != len(arrays):
        raise UsageError(
            f"the model takes {len(inputs)} inputs, and the data have "
            f"{len(arrays)}"
        )
    for i, (tensor, array) in enumerate(zip(inputs, arrays, strict=True)):
        name = "x" if len(arrays) == 1 else f"x_{i}"
        wanted, given = tuple(tensor.shape)[1:], array.shape[1:]
        # Keras gives a last axis to inputs that have none.
        fits = len(wanted) == len(given) and all(
            w in (None, g) for w, g in zip(wanted, given, strict=True)
        )
        if not (fits or (given == () and wanted == (1,))):
            raise UsageError(
                f"{name} does not fit the model: it takes samples of shape "
                f"{wanted}, and those of {name} are of shape {given}"
            )


def _arrays(several: Any) -> tuple[np.ndarray, ...]:
    return several if isinstance(several, tuple) else (several,)


def _first(several: Any) -> np.ndarray:
    return _arrays(several)[0]


def _at(several: Any, chosen: Any) -> Any:
    if isinstance(several, tuple):
        return tuple(array[chosen] for array in several)
    return None if several is None else several[chosen]


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        problem = "is no file" if path.exists() else "does not exist"
        raise UsageError(f"{str(path)!r} {problem}")


def _writable(path: Path) -> Path:
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{str(path)!r} cannot be written")
    return path


@contextlib.contextmanager
def _usage(what: str, cause: Exception | None = None) -> Iterator[None]:
    """Say of an exception what it means to the person."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        reason = _one_line(error if cause is None else cause)
        raise UsageError(f"{what}: {reason}") from error


def _one_line(error: Exception) -> str:
    """Return the line of Keras's long messages that says something."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [x for x in lines if not x.startswith("Exception encountered")]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= 300 else f"{line[:299]}…"
