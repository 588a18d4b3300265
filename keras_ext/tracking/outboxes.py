"""Which outbox serves a client."""

import os
import threading
import weakref
from pathlib import Path
from typing import Any

from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.transport import transport_for

# By the id of a client, or by folder.
_outboxes: weakref.WeakValueDictionary[int | Path, Outbox] = (
    weakref.WeakValueDictionary()
)
_lock = threading.Lock()


def outbox_for(client: Any) -> Outbox:
    """Return the one outbox of `client`."""
    with _lock:
        # An outbox holds its clients, so no other one can have their ids.
        outbox = _outboxes.get(id(client))
        if outbox is None:
            outbox = Outbox(transport_for(client))
            _outboxes[id(client)] = outbox
        return outbox


def outbox_in(folder: Path, client: Any) -> Outbox:
    """Return the one outbox that keeps its messages in `folder`.

    Args:
        folder: The folder; made if there is none.
        client: The client to which all of it is sent from now on. `RunWriter`
            and others that get this client use the outbox.

    Raises:
        keras_ext._files.InUse: Another process has the folder.
    """
    folder = folder.absolute()
    with _lock:
        outbox = _outboxes.get(folder)
        if outbox is None:
            outbox = Outbox(transport_for(client), DiskQueue(folder))
            _outboxes[folder] = outbox
        else:
            outbox.serve(client)
        _outboxes[id(client)] = outbox
        return outbox


def _reset_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
