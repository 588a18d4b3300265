"""Delivering what a search recorded while MLflow was away."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ext.tracking.client import from_anywhere
from keras_ext.tracking.disk_queue import FILE, DiskQueue
from keras_ext.tracking.messages import Create, Message
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.redaction import redact
from keras_ext.tracking.runs import experiment_id
from keras_ext.tracking.transport import is_refusal, transport_for

# Seconds without an answer after which a replay gives up.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Args:
        delivered: How many of each kind the store has confirmed.
        refused: What it refused for good: the kind, and why.
        left: How many messages are still there.
        moved: Whether the store did not know the search, which got new runs
            there.
    """

    delivered: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    moved: bool = False


def buffer_in(folder: Path) -> Path | None:
    """Return the folder of messages that is or belongs to `folder`.

    Args:
        folder: A search's project directory, or the folder `outbox` in it.

    Returns:
        The folder, or `None` if there is none.
    """
    for candidate in (folder, folder / "outbox"):
        if (candidate / FILE).is_file():
            return candidate
    return None


def store_of(buffer: Path) -> str | None:
    """Return the store that the messages of `buffer` are for, redacted.

    Raises:
        keras_ext._files.InUse: Another process sends them.
    """
    queue = DiskQueue(buffer)
    try:
        return queue["store"]
    finally:
        queue.close()


def replay(
    buffer: Path, client: Any, say: Callable[[str], None] = lambda line: None
) -> Replay:
    """Deliver messages, in order, each once.

    Args:
        buffer: What `buffer_in` returned.
        client: An `mlflow.MlflowClient`. If its store does not know the
            search's run, the run and those of its children that have messages
            left are made there.
        say: Is told in one line how it goes on, at times.

    Returns:
        What came of it. Called again, it goes on with what is left.

    Raises:
        keras_ext._files.InUse: Another process sends the messages.
    """
    queue = DiskQueue(buffer)
    outbox = Outbox(transport_for(client), queue)
    try:
        moved = bool(len(queue)) and _is_elsewhere(outbox, queue)
        if moved:
            queue["experiment_id"] = experiment_id(client, queue["experiment"])
            queue["store"] = from_anywhere(redact(client.tracking_uri))
            outbox.begin_again(_runs_with_messages(queue))
        _deliver(outbox, say)
        refused = [
            (f"{type(message).__name__.lower()} {_name(message)}", reason)
            for message, reason in outbox.sender.rejected
        ]
        left = len(queue) + queue.count_aside()
        return Replay(outbox.sender.delivered, refused, left, moved)
    finally:
        outbox.close()


def _deliver(outbox: Outbox, say: Callable[[str], None]) -> None:
    ticket, heard = outbox.put(), time.monotonic()
    left = told = len(outbox.queue)
    while not outbox.wait(ticket, 1.0):
        if len(outbox.queue) < left:
            left, heard = len(outbox.queue), time.monotonic()
        elif time.monotonic() - heard > _PATIENCE:
            return
        if left < 0.5 * told:
            told = left
            say(f"{left} messages left")


def _is_elsewhere(outbox: Outbox, queue: DiskQueue) -> bool:
    """Return whether the store has never heard of the search's run."""
    for run, known in queue.ids.known.items():
        creation = queue.ids.creation(run) if known else None
        if creation is not None and creation.parent_id is None:
            try:
                outbox.sender.transport.see(queue.ids.of(run))
            except Exception as error:
                if is_refusal(error):
                    return True
                raise
            return False
    return True


def _runs_with_messages(queue: DiskQueue) -> list[Create]:
    """Return how those runs began that have messages left, parents first."""
    messages = queue.all()
    to_come = {r.run_id for r in messages if isinstance(r, Create)}
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
