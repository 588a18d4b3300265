"""Messages on disk: they outlive the process.

`messages.sqlite` holds the messages in order, and the runs that began. The
threads that log write through one connection; the thread that sends reads and
removes through another. Neither waits for the other, except for the moment of
a commit.
"""

import logging
import shutil
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from keras_ext._files import FolderLock
from keras_ext.tracking.database import Connection
from keras_ext.tracking.messages import Create, Message, Model, decode, encode
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.run_ids import RunIds

logger = logging.getLogger("keras_ext.tracking")

FILE = "messages.sqlite"

_MESSAGES = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    data BLOB,
    tried INTEGER NOT NULL DEFAULT 0,
    aside INTEGER NOT NULL DEFAULT 0
)
"""
_ABOUT = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL)
"""
_INSERT = (
    "INSERT INTO messages (number, kind, content, data) VALUES (?, ?, ?, ?)"
)


class DiskQueue(Queue):
    """Messages in a folder, which one process uses at a time.

    If the folder cannot be written any more (a full disk), one warning is
    logged, and new messages wait in memory.

    Args:
        folder: The folder, which is made if it is missing.

    Raises:
        InUse: Another process uses the folder.
        sqlite3.Error: The folder cannot be used.
    """

    folder: Path

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._folder_lock = FolderLock(folder)
        # A training waits a second at most, and then goes on in memory.
        self._writes = Connection(folder / FILE, timeout=1.0)
        self._sends = Connection(folder / FILE, timeout=10.0)
        # The thread that sends moves the log into the database.
        self._writes.execute("PRAGMA wal_autocheckpoint = 0")
        self._writes.execute(_MESSAGES)
        self._writes.execute(_ABOUT)
        # What the last process set aside is tried again.
        self._writes.execute("UPDATE messages SET aside = 0 WHERE aside")
        self.ids = RunIds(self._writes, self._sends)
        self._lock = threading.Lock()
        self._overflow: deque[Message] = deque()
        # Of the messages that `head` returned last; None: in `_overflow`.
        self._numbers: list[int | None] = []
        ((self._count,),) = self._sends.execute("SELECT COUNT(*) FROM messages")
        tried = self._sends.execute("SELECT number FROM messages WHERE tried")
        self._tried = {number for (number,) in tried}
        self._remove_orphans()

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Let other processes use the folder; the messages stay in it."""
        self._writes.close()
        self._sends.close()
        self._folder_lock.close()

    def append(self, messages: Iterable[Message]) -> None:
        """Add messages at the end."""
        messages = list(messages)
        with self._lock:
            self._count += len(messages)
            if not self._overflow:
                rows = ((None, *encode(message)) for message in messages)
                try:
                    with self._writes.transaction():
                        self._writes.executemany(_INSERT, rows)
                        self.ids.note(messages)
                    return
                except sqlite3.Error as error:
                    logger.warning(
                        "%s cannot be written (%s): messages for MLflow wait "
                        "in memory, and are lost if this process is killed.",
                        self.folder,
                        error,
                    )
            self._overflow.extend(messages)

    def head(self, fits: Callable[[Message], bool]) -> list[Message]:
        """Return the first messages, as long as each one fits; keep them."""
        chosen, self._numbers = self._read(fits)
        return chosen

    def all(self) -> list[Message]:
        """Return all messages that are not set aside."""
        return self._read(lambda message: True)[0]

    def _read(
        self, fits: Callable[[Message], bool]
    ) -> tuple[list[Message], list[int | None]]:
        chosen: list[Message] = []
        numbers: list[int | None] = []
        rows = self._sends.rows(
            "SELECT number, kind, content, data FROM messages "
            "WHERE NOT aside ORDER BY number"
        )
        with closing(rows):  # type: ignore[type-var]
            for number, *encoded in rows:
                message = decode(*encoded)
                if not fits(message):
                    return chosen, numbers
                chosen.append(message)
                numbers.append(number)
        with self._lock:
            rest = list(self._overflow)
        rest = list(takewhile(fits, rest))
        return chosen + rest, numbers + [None] * len(rest)

    def drop(self, messages: Sequence[Message]) -> None:
        """Remove the messages that `head` returned, or the first of them."""
        self._take("DELETE FROM messages", len(messages))
        for message in messages:
            if isinstance(message, Model):
                shutil.rmtree(self.folder / message.folder, ignore_errors=True)

    def set_aside(self, messages: Sequence[Message]) -> bool:
        """Keep what `head` returned for the next process, if possible."""
        if None in self._numbers[: len(messages)]:
            return False
        self._take("UPDATE messages SET aside = 1", len(messages))
        return True

    def _take(self, statement: str, count: int) -> None:
        taken = self._numbers[:count]
        stored = [number for number in taken if number is not None]
        if stored:
            self._sends.execute(
                f"{statement} WHERE NOT aside AND number <= ?", stored[-1]
            )
        del self._numbers[:count]
        with self._lock:
            for _ in range(len(taken) - len(stored)):
                self._overflow.popleft()
            self._count -= count

    def is_first_try(self) -> bool:
        """Note that the first message is tried; return whether it is new."""
        number = self._numbers[0]
        if number is None:
            return True
        if number in self._tried:
            return False
        self._sends.execute(
            "UPDATE messages SET tried = 1 WHERE number = ?", number
        )
        self._tried.add(number)
        return True

    def count_aside(self) -> int:
        """Return how many messages are set aside."""
        query = "SELECT COUNT(*) FROM messages WHERE aside"
        return self._sends.execute(query)[0][0]

    def begin_again(self, creations: Sequence[Create]) -> None:
        """Put new runs before all other messages."""
        query = "SELECT COALESCE(MIN(number), 1) FROM messages"
        with self._lock, self._sends.transaction():
            start = self._sends.execute(query)[0][0] - len(creations)
            rows = ((n, *encode(c)) for n, c in enumerate(creations, start))
            self._sends.executemany(_INSERT, rows)
            self.ids.forget(creation.run_id for creation in creations)
            self._count += len(creations)

    def __getitem__(self, key: str) -> str | None:
        query = "SELECT value FROM about WHERE key = ?"
        rows = self._sends.execute(query, key)
        return rows[0][0] if rows else None

    def __setitem__(self, key: str, value: str) -> None:
        query = "INSERT OR REPLACE INTO about VALUES (?, ?)"
        self._writes.execute(query, key, value)

    def _remove_orphans(self) -> None:
        """Remove folders of models whose message a crash prevented."""
        query = "SELECT content FROM messages WHERE kind = 'Model'"
        used = "".join(text for (text,) in self._sends.execute(query))
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in used:
                shutil.rmtree(path, ignore_errors=True)
