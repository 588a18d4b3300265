"""A folder that keeps the messages of a training outside a search."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from keras_ext._files import InUse
from keras_ext.tracking.client import TrackingError, from_anywhere
from keras_ext.tracking.disk_queue import FILE
from keras_ext.tracking.messages import Create
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.outboxes import outbox_in
from keras_ext.tracking.redaction import redact

# MLflow's own link to another run, which another store does not have.
_PARENT = "mlflow.parentRunId"


def open_buffer(folder: Path, client: Any) -> Outbox:
    """Keep messages on disk until the store of `client` has them.

    From now on `RunWriter` and others that get this client put their messages
    into `<folder>/outbox`. The messages that an earlier process left there
    are sent first. The outbox works as long as the caller holds it.

    Raises:
        TrackingError: The folder cannot be used.
    """
    place = folder / "outbox"
    store = from_anywhere(redact(client.tracking_uri))
    known = _store_of(place)
    if known not in (None, store):
        problem = f"is for {known!r}, not for {store!r}"
    else:
        try:
            outbox = outbox_in(place, client)
            outbox.queue["store"] = store
            return outbox
        except InUse:
            problem = "is in use by another process"
        except (sqlite3.Error, OSError) as error:
            problem = f"cannot be written: {error}"
    raise TrackingError(
        f"`buffer` must be a folder for one process and one MLflow store. "
        f"Received: buffer={str(folder)!r}, which {problem}"
    )


def know_run(outbox: Outbox, client: Any, run_id: str) -> None:
    """Keep how a run began, so that another store can make it again."""
    run = client.get_run(run_id)
    info = run.info
    tags = {k: v for k, v in run.data.tags.items() if k != _PARENT}
    creation = Create(
        run_id, info.experiment_id, info.run_name, tags, info.start_time
    )
    queue = outbox.queue
    queue["experiment"] = client.get_experiment(info.experiment_id).name
    queue.ids.adopt(creation, run_id)


def _store_of(place: Path) -> str | None:
    """Return the store of a folder, which this process may have open."""
    if not (place / FILE).is_file():
        return None
    address = f"{(place / FILE).absolute().as_uri()}?mode=ro"
    query = "SELECT value FROM about WHERE key = 'store'"
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            rows = database.execute(query).fetchall()
            return rows[0][0] if rows else None
    return None
