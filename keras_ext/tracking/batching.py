"""One attempt to send the next messages of a queue to the store."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras_ext.tracking.messages import (
    Artifact,
    Create,
    Message,
    Model,
    Param,
    Points,
    Reopen,
    Status,
    Tag,
)
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.transport import ClientTransport

# MLflow's limits for one request.
MAX_POINTS = 1000
MAX_ENTRIES = 100

_BATCHED = (Points, Param, Tag)


def next_messages(queue: Queue, singly: bool) -> list[Message]:
    """Return the messages of the next request; the queue keeps them."""
    first: list[Message] = []
    room = 0

    def fits(message: Message) -> bool:
        nonlocal room
        if not first:
            room = MAX_POINTS if isinstance(message, Points) else MAX_ENTRIES
        room -= len(message)
        if not first:
            first.append(message)
            return True
        return (
            not singly
            and isinstance(message, _BATCHED)
            and type(message) is type(first[0])
            and message.run_id == first[0].run_id
            and room >= 0
        )

    return queue.head(fits)


def send(
    transport: ClientTransport, queue: Queue, messages: Sequence[Any]
) -> None:
    """Make one attempt to send what `next_messages` returned."""
    head = messages[0]
    if isinstance(head, Create):
        _create(transport, queue, head)
        return
    known = replace(head, run_id=queue.ids.of(head.run_id))
    if isinstance(head, _BATCHED):
        transport.batch(known.run_id, messages)
    elif isinstance(head, Artifact):
        transport.artifact(known)
    elif isinstance(head, Reopen):
        transport.reopen(known)
    elif isinstance(head, Model):
        assert queue.folder is not None
        again = not queue.is_first_try()
        transport.model(known, queue.folder / head.folder, again)
    elif isinstance(head, Status):
        _remove_twins(transport, queue, head.run_id)
        transport.status(known)


def _create(transport: ClientTransport, queue: Queue, creation: Create) -> None:
    # A replay into another store has found the experiment's id there.
    experiment = queue["experiment_id"] or creation.experiment_id
    creation = replace(creation, experiment_id=experiment)
    # If the answer to an earlier attempt was lost, the run is there.
    again = not queue.is_first_try()
    made = transport.find(creation) if again else []
    if not made:
        wanted = creation
        if creation.parent_id is not None:
            parent = queue.ids.of(creation.parent_id)
            wanted = replace(creation, parent_id=parent)
        made = [transport.create(wanted)]
    queue.ids.made(creation.run_id, made[0], doubtful=again)


def _remove_twins(
    transport: ClientTransport, queue: Queue, run_id: str
) -> None:
    """Delete the second run that a slow server may have made.

    A server that answers too late is asked again, and may make two runs.
    """
    creation = queue.ids.creation(run_id, doubtful=True)
    if creation is not None:
        mine = queue.ids.of(run_id)
        for other in transport.find(creation):
            if other != mine:
                transport.delete(other)
        queue.ids.made(run_id, mine, doubtful=False)
