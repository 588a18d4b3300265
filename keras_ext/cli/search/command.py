"""From the arguments to a search, a new one or one that goes on.

What is wrong with the arguments or the data is said before anything is made
on disk.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from keras_ext._interrupts import InterruptGuard
from keras_ext.cli.search import folders, processes
from keras_ext.cli.search.arguments import EPOCHS, SEED, TRIALS, definitions
from keras_ext.cli.search.definition import Data
from keras_ext.cli.search.settings import OBJECTIVES, Settings
from keras_ext.cli.usage import UsageError

_DEFAULTS = {
    "trials": TRIALS,
    "epochs": EPOCHS,
    "seed": SEED,
    "tuner": "random",
    "stop_unhealthy": False,
    "resume_trials": False,
}
# What a search that goes on may not be given anew; `--trials` may be raised,
# and `--resume-trials` added.
_KEPT = (
    "epochs",
    "seed",
    "data_file",
    "tuner",
    "objective",
    "stop_unhealthy",
    "pruner",
    "cross_validation",
    "target",
    "task",
)


def run(args: argparse.Namespace) -> int:
    """Run the search that the arguments ask for.

    Args:
        args: What the parser of `arguments` returned.

    Returns:
        The exit status.

    Raises:
        UsageError: It cannot be run.
    """
    directory = Path(args.directory)
    if args.data_file:
        args.data_file = str(Path(args.data_file).absolute())
    resumed = None
    if args.trials_per_process:
        processes.check_possible()
    if args.resume or args.in_folder:
        resumed = Path(args.in_folder or "")
        if not args.in_folder:
            resumed = folders.newest_unfinished(
                directory, args.dataset, args.experiment
            )
        settings = _resumed_settings(args, resumed)
    else:
        settings = _new_settings(args)
    folders.check_writable(directory)
    with InterruptGuard():
        definition = definitions()[settings.dataset]
        data = definition.load(settings)
        settings.objective = _objective(settings.objective, data)
        try:
            from keras_ext.cli.search.running import Search
        except ImportError as error:
            raise UsageError(str(error)) from error
        search = Search(
            definition,
            data,
            settings,
            args.program,
            args.time_budget,
            args.trials_per_process,
            args.began,
        )
        store = search.reachable_store(args.tracking_uri)
    if resumed is None:
        status = search.run_new(store, directory)
    else:
        status = search.run(store, resumed)
    if search.paused_in is not None:
        processes.go_on(args, search.paused_in, search.began)
    return status


def digest(path: str) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: The file.
    """
    if not Path(path).is_file():
        raise UsageError(f"there is no data file {path!r}")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error}") from error


def _new_settings(args: argparse.Namespace) -> Settings:
    if args.dataset == "csv" and not (args.data_file and args.target):
        missing = "--target" if args.data_file else "file"
        raise UsageError(f"the following arguments are required: {missing}")
    names = ("trials", "resume_trials", *_KEPT)
    given = {name: getattr(args, name) for name in names}
    chosen: dict[str, Any] = {
        k: _DEFAULTS.get(k) if v is None else v for k, v in given.items()
    }
    return Settings(
        dataset=args.dataset,
        experiment=args.experiment,
        data_digest=digest(args.data_file) if args.data_file else None,
        **chosen,
    )


def _resumed_settings(args: argparse.Namespace, folder: Path) -> Settings:
    settings = Settings.load(folder)
    for name in _KEPT:
        value, began_with = getattr(args, name), getattr(settings, name)
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
    if args.resume_trials:
        settings.resume_trials = True
    file = settings.data_file
    if file is not None and digest(file) != settings.data_digest:
        raise UsageError(
            f"{file!r} has changed since the search in {str(folder)!r} began"
        )
    return settings


def _objective(given: str | None, data: Data) -> str:
    """Return the name of a metric that all trials report alike.

    The loss is none: it is a hyperparameter.
    """
    names = list(OBJECTIVES)
    known = names[2:] if data.kind == "regression" else names[:2]
    if given is None:
        return known[0]
    if given not in known:
        raise UsageError(
            f"argument --objective: must be {' or '.join(known)}, not {given!r}"
            + "; trials differ in their losses" * (given == "val_loss")
        )
    return given
