"""The queue between a training that must not wait and a store that may.

One outbox serves one client. Records leave in the order in which they came,
by a daemon thread that starts with the first record and ends when there has
been nothing to do for a while. A record leaves the queue when the store has
confirmed it; a store that does not answer is asked again, with growing
pauses, for as long as the process lives.
"""

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from keras_ext.tracking.records import Artifact, Points, Record, Status
from keras_ext.tracking.redaction import redact, scrub
from keras_ext.tracking.transport import (
    ClientTransport,
    is_doubtful,
    is_refusal,
    transport_for,
)

logger = logging.getLogger("keras_ext.tracking")

# MLflow's limits for one request.
MAX_POINTS = 1000
MAX_ENTRIES = 100

# Seconds.
_LINGER = 0.5  # for a request to fill up
_IDLE = 5.0  # before an unemployed thread ends
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0  # between attempts
_WAITED_PAUSE = 0.5  # between attempts while somebody waits
_PATIENCE, _PATIENCE_IF_DOWN = 30.0, 3.0  # of flush and close
_ATTEMPTS = 8  # with what the store probably never takes: half a minute

_outboxes: weakref.WeakValueDictionary[int, "Outbox"] = (
    weakref.WeakValueDictionary()
)
_at_work: set["Outbox"] = set()
_registry_lock = threading.Lock()


def outbox_for(client: Any) -> "Outbox":
    """Return the one outbox of `client`."""
    with _registry_lock:
        # An outbox holds its client, so no other one can have its id.
        outbox = _outboxes.get(id(client))
        if outbox is None:
            outbox = Outbox(transport_for(client))
            _outboxes[id(client)] = outbox
        return outbox


