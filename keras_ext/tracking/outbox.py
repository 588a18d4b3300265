"""The queue between a training that must not wait and a store that may.

One outbox serves one client, or one folder. A daemon thread sends the
messages in order. The thread starts with the first message and ends when
nothing has happened for a while. A message leaves the queue when the store
has confirmed it. A store that does not answer is asked again, with growing
pauses, as long as the process lives.
"""

import atexit
import os
import random
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

from keras_ext.tracking.background import Background
from keras_ext.tracking.batching import MAX_POINTS
from keras_ext.tracking.memory_queue import MemoryQueue
from keras_ext.tracking.messages import Create, Message, Status
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.retry_policy import RetryPolicy
from keras_ext.tracking.transport import ClientTransport

# Seconds.
_LINGER = 0.5  # for a request to fill up
_IDLE = 5.0  # before a thread without messages ends
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0  # between attempts
_WAITED_PAUSE = 0.5  # between attempts while another thread waits
_PATIENCE, _PATIENCE_IF_DOWN = 30.0, 3.0  # of flush and close

_outboxes: weakref.WeakSet["Outbox"] = weakref.WeakSet()
_at_work: set["Outbox"] = set()


class Outbox:
    """Messages on their way to one store.

    Args:
        transport: What makes one attempt to send.
        queue: Where the messages wait. Defaults to `None`: in memory.

    Attributes:
        retries: Makes the attempts, and keeps their results.
        runs: The runs that this process writes to.
        background: The thread that makes what is put here later.
    """

    def __init__(self, transport: ClientTransport, queue: Queue | None = None):
        self.retries = RetryPolicy(transport)
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
        self._last_done = 0.0  # when a message was removed last
        self._last: Message | None = None
        self._thread: threading.Thread | None = None
        self._waiting = 0  # threads in `wait`
        self._closed = False

    def serve(self, transport: ClientTransport) -> None:
        """Send through another transport from now on."""
        with self._sending:
            self._clients.append(transport.client)
            self.retries.serve(transport)

    def close(self) -> None:
        """Stop sending, and release the folder."""
        self.background.wait()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self.queue.close()

    @property
    def folder(self) -> Path | None:
        """The folder that keeps the messages; `None`: memory keeps them."""
        return self.queue.folder

    def put(self, messages: Iterable[Message] = ()) -> int:
        """Add messages; return the ticket to `wait` for."""
        messages = list(messages)
        with self._changed:
            if messages:
                self.queue.append(messages)
                self._put += len(messages)
                self._last = messages[-1]
            if self._put > self._done:
                self._ensure_thread()
                self._changed.notify_all()
            return self._put

    def begin_again(self, creations: list[Create]) -> None:
        """Put runs that another store had made before all other messages."""
        with self._sending, self._changed:
            self.queue.begin_again(creations)
            self._put += len(creations)

    def wait(self, ticket: int, timeout: float | None = None) -> bool:
        """Wait until all messages up to `ticket` have left the queue.

        Args:
            ticket: What `put` returned.
            timeout: Seconds to wait. None: 30, of which at most 3 while the
                store does not answer.

        Returns:
            Whether they have left.
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
                    has_thread = self._ensure_thread()
                    if has_thread:
                        self._changed.wait(min(left, 1.0))
                if not has_thread and not self._send():
                    time.sleep(min(left, _WAITED_PAUSE))
        finally:
            with self._changed:
                self._waiting -= 1

    def _patience(self, start: float) -> float:
        """Return for how many more seconds `wait` goes on."""
        now = time.monotonic()
        left = start + _PATIENCE - now
        if self.retries.failures:
            last = max(start, self._last_done)
            left = min(left, last + _PATIENCE_IF_DOWN - now)
        return left

    def pending(self, run_id: str | None = None) -> list[Message]:
        """Return what the store has not confirmed (of one run), in order."""
        return [m for m in self.queue.all() if run_id in (None, m.run_id)]

    def _ensure_thread(self) -> bool:
        """Start a thread (the lock is held); False where none can start."""
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
            if not self._send():
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
                pause = _FIRST_PAUSE * 2 ** min(self.retries.failures - 1, 10)
                pause = min(pause, longest) * random.uniform(0.8, 1.0)
                left = start + pause - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _send(self) -> bool:
        """Try to send the next messages; return whether the store answered."""
        with self._sending:
            answered, count = self.retries.attempt(self.queue)
        if count:
            with self._changed:
                self._done += count
                self._last_done = time.monotonic()
                self._changed.notify_all()
        return answered

    def leave_to_parent(self) -> None:
        """Begin with an empty queue in a forked child."""
        self._parents = self.queue  # closing it would disturb the parent
        self.queue = MemoryQueue(self.queue.ids.known)
        self._reset()

    def finish(self) -> bool:
        """Wait for everything that was put so far, as `wait` does by default.

        Wait also for what the background thread makes, however long it
        takes. If messages are left then, one warning names their number and
        what happens to them.
        """
        self.background.wait()
        sent = self.wait(self.put())
        if not sent:
            self.retries.warn_once("late", "%s", self._fate())
        return sent

    def _fate(self) -> str:
        count = sum(len(message) for message in self.pending())
        what = f"{count} messages for MLflow at {self.retries.where}"
        if self.folder is None:
            return (
                f"{what} were lost: it did not answer before the process ended."
            )
        later = ", once it answers" if self.retries.failures else ""
        return (
            f"{what} are not sent yet. They are kept: `keras-ext replay "
            f"{self.folder.parent}` sends them{later}."
        )


def _flush_at_exit() -> None:
    for outbox in list(_at_work):
        outbox.finish()


def _reset_after_fork() -> None:
    # The parent sends its messages. The child cannot use its thread and locks.
    _at_work.clear()
    for outbox in list(_outboxes):
        outbox.leave_to_parent()


atexit.register(_flush_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
