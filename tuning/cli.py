"""The command line: `python -m tuning digits`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tuning import data, folders, interrupts
from tuning.settings import DATASETS, Settings, UsageError

# Keras, MLflow and keras-tuner take seconds to import. What is wrong with the
# arguments is said before that, and before anything is made on disk.

TRIALS, EPOCHS, SEED = 20, 20, 1


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Raise, so that all errors leave by the same door."""
        raise UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a search.

    Args:
        argv: Arguments, without the program's name.

    Returns:
        The exit status: 0, 2 after a usage error, 130 after Ctrl-C.
    """
    try:
        return _run(_parser().parse_args(argv))
    except UsageError as error:
        print(f"python -m tuning: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    directory = Path(args.directory)
    resumed = None
    if args.resume:
        resumed = folders.newest_unfinished(directory, args.experiment)
        settings = _resumed_settings(args, resumed)
    else:
        settings = _new_settings(args)
    folders.check_writable(directory)
    with interrupts.kept_until_the_end():
        images = data.load(settings.data_file, settings.seed)
        try:
            from tuning import search
        except ImportError as error:
            raise UsageError(str(error)) from error
        store = search.reachable_store(args.tracking_uri, settings)
    if resumed is None:
        return search.run_new(settings, images, store, directory)
    return search.run(settings, images, store, resumed)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tuning",
        description="Search hyperparameters and record each trial in MLflow.",
        epilog="Ctrl-C ends a search cleanly; --resume goes on with it.",
    )
    add = parser.add_argument
    add("dataset", choices=DATASETS, help="what to learn")
    add("--trials", type=_integer(1), help=f"default: {TRIALS}")
    add("--epochs", type=_integer(1), help=f"per trial; default: {EPOCHS}")
    add("--seed", type=_integer(0, 400_000), help=f"default: {SEED}")
    add(
        "--tracking-uri",
        type=_text,
        help="MLflow store; default: $MLFLOW_TRACKING_URI, "
        "else sqlite:///mlflow.db",
    )
    add(
        "--experiment",
        type=_text,
        default="digits",
        help="MLflow experiment; default: digits",
    )
    add(
        "--data-file",
        type=_text,
        metavar="NPZ",
        help="images in the format of Keras's mnist.npz, in place of "
        "scikit-learn's digits",
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
    return parser


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


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _new_settings(args: argparse.Namespace) -> Settings:
    file = args.data_file and Path(args.data_file).absolute()
    if file:
        data.check_is_file(file)
    return Settings(
        dataset=args.dataset,
        trials=_or(args.trials, TRIALS),
        epochs=_or(args.epochs, EPOCHS),
        seed=_or(args.seed, SEED),
        experiment=args.experiment,
        data_file=str(file) if file else None,
        data_digest=data.digest(file) if file else None,
    )


def _resumed_settings(args: argparse.Namespace, folder: Path) -> Settings:
    settings = Settings.load(folder)
    file = args.data_file and str(Path(args.data_file).absolute())
    given = {"epochs": args.epochs, "seed": args.seed, "data_file": file}
    for name, value in given.items():
        began_with = getattr(settings, name)
        if value is not None and value != began_with:
            option = name.replace("_", "-")
            raise UsageError(
                f"the search in {str(folder)!r} began with --{option} "
                f"{began_with}; it cannot be resumed with {value}"
            )
    if args.trials is not None:
        if args.trials < settings.trials:
            raise UsageError(
                f"the search in {str(folder)!r} began with --trials "
                f"{settings.trials}; the number can only be raised, not "
                f"lowered to {args.trials}"
            )
        settings.trials = args.trials
    if settings.data_file is not None:
        path = Path(settings.data_file)
        data.check_is_file(path)
        if data.digest(path) != settings.data_digest:
            raise UsageError(
                f"{settings.data_file!r} has changed since the search in "
                f"{str(folder)!r} began"
            )
    return settings
