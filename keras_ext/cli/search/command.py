"""Turns the arguments into a search, new or resumed.

Errors in the arguments or the data end the command before it writes a file.
"""

import argparse
import hashlib
import os
from pathlib import Path

from keras_ext._interrupts import InterruptGuard
from keras_ext.cli.search import folders, processes
from keras_ext.cli.search.arguments import definitions
from keras_ext.cli.search.definition import REGRESSION, Data
from keras_ext.cli.search.settings import OF_CLASSES, OF_NUMBERS, Settings
from keras_ext.cli.start import quiet_stderr
from keras_ext.cli.usage import UsageError

# A resumed search keeps these settings. The user may raise `--trials` and add
# `--resume-trials`.
_KEPT = (
    *("epochs", "seed", "data_file", "tuner", "objective", "stop_unhealthy"),
    *("pruner", "cross_validation", "target", "task", "decimal", "date_order"),
    *("date", "category", "keep", "drop", "missing"),
)


def run_search(args: argparse.Namespace) -> int:
    """Run the search that the arguments ask for; return the exit status.

    Raises:
        UsageError: The search cannot be run.
    """
    directory = Path(args.directory)
    if args.data_file:
        args.data_file = str(Path(args.data_file).absolute())
    if args.trials_per_process and os.name == "nt":
        raise UsageError(
            "--trials-per-process replaces the process, and Windows cannot"
        )
    resumed = Path(args.in_folder) if args.in_folder else None
    if args.resume and resumed is None:
        resumed = folders.newest_unfinished(
            directory, args.dataset, args.experiment
        )
    if resumed is None:
        settings = _new_settings(args)
    else:
        settings = _resumed_settings(args, resumed)
    folders.check_writable(directory)
    with InterruptGuard():
        definition = definitions()[settings.dataset]
        data = definition.load(settings)
        settings.objective = _objective(settings.objective, data)
        try:
            with quiet_stderr():
                import keras

                from keras_ext.cli.search.running import Search

                # Keras imports TensorFlow to set its seed, on any backend.
                keras.utils.set_random_seed(settings.seed)
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


def _digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    if not Path(path).is_file():
        raise UsageError(f"there is no data file {path!r}")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error}") from error


def _new_settings(args: argparse.Namespace) -> Settings:
    if args.dataset == "csv" and not args.data_file:
        raise UsageError("csv needs a file: csv FILE --target COLUMN")
    if args.dataset == "csv" and not args.target:
        raise UsageError("csv needs --target COLUMN, the column to predict")
    names = ("trials", "resume_trials", *_KEPT)
    given = {name: getattr(args, name, None) for name in names}
    return Settings(
        dataset=args.dataset,
        experiment=args.experiment,
        data_digest=_digest(args.data_file) if args.data_file else None,
        **{name: value for name, value in given.items() if value is not None},
    )


def _resumed_settings(args: argparse.Namespace, folder: Path) -> Settings:
    settings, where = Settings.load(folder), repr(str(folder))
    for name in _KEPT:
        value, began_with = getattr(args, name, None), getattr(settings, name)
        if value is not None and value != began_with:
            option = name.replace("_", "-")
            raise UsageError(
                f"the search in {where} began with --{option} {began_with}; "
                f"it cannot be resumed with {value}"
            )
    if args.trials is not None:
        if args.trials < settings.trials:
            raise UsageError(
                f"the search in {where} began with --trials "
                f"{settings.trials}; the number can only be raised, not "
                f"lowered to {args.trials}"
            )
        settings.trials = args.trials
    if args.resume_trials:
        settings.resume_trials = True
    file = settings.data_file
    if file is not None and _digest(file) != settings.data_digest:
        raise UsageError(
            f"{file!r} has changed since the search in {where} began"
        )
    return settings


def _objective(given: str | None, data: Data) -> str:
    """Return the name of the metric that ranks the trials.

    The loss cannot rank trials, because it is a hyperparameter.
    """
    known = list(OF_NUMBERS if data.kind == REGRESSION else OF_CLASSES)
    if given is None:
        return known[0]
    if given not in known:
        raise UsageError(
            f"argument --objective: must be {' or '.join(known)}, not {given!r}"
            + "; trials differ in their losses" * (given == "val_loss")
        )
    return given
