"""Messages in memory: the queue of trainings outside searches."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile

from keras_ext.tracking.database import Connection
from keras_ext.tracking.messages import Create, Message
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.run_ids import RunIds


class MemoryQueue(Queue):
    """Messages in memory, and the ids of runs that another queue knows."""

    folder = None

    def __init__(self, known: Mapping[str, str | None] | None = None):
        self._database = Connection(":memory:", timeout=0.0)
        self.ids = RunIds(self._database, self._database)
        self.ids.known.update(known or {})
        self._messages: deque[Message] = deque()
        self._texts: dict[str, str] = {}
        self._tried: Message | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, messages: Iterable[Message]) -> None:
        """Add messages at the end."""
        messages = list(messages)
        self.ids.note(messages)
        with self._lock:
            self._messages.extend(messages)

    def head(self, fits: Callable[[Message], bool]) -> list[Message]:
        """Return the first messages, as long as each one fits; keep them."""
        with self._lock:
            return list(takewhile(fits, self._messages))

    def all(self) -> list[Message]:
        """Return all messages."""
        with self._lock:
            return list(self._messages)

    def drop(self, messages: Sequence[Message]) -> None:
        """Remove the messages that `head` returned, or the first of them."""
        with self._lock:
            for _ in messages:
                self._messages.popleft()

    def set_aside(self, messages: Sequence[Message]) -> bool:
        """Return False: no other process can read this memory."""
        return False

    def count_aside(self) -> int:
        """Return 0."""
        return 0

    def is_first_try(self) -> bool:
        """Note that the first message is tried; return whether it is new."""
        before, self._tried = self._tried, self._messages[0]
        return before is not self._tried

    def begin_again(self, creations: Sequence[Create]) -> None:
        """Put new runs before all other messages."""
        with self._lock:
            self._messages.extendleft(reversed(creations))
        self.ids.forget(creation.run_id for creation in creations)

    def __getitem__(self, key: str) -> str | None:
        return self._texts.get(key)

    def __setitem__(self, key: str, value: str) -> None:
        self._texts[key] = value

    def close(self) -> None:
        """Release the memory of the runs' ids."""
        self._database.close()
