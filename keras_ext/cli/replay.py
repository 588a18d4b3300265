"""`keras-ext replay`: delivers what a search recorded while MLflow was away."""

import argparse
import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_ext.cli.usage import UsageError, note
from keras_ext.doctor.report.wording import clean

_NAMES = {
    "Create": "runs",
    "Points": "points",
    "Param": "parameters",
    "Tag": "tags",
    "Artifact": "files",
    "Model": "models",
    "Status": "ends of runs",
}


def add(commands: Any) -> None:
    """Add the command.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "replay",
        help="deliver what a search recorded while MLflow was away",
        description="Deliver to MLflow what a search recorded while its "
        "store did not answer: in order, each message once. It may be run "
        "again at any time. Credentials are taken from the environment, as "
        "MLflow does, or from the URI. Exit status: 0 if all is delivered, 1 "
        "if the store refused something or something is left, 2 if nothing "
        "could be tried.",
    )
    parser.set_defaults(run=_replay)
    parser.add_argument(
        "folder", metavar="DIR", help="the search's project directory"
    )
    parser.add_argument(
        "uri",
        metavar="URI",
        nargs="?",
        help="the MLflow store; default: the one that the search began with. "
        "Another store that does not know the search gets runs of its own",
    )


def _replay(args: argparse.Namespace) -> int:
    from keras_ext._files import InUse
    from keras_ext.tracking import TrackingError, connect, redact
    from keras_ext.tracking.replay import buffer_in, replay, store_of

    folder = Path(args.folder)
    buffer = buffer_in(folder)
    if buffer is None:
        raise UsageError(f"{str(folder)!r} has no messages for MLflow")
    try:
        client = connect(args.uri or _known_store(store_of(buffer)))
        with _silent_log():
            done = replay(buffer, client, report=note)
    except (InUse, TrackingError, ImportError) as error:
        raise UsageError(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"{str(buffer)!r} cannot be read: {error}") from error
    if done.moved:
        note("the store did not know the search: its runs begin anew there")
    counts = [
        f"{done.sent[kind]} {name}"
        for kind, name in _NAMES.items()
        if done.sent[kind]
    ]
    where = redact(client.tracking_uri)
    print(clean(f"delivered to {where}: {', '.join(counts) or 'nothing'}"))
    for what, reason in done.refused:
        print(clean(f"refused: {what}: {reason}"))
    if done.left:
        print(f"left: {done.left} messages; run this again")
    return int(bool(done.refused or done.left))


@contextlib.contextmanager
def _silent_log() -> Iterator[None]:
    """Keep the log from saying what the command says itself."""
    log = logging.getLogger("keras_ext.tracking")
    log.addFilter(_nothing)
    try:
        yield
    finally:
        log.removeFilter(_nothing)


def _nothing(message: logging.LogRecord) -> bool:
    return False


def _known_store(store: str | None) -> str | None:
    """Return the store of a search, with credentials that are known."""
    from keras_ext.tracking import redact

    if store is None or "***" not in store:
        return store
    variable = os.environ.get("MLFLOW_TRACKING_URI")
    if variable is not None and redact(variable) == store:
        return variable
    raise UsageError(
        f"the search began with {store!r}, whose credentials are not kept: "
        "pass its URI, or set MLFLOW_TRACKING_URI"
    )
