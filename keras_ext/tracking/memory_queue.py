"""RunHistory that wait in memory: the queue of trainings outside searches."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from keras_ext.tracking.messages import Message
from keras_ext.tracking.run_ids import RunIds


class MemoryQueue:
    """RunHistory in the order in which they came.

    Args:
        ids: The runs that were begun before the store had answered, if there
            are any.
    """

    def __init__(self, ids: RunIds | None = None):
        self.ids = ids
        self._records: deque[Message] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def append(self, messages: Iterable[Message]) -> None:
        """Add messages at the end."""
        with self._lock:
            self._records.extend(messages)

    def head(self, goes_on: Callable[[Message], bool]) -> list[Message]:
        """Return the messages that come next, without removing them.

        Args:
            goes_on: Whether a message still belongs to them.
        """
        chosen: list[Message] = []
        with self._lock:
            for message in self._records:
                if not goes_on(message):
                    break
                chosen.append(message)
        return chosen

    def all(self) -> list[Message]:
        """Return all messages."""
        with self._lock:
            return list(self._records)

    def drop(self, messages: Sequence[Message]) -> None:
        """Remove what `head` has returned, or the first of it."""
        with self._lock:
            for _ in messages:
                self._records.popleft()
