"""The queue between a training that must not wait and a store that may.

One outbox serves one client, or one folder. RunHistory leave in the order in
which they came, by a daemon thread that starts with the first message and ends
when there has been nothing to do for a while. A message leaves the queue when
the store has confirmed it; a store that does not answer is asked again, with
growing pauses, for as long as the process lives.
"""

import atexit
import os
import random
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_ext.tracking.background import Background
from keras_ext.tracking.batching import MAX_POINTS, Queue
from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.memory_queue import MemoryQueue
from keras_ext.tracking.messages import Create, Message, Status
from keras_ext.tracking.retry_policy import RetryPolicy
from keras_ext.tracking.transport import ClientTransport, transport_for

# Seconds.
_LINGER = 0.5  # for a request to fill up
_IDLE = 5.0  # before an unemployed thread ends
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0  # between attempts
_WAITED_PAUSE = 0.5  # between attempts while somebody waits
_PATIENCE, _PATIENCE_IF_DOWN = 30.0, 3.0  # of flush and close

_outboxes: weakref.WeakSet["Outbox"] = weakref.WeakSet()
_at_work: set["Outbox"] = set()


class Outbox:
    """RunHistory on their way to one store.

    Args:
        transport: What makes one attempt to send.
        queue: Where the messages wait. Defaults to `None`: in memory.

    Attributes:
        sender: Makes the attempts, and knows what came of them.
        runs: The runs that somebody in this process writes to.
        background: Makes what is put here later.
    """

    def __init__(self, transport: ClientTransport, queue: Queue | None = None):
        self.sender = RetryPolicy(transport)
        self.queue: Queue = MemoryQueue() if queue is None else queue
        self.runs: set[str] = set()
        self._clients = [transport.client]
        self._reset()
        _outboxes.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self.background = Background()
        self._put = len(self.queue)  # messages ever added
        self._done = 0  # messages ever removed
        self._heard = 0.0  # when a message was removed last
        self._last: Message | None = None
        self._thread: threading.Thread | None = None
        self._waiting = 0  # threads in `wait`
        self._closed = False

    def serve(self, client: Any) -> None:
        """Send to another client from now on."""
        with self._sending:
            self._clients.append(client)
            self.sender.serve(transport_for(client))

    def close(self) -> None:
        """Stop sending, and let go of the folder."""
        self.background.wait()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        if isinstance(self.queue, DiskQueue):
            self.queue.close()

    @property
    def folder(self) -> Path | None:
        """Where the messages are kept, if not in memory."""
        queue = self.queue
        return queue.folder if isinstance(queue, DiskQueue) else None

    def put(self, messages: Iterable[Message] = ()) -> int:
        """Add messages; return the ticket to `wait` for."""
        messages = list(messages)
        with self._changed:
            if messages:
                self.queue.append(messages)
                self._put += len(messages)
                self._last = messages[-1]
            if self._put > self._done:
                self._employ()
                self._changed.notify_all()
            return self._put

    def begin_again(self, creations: list[Create]) -> None:
        """Make runs, before all else, that another store had made.

        Args:
            creations: How they began.
        """
        assert isinstance(self.queue, DiskQueue)
        with self._sending, self._changed:
            self.queue.begin_again(creations)
            self._put += len(creations)

    def wait(self, ticket: int, timeout: float | None = None) -> bool:
        """Wait until all messages up to `ticket` have left the queue.

        Args:
            ticket: What `put` returned.
            timeout: Seconds to wait. None: 30, but not more than 3 in which
                the store takes nothing because it does not answer.

        Returns:
            Whether they have.
        """
        start = time.monotonic()
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
        try:
            while True:
                with self._changed:
                    if self._done >= ticket:
                        return True
                    if timeout is not None:
                        left = start + timeout - time.monotonic()
                    else:
                        left = self._patience(start)
                    if left <= 0:
                        return False
                    employed = self._employ()
                    if employed:
                        self._changed.wait(min(left, 1.0))
                if not employed and not self._deliver():
                    time.sleep(min(left, _WAITED_PAUSE))
        finally:
            with self._changed:
                self._waiting -= 1

    def _patience(self, start: float) -> float:
        """Return how many seconds to go on waiting, having begun at `start`."""
        now = time.monotonic()
        left = start + _PATIENCE - now
        if self.sender.failures:
            heard = max(start, self._heard)
            left = min(left, heard + _PATIENCE_IF_DOWN - now)
        return left

    def pending(self, run_id: str | None = None) -> list[Message]:
        """Return what has not been confirmed (of one run), in order."""
        messages = self.queue.all()
        if run_id is None:
            return messages
        return [message for message in messages if message.run_id == run_id]

    def _employ(self) -> bool:
        """Have a thread (the lock is held); False where none can start."""
        if self._thread is None or not self._thread.is_alive():
            _at_work.add(self)
            thread = threading.Thread(
                target=self._work, name="keras_ext-tracking", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is ending: `wait` sends by itself.
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                if not len(self.queue):
                    self._changed.wait_for(
                        lambda: len(self.queue) or self._closed, _IDLE
                    )
                if self._closed or not len(self.queue):
                    self._thread = None
                    _at_work.discard(self)
                    return
                self._linger()
            if not self._deliver():
                self._pause()

    def _linger(self) -> None:
        end = time.monotonic() + _LINGER
        while not self._waiting and len(self.queue) < MAX_POINTS:
            left = end - time.monotonic()
            if left <= 0 or isinstance(self._last, Create | Status):
                return
            self._changed.wait(left)

    def _pause(self) -> None:
        start = time.monotonic()
        with self._changed:
            while not self._closed:
                longest = _WAITED_PAUSE if self._waiting else _LONGEST_PAUSE
                pause = _FIRST_PAUSE * 2 ** min(self.sender.failures - 1, 10)
                pause = min(pause, longest) * random.uniform(0.8, 1.0)
                left = start + pause - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _deliver(self) -> bool:
        """Try to send the next messages; return whether that went well."""
        with self._sending:
            went_well, count = self.sender.attempt(self.queue)
        if count:
            with self._changed:
                self._done += count
                self._heard = time.monotonic()
                self._changed.notify_all()
        return went_well

    def leave_to_parent(self) -> None:
        """Begin with an empty queue in a forked child."""
        self._parents = self.queue  # closing it would disturb the parent
        self.queue = MemoryQueue(getattr(self.queue, "ids", None))
        self._reset()

    def finish(self) -> bool:
        """Wait, as `wait` does by default, for all that was put so far.

        And for what is made in the background, as long as that takes. If some
        of it is not delivered then, one line says what becomes of it.
        """
        self.background.wait()
        sent = self.wait(self.put())
        if not sent:
            self.sender.warn_once("late", "%s", self._fate())
        return sent

    def _fate(self) -> str:
        count = sum(len(message) for message in self.pending())
        what = f"{count} messages for MLflow at {self.sender.where}"
        if self.folder is None:
            return (
                f"{what} were lost: it did not answer before the process ended."
            )
        later = ", once it answers" if self.sender.failures else ""
        return (
            f"{what} are not delivered yet. They are kept: `keras-ext replay "
            f"{self.folder.parent}` delivers them{later}."
        )


def _flush_at_exit() -> None:
    for outbox in list(_at_work):
        outbox.finish()


def _reset_after_fork() -> None:
    # The parent sends what it recorded; its thread and the state of its
    # locks are of no use here.
    _at_work.clear()
    for outbox in list(_outboxes):
        outbox.leave_to_parent()


atexit.register(_flush_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
