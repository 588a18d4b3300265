"""One attempt to take the next messages of a queue to the store."""

from collections.abc import Sequence
from dataclasses import replace

from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.memory_queue import MemoryQueue
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
from keras_ext.tracking.transport import ClientTransport

Queue = MemoryQueue | DiskQueue

# MLflow's limits for one request.
MAX_POINTS = 1000
MAX_ENTRIES = 100

_BATCHED = (Points, Param, Tag)


def next_messages(queue: Queue, singly: bool) -> list[Message]:
    """Return the next messages that go into one request.

    Args:
        queue: Where they wait; it keeps them.
        singly: Whether to return one at most.
    """
    first: list[Message] = []
    room = 0

    def goes_on(message: Message) -> bool:
        nonlocal room
        if not first:
            first.append(message)
            room = MAX_POINTS if isinstance(message, Points) else MAX_ENTRIES
            room -= len(message)
            return True
        alike = type(message) is type(first[0])
        room -= len(message)
        return (
            not singly
            and isinstance(message, _BATCHED)
            and alike
            and message.run_id == first[0].run_id
            and room >= 0
        )

    return queue.head(goes_on)


def send(
    transport: ClientTransport, queue: Queue, messages: Sequence[Message]
) -> None:
    """Make one attempt to send what `next_messages` returned.

    Args:
        transport: What sends.
        queue: Knows the runs that were begun before the store had answered.
        messages: The messages.
    """
    head = messages[0]
    if isinstance(head, Create):
        assert isinstance(queue, DiskQueue)
        _create(transport, queue, head)
        return
    run_id = _mlflow_id(queue, head.run_id)
    if isinstance(head, _BATCHED):
        transport.batch(run_id, messages)
    elif isinstance(head, Artifact):
        transport.artifact(replace(head, run_id=run_id))
    elif isinstance(head, Reopen):
        transport.reopen(replace(head, run_id=run_id))
    elif isinstance(head, Model):
        assert isinstance(queue, DiskQueue)
        again = not queue.is_first_try()
        folder = queue.model_path(head)
        transport.model(replace(head, run_id=run_id), folder, again)
    elif isinstance(head, Status):
        _remove_twins(transport, queue, head.run_id)
        transport.status(replace(head, run_id=run_id))


def _mlflow_id(queue: Queue, run_id: str) -> str:
    return run_id if queue.ids is None else queue.ids.of(run_id)


def _create(
    transport: ClientTransport, queue: DiskQueue, creation: Create
) -> None:
    # A store in which the search did not begin has another experiment.
    experiment = queue["experiment_id"] or creation.experiment_id
    creation = replace(creation, experiment_id=experiment)
    # The store may have made it without our hearing of it.
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
    """Delete what a request made that was answered too late.

    A server that was asked to make a run, did not answer in time and was
    asked again may in the end have made two.
    """
    if not isinstance(queue, DiskQueue):
        return
    creation = queue.ids.creation(run_id, doubtful=True)
    if creation is not None:
        mine = queue.ids.of(run_id)
        for other in transport.find(creation):
            if other != mine:
                transport.delete(other)
        queue.ids.made(run_id, mine, doubtful=False)
