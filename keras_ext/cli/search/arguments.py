"""The arguments of `keras-ext search`."""

import argparse
import importlib
import re
from collections.abc import Callable, Mapping

from keras_ext.cli.search.definition import Definition

TRIALS, EPOCHS, SEED = 20, 20, 1
TUNERS = ("random", "grid", "bayesian", "hyperband", "optuna")

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def definitions() -> Mapping[str, Definition]:
    """Return the ready searches by name."""
    try:
        module = importlib.import_module("keras_ext.tuning.searches")
    except ModuleNotFoundError as error:
        if error.name != "keras_ext.tuning":
            raise
        # Not a wheel but a checkout.
        module = importlib.import_module("tuning.searches")
    return module.SEARCHES


def add(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each search.

    Args:
        parser: The command's parser.
    """
    parser.set_defaults(program="keras-ext search")
    searches = parser.add_subparsers(
        title="what to learn", dest="dataset", metavar="dataset", required=True
    )
    for name, definition in definitions().items():
        search = searches.add_parser(
            name,
            help=definition.help,
            description=definition.help,
            epilog="Ctrl-C ends a search cleanly; --resume goes on with it.",
        )
        search.set_defaults(data_file=None, target=None, task=None)
        definition.add_arguments(search)
        _add_options(search, name)


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument
    add("--tuner", choices=TUNERS, help="default: random")
    add("--trials", type=_integer(1), help=f"default: {TRIALS}")
    add(
        "--epochs",
        type=_integer(1),
        help=f"of a trial, at the most; default: {EPOCHS}",
    )
    add(
        "--time-budget",
        type=seconds,
        metavar="TIME",
        help="such as 90s, 10m or 1h30m: no trial begins after it",
    )
    add(
        "--objective",
        type=_text,
        help="what trials are compared by: val_accuracy (default) or "
        "val_crossentropy; for numbers val_mae (default) or val_rmse",
    )
    add(
        "--stop-unhealthy",
        action="store_true",
        default=None,
        help="end a trial as soon as the doctor is sure that it is hopeless",
    )
    add(
        "--pruner",
        choices=("median", "asha"),
        help="end trials that fall behind the others; default: none",
    )
    add(
        "--cross-validation",
        type=_integer(2),
        metavar="FOLDS",
        help="score each trial by so many folds of the training and "
        "validation rows",
    )
    add(
        "--resume-trials",
        action="store_true",
        default=None,
        help="save each epoch, so that a trial that is torn off goes on after "
        "its last whole epoch when the search is resumed",
    )
    add(
        "--trials-per-process",
        type=_integer(1),
        metavar="N",
        help="go on in a new process after N trials, which gives back the "
        "memory that backends keep; default: one process",
    )
    add("--seed", type=_integer(0, 400_000), help=f"default: {SEED}")
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
        default=name,
        help=f"MLflow experiment; default: {name}",
    )
    add(
        "--directory",
        type=_text,
        default="searches",
        help="where each search gets a folder of its own; default: searches",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the newest unfinished search of the experiment, with "
        "its settings; --trials may raise the number of trials",
    )
    # Of a process that goes on in the place of another one.
    add("--in-folder", help=argparse.SUPPRESS)
    add("--began", type=float, help=argparse.SUPPRESS)


def seconds(text: str) -> float:
    """Return a time such as `90s`, `10m` or `1h30m` in seconds.

    Args:
        text: Whole numbers with their units, the larger one first; a number
            alone is in seconds.

    Raises:
        argparse.ArgumentTypeError: It says something else.
    """
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    total = 0.0
    if parts:
        for number, unit in zip(parts.groups(), _SECONDS, strict=True):
            total += int(number or 0) * _SECONDS[unit]
    if not total:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 90s, 10m or 1h30m, not {text!r}"
        )
    return total


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    bounds = f"from {least} on" if most is None else f"in [{least}, {most}]"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"must be an integer {bounds}, not {text!r}"
            )
        return value

    return parse


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text
