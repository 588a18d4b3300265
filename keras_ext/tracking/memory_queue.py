"""Records that wait in memory: the queue of trainings outside searches."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from keras_ext.tracking.records import Record
from keras_ext.tracking.run_ids import RunIds


class MemoryQueue:
    """Records in the order in which they came.

    Args:
        ids: The runs that were begun before the store had answered, if there
            are any.
    """

    def __init__(self, ids: RunIds | None = None):
        self.ids = ids
        self._records: deque[Record] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def append(self, records: Iterable[Record]) -> None:
        """Add records at the end."""
        with self._lock:
            self._records.extend(records)

    def head(self, goes_on: Callable[[Record], bool]) -> list[Record]:
        """Return the records that come next, without removing them.

        Args:
            goes_on: Whether a record still belongs to them.
        """
        chosen: list[Record] = []
        with self._lock:
            for record in self._records:
                if not goes_on(record):
                    break
                chosen.append(record)
        return chosen

    def all(self) -> list[Record]:
        """Return all records."""
        with self._lock:
            return list(self._records)

    def drop(self, records: Sequence[Record]) -> None:
        """Remove what `head` has returned, or the first of it."""
        with self._lock:
            for _ in records:
                self._records.popleft()
