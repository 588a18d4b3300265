"""Which outbox and which transport serve a client."""

import os
import threading
import weakref
from pathlib import Path
from typing import Any

from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.rest_transport import RestTransport
from keras_ext.tracking.transport import ClientTransport

# By the id of a client, or by folder.
_outboxes: weakref.WeakValueDictionary[int | Path, Outbox] = (
    weakref.WeakValueDictionary()
)
_lock = threading.Lock()


def transport_for(client: Any) -> ClientTransport:
    """Return what sends to the store of `client`."""
    uri = getattr(client, "tracking_uri", None)
    if isinstance(uri, str) and uri.startswith(("http://", "https://")):
        import mlflow

        # A subclass or a stand-in may send in another way.
        if type(client) is mlflow.MlflowClient:
            return RestTransport(client)
    return ClientTransport(client)


def outbox_for(client: Any) -> Outbox:
    """Return the one outbox of `client`."""
    with _lock:
        # An outbox holds its clients, so no other client can have their ids.
        outbox = _outboxes.get(id(client))
        if outbox is None:
            outbox = Outbox(transport_for(client))
            _outboxes[id(client)] = outbox
        return outbox


def outbox_in(folder: Path, client: Any) -> Outbox:
    """Return the one outbox that keeps its messages in `folder`.

    It sends them to the store of `client` from now on, and also serves
    `RunWriter` and others that get this client.

    Raises:
        keras_ext._files.InUse: Another process uses the folder.
    """
    folder = folder.absolute()
    with _lock:
        outbox = _outboxes.get(folder)
        if outbox is None:
            outbox = Outbox(transport_for(client), DiskQueue(folder))
            _outboxes[folder] = outbox
        else:
            outbox.serve(transport_for(client))
        _outboxes[id(client)] = outbox
        return outbox


def _reset_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
