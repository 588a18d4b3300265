"""Where messages wait until the store has them."""

import abc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from keras_ext.tracking.messages import Create, Message
from keras_ext.tracking.run_ids import RunIds


class Queue(abc.ABC):
    """Messages in the order in which they came, and texts about the store."""

    folder: Path | None  # that keeps the messages; None: memory keeps them
    ids: RunIds

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return how many messages wait."""

    @abc.abstractmethod
    def append(self, messages: Iterable[Message]) -> None:
        """Add messages at the end."""

    @abc.abstractmethod
    def head(self, fits: Callable[[Message], bool]) -> list[Message]:
        """Return the first messages, as long as each one fits; keep them."""

    @abc.abstractmethod
    def all(self) -> list[Message]:
        """Return all messages that are not set aside."""

    @abc.abstractmethod
    def drop(self, messages: Sequence[Message]) -> None:
        """Remove the messages that `head` returned, or the first of them."""

    @abc.abstractmethod
    def set_aside(self, messages: Sequence[Message]) -> bool:
        """Keep what `head` returned for the next process, if possible."""

    @abc.abstractmethod
    def count_aside(self) -> int:
        """Return how many messages are set aside."""

    @abc.abstractmethod
    def is_first_try(self) -> bool:
        """Note that the first message is tried; return whether it is new."""

    @abc.abstractmethod
    def begin_again(self, creations: Sequence[Create]) -> None:
        """Put new runs before all other messages."""

    @abc.abstractmethod
    def __getitem__(self, key: str) -> str | None:
        """Return a text that was kept, or `None`."""

    @abc.abstractmethod
    def __setitem__(self, key: str, value: str) -> None:
        """Keep a text."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release what the queue holds; the messages stay in the folder."""
