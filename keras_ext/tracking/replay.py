"""Sending what a process logged while MLflow was away."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ext.tracking.client import from_anywhere
from keras_ext.tracking.disk_queue import FILE, DiskQueue
from keras_ext.tracking.messages import Create, Message
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.outboxes import transport_for
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.redaction import redact
from keras_ext.tracking.runs import experiment_id
from keras_ext.tracking.transport import is_refusal

# Seconds without an answer after which a replay stops.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Replay:
    """The result of a replay."""

    sent: Counter[str]  # values of each kind that the store has confirmed
    refused: list[tuple[str, str]]  # what the store refused for good, and why
    left: int  # messages that are still there
    moved: bool  # whether an unknown search got new runs in the store


def buffer_in(folder: Path) -> Path | None:
    """Return `folder` or the `outbox` in it, if it has messages."""
    for candidate in (folder, folder / "outbox"):
        if (candidate / FILE).is_file():
            return candidate
    return None


def store_of(buffer: Path) -> str | None:
    """Return the store that the messages of `buffer` are for, redacted."""
    with contextlib.closing(DiskQueue(buffer)) as queue:
        return queue["store"]


def replay(
    buffer: Path, client: Any, report: Callable[[str], None] = lambda line: None
) -> Replay:
    """Send messages, in order, each once.

    Args:
        buffer: What `buffer_in` returned.
        client: An `mlflow.MlflowClient`. If its store does not know the
            search's run, the run and those of its children that have messages
            left are made there.
        report: Is called with a line about the progress, from time to time.

    Returns:
        The result. Another call goes on with what is left.

    Raises:
        keras_ext._files.InUse: Another process sends the messages.
    """
    queue = DiskQueue(buffer)
    with contextlib.closing(Outbox(transport_for(client), queue)) as outbox:
        moved = bool(len(queue)) and _is_elsewhere(outbox)
        if moved:
            queue["experiment_id"] = experiment_id(client, queue["experiment"])
            queue["store"] = from_anywhere(redact(client.tracking_uri))
            outbox.begin_again(_runs_with_messages(queue))
        _send(outbox, report)
        refused = [
            (f"{type(message).__name__.lower()} {_name(message)}", reason)
            for message, reason in outbox.retries.rejected
        ]
        left = len(queue) + queue.count_aside()
        return Replay(outbox.retries.sent, refused, left, moved)


def _send(outbox: Outbox, report: Callable[[str], None]) -> None:
    ticket, progress = outbox.put(), time.monotonic()
    left = reported = len(outbox.queue)
    while not outbox.wait(ticket, 1.0):
        if len(outbox.queue) < left:
            left, progress = len(outbox.queue), time.monotonic()
        elif time.monotonic() - progress > _PATIENCE:
            return
        if left < 0.5 * reported:
            reported = left
            report(f"{left} messages left")


def _is_elsewhere(outbox: Outbox) -> bool:
    """Return whether the store does not know the search's run."""
    ids = outbox.queue.ids
    for run, known in ids.known.items():
        creation = ids.creation(run) if known else None
        if creation is not None and creation.parent_id is None:
            try:
                outbox.retries.transport.see(ids.of(run))
            except Exception as error:
                if is_refusal(error):
                    return True
                raise
            return False
    return True


def _runs_with_messages(queue: Queue) -> list[Create]:
    """Return how the runs with messages began, parents first."""
    messages = queue.all()
    to_come = {m.run_id for m in messages if isinstance(m, Create)}
    found: dict[str, Create] = {}

    def find(run_id: str | None) -> None:
        if run_id is None or run_id in found or run_id in to_come:
            return
        creation = queue.ids.creation(run_id)
        if creation is not None:
            find(creation.parent_id)
            found[run_id] = creation

    for message in messages:
        find(
            message.parent_id if isinstance(message, Create) else message.run_id
        )
    return list(found.values())


def _name(message: Message) -> str:
    for name in ("key", "path", "name"):
        if hasattr(message, name):
            return repr(getattr(message, name))
    return ""
