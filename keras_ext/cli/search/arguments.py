"""The arguments of `keras-ext search`."""

import argparse
import importlib.util
import re
from collections.abc import Mapping

from keras_ext.cli.search.definition import Definition
from keras_ext.cli.search.settings import Settings
from keras_ext.cli.start import start_keras
from keras_ext.cli.usage import integer

TUNERS = ("random", "grid", "bayesian", "hyperband", "optuna")
EPILOG = "Ctrl-C ends a search cleanly; --resume continues it."


def definitions() -> Mapping[str, Definition]:
    """Return the ready searches by name."""
    start_keras()
    in_wheel = importlib.util.find_spec("keras_ext.tuning")
    package = "keras_ext.tuning" if in_wheel else "tuning"
    return importlib.import_module(f"{package}.searches").SEARCHES


def add(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each search."""
    searches = parser.add_subparsers(
        title="searches", dest="dataset", metavar="dataset", required=True
    )
    for name, definition in definitions().items():
        search = searches.add_parser(
            name,
            help=definition.help,
            description=f"{definition.help.capitalize()}.",
            epilog=EPILOG,
        )
        search.set_defaults(data_file=None)
        definition.add_arguments(search)
        _add_options(search, name)


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument_group("the search").add_argument
    add(
        "--tuner",
        choices=TUNERS,
        help="how to choose hyperparameters; default: random",
    )
    add(
        "--trials",
        type=integer(1),
        metavar="N",
        help=f"number of trials; default: {Settings.trials}",
    )
    add(
        "--epochs",
        type=integer(1),
        metavar="N",
        help=f"most epochs of a trial; default: {Settings.epochs}",
    )
    add(
        "--time-budget",
        type=seconds,
        metavar="TIME",
        help="begin no trial after this time, such as 90s, 10m or 1h30m",
    )
    add(
        "--objective",
        type=_text,
        metavar="METRIC",
        help="the metric that ranks the trials: val_accuracy (default), "
        "val_balanced_accuracy or val_crossentropy; for a regression val_mae "
        "(default) or val_rmse",
    )
    add(
        "--stop-unhealthy",
        action="store_true",
        default=None,
        help="stop a trial as soon as the doctor is certain that it cannot "
        "learn",
    )
    add(
        "--pruner",
        choices=("median", "asha"),
        help="stop trials that fall behind the others; default: none",
    )
    add(
        "--cross-validation",
        type=integer(2),
        metavar="FOLDS",
        help="score each trial on this number of folds of the training and "
        "validation rows",
    )
    add(
        "--seed",
        type=integer(0, 400_000),
        metavar="N",
        help="seed of the split, the hyperparameters and the training; "
        f"default: {Settings.seed}",
    )
    add = parser.add_argument_group("where the results go").add_argument
    add(
        "--tracking-uri",
        type=_text,
        metavar="URI",
        help="MLflow store; default: $MLFLOW_TRACKING_URI, "
        "else sqlite:///mlflow.db",
    )
    add(
        "--experiment",
        type=_text,
        metavar="NAME",
        default=name,
        help=f"MLflow experiment; default: {name}",
    )
    add(
        "--directory",
        type=_text,
        metavar="DIR",
        default="searches",
        help="the folder for the folders of all searches; default: searches",
    )
    add = parser.add_argument_group(
        "long and interrupted searches"
    ).add_argument
    add(
        "--resume",
        action="store_true",
        help="continue the newest unfinished search of the experiment, with "
        "its settings; --trials may raise the number of trials",
    )
    add(
        "--resume-trials",
        action="store_true",
        default=None,
        help="save each epoch, so that --resume continues an interrupted "
        "trial after its last complete epoch",
    )
    add(
        "--trials-per-process",
        type=integer(1),
        metavar="N",
        help="start a new process after N trials, to free the memory that "
        "backends keep; default: one process",
    )
    # For the process that continues a search after --trials-per-process.
    add("--in-folder", help=argparse.SUPPRESS)
    add("--began", type=float, help=argparse.SUPPRESS)


def seconds(text: str) -> float:
    """Parse a time such as `90s`, `10m`, `1h30m` or `90`, in seconds."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    numbers = [int(n or 0) for n in parts.groups()] if parts else [0]
    if not any(numbers):
        raise argparse.ArgumentTypeError(
            f"must be a time such as 90s, 10m or 1h30m, not {text!r}"
        )
    hours, minutes, rest = numbers
    return 3600.0 * hours + 60.0 * minutes + rest


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text
