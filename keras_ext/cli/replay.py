"""`keras-ext replay`: delivers messages that a search queued for MLflow."""

import argparse
import logging
import os
import sqlite3
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
    """Add the command to what `add_subparsers` returned."""
    parser = commands.add_parser(
        "replay",
        help="deliver what a search logged while MLflow was away",
        description="Deliver to MLflow the messages that a search queued "
        "while its store did not answer. Each message is sent once, in order. "
        "You can run this command again at any time. Credentials come from "
        "the environment, as for MLflow, or from the URI. Exit status: 0 if "
        "the store has all messages, 1 if it rejected a message or messages "
        "are left, 2 if nothing could be sent.",
    )
    parser.set_defaults(run=_replay)
    parser.add_argument(
        "folder", metavar="DIR", help="the search's project directory"
    )
    parser.add_argument(
        "uri",
        metavar="URI",
        nargs="?",
        help="the MLflow store; default: the store that the search began "
        "with. In another store the search gets new runs",
    )


def _replay(args: argparse.Namespace) -> int:
    from keras_ext._files import InUse
    from keras_ext.tracking import TrackingError, connect, redact
    from keras_ext.tracking.replay import buffer_in, replay, store_of

    folder = Path(args.folder)
    buffer = buffer_in(folder)
    if buffer is None:
        raise UsageError(f"{str(folder)!r} has no messages for MLflow")
    log = logging.getLogger("keras_ext.tracking")
    # The command prints the same things as this log's warnings.
    log.disabled = True
    try:
        client = connect(args.uri or _known_store(store_of(buffer)))
        done = replay(buffer, client, report=note)
    except (InUse, TrackingError, ImportError) as error:
        raise UsageError(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"{str(buffer)!r} cannot be read: {error}") from error
    finally:
        log.disabled = False
    if done.moved:
        note("the store does not know this search: its runs begin anew there")
    counts = [
        f"{done.sent[kind]} {name}"
        for kind, name in _NAMES.items()
        if done.sent[kind]
    ]
    where = redact(client.tracking_uri)
    print(clean(f"delivered to {where}: {', '.join(counts) or 'nothing'}"))
    for what, reason in done.refused:
        print(clean(f"rejected: {what}: {reason}"))
    if done.left:
        print(f"left: {done.left} messages; run this again")
    return int(bool(done.refused or done.left))


def _known_store(store: str | None) -> str | None:
    """Return the store of a search, with credentials from the environment."""
    from keras_ext.tracking import redact

    if store is None or "***" not in store:
        return store
    variable = os.environ.get("MLFLOW_TRACKING_URI")
    if variable is not None and redact(variable) == store:
        return variable
    raise UsageError(
        f"the search began with {store!r}, whose credentials are not stored: "
        "pass the URI, or set MLFLOW_TRACKING_URI"
    )