class Outbox:
    """Records on their way to one store.

    Args:
        transport: What makes one attempt to send.

    Attributes:
        rejected: Records that the store refused for good, with its reason.
        runs: The runs that somebody in this process writes to.
    """

    def __init__(self, transport: ClientTransport):
        self.transport = transport
        self.rejected: list[tuple[Record, str]] = []
        self.runs: set[str] = set()
        self._warned: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._queue: deque[Record] = deque()
        self._put = self._done = 0  # records ever added, ever removed
        self._thread: threading.Thread | None = None
        self._waiting = 0  # threads in `wait`
        self._failures = 0  # in a row
        self._doubts = 0  # doubtful failures of what is at the head
        self._one_by_one = 0  # records to be sent singly, to find a bad one

    def put(self, records: Iterable[Record]) -> int:
        """Add records; return the ticket to `wait` for."""
        with self._changed:
            before = len(self._queue)
            self._queue.extend(records)
            self._put += len(self._queue) - before
            if self._queue:
                self._employ()
                self._changed.notify_all()
            return self._put

    def wait(self, ticket: int, timeout: float | None = None) -> bool:
        """Wait until all records up to `ticket` have left the queue.

        Args:
            ticket: What `put` returned.
            timeout: Seconds to wait. None: 30 while the store takes records,
                3 while it does not answer.

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
                    patience = timeout
                    if patience is None:
                        down = self._failures > 0
                        patience = _PATIENCE_IF_DOWN if down else _PATIENCE
                    left = start + patience - time.monotonic()
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

    def pending(self, run_id: str | None = None) -> list[Record]:
        """Return what has not been confirmed (of one run), in order."""
        with self._changed:
            records = list(self._queue)
        if run_id is None:
            return records
        return [record for record in records if record.run_id == run_id]

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
                if not self._queue:
                    self._changed.wait_for(lambda: self._queue, _IDLE)
                if not self._queue:
                    self._thread = None
                    _at_work.discard(self)
                    return
                self._linger()
            if not self._deliver():
                self._pause()

    def _linger(self) -> None:
        end = time.monotonic() + _LINGER
        while not self._waiting and len(self._queue) < MAX_POINTS:
            left = end - time.monotonic()
            if left <= 0 or isinstance(self._queue[-1], Status):
                return
            self._changed.wait(left)

    def _pause(self) -> None:
        start = time.monotonic()
        with self._changed:
            while True:
                longest = _WAITED_PAUSE if self._waiting else _LONGEST_PAUSE
                pause = _FIRST_PAUSE * 2 ** min(self._failures - 1, 10)
                pause = min(pause, longest) * random.uniform(0.8, 1.0)
                left = start + pause - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _deliver(self) -> bool:
        """Try to send the next records; return whether that went well."""
        with self._sending:
            with self._changed:
                records = self._next()
            if not records:
                return True
            try:
                self._send(records)
            except Exception as error:
                return self._failed(records, error)
            self._remove(records)
            if self._failures:
                self._failures = 0
                logger.info("MLflow at %s is back.", self.where)
            return True

    def _next(self) -> list[Record]:
        head = self._queue[0] if self._queue else None
        if head is None or self._one_by_one:
            return [] if head is None else [head]
        if isinstance(head, (Artifact, Status)):
            return [head]
        room = MAX_POINTS if isinstance(head, Points) else MAX_ENTRIES
        batch = []
        for record in list(islice(self._queue, room)):
            room -= len(record)
            alike = type(record) is type(head)
            if room < 0 or not alike or record.run_id != head.run_id:
                break
            batch.append(record)
        return batch

    def _send(self, records: list[Record]) -> None:
        head = records[0]
        if isinstance(head, Artifact):
            self.transport.artifact(head)
        elif isinstance(head, Status):
            self.transport.status(head)
        else:
            self.transport.batch(head.run_id, records)

    def _failed(self, records: list[Record], error: Exception) -> bool:
        self._doubts += is_doubtful(error)
        if is_refusal(error) or self._doubts >= _ATTEMPTS:
            code = getattr(error, "error_code", "")
            if len(records) == 1 or code == "RESOURCE_DOES_NOT_EXIST":
                return self._reject(records, error)
            self._one_by_one = len(records)
            self._doubts = _ATTEMPTS - 1
            return True
        self._failures += 1
        if "down" not in self._warned:
            self._warned.add("down")
            logger.warning(
                "MLflow at %s does not answer; training goes on, and the "
                "records are kept and sent when it is back. (%s: %s)",
                self.where,
                type(error).__name__,
                scrub(error, self.transport.uri, 160),
            )
        return False

    def _reject(self, records: list[Record], error: Exception) -> bool:
        reason = scrub(error, self.transport.uri)
        self.rejected.extend((record, reason) for record in records)
        self._remove(records)
        self._failures = 0
        run_id = records[0].run_id
        if run_id not in self._warned:
            self._warned.add(run_id)
            logger.warning(
                "MLflow at %s refused a record of run %s (%s); what else it "
                "refuses is left out silently.",
                self.where,
                run_id,
                reason,
            )
        return True

    def _remove(self, records: list[Record]) -> None:
        with self._changed:
            for _ in records:
                self._queue.popleft()
            self._done += len(records)
            self._one_by_one = max(0, self._one_by_one - len(records))
            self._doubts = _ATTEMPTS - 1 if self._one_by_one else 0
            self._changed.notify_all()

    @property
    def where(self) -> str:
        """The store, safe to be shown."""
        return redact(self.transport.uri)


def _flush_at_exit() -> None:
    for outbox in list(_at_work):
        if not outbox.wait(outbox.put(())):
            count = sum(len(record) for record in outbox.pending())
            logger.warning(
                "%d records for MLflow at %s were lost: it did not answer "
                "before the process ended.",
                count,
                outbox.where,
            )


def _reset_after_fork() -> None:
    # The parent sends what it recorded; its thread and the state of its
    # locks are of no use here.
    global _registry_lock
    _registry_lock = threading.Lock()
    _at_work.clear()
    for outbox in list(_outboxes.values()):
        outbox._reset()


atexit.register(_flush_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
