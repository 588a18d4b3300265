"""SQLite connections that threads share, and the lock of a folder."""

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class InUse(Exception):
    """Another process has the folder."""


class Connection:
    """A connection for several threads, one statement at a time.

    The database keeps a write-ahead log, so that other connections read
    while this one writes. Commits are not synchronized to the disk: the end
    of the process does not need it; after a power failure the last seconds
    may be missing.

    Args:
        path: The file; made if there is none.
        timeout: Seconds to wait for another connection's commit.
    """

    def __init__(self, path: Path, timeout: float):
        self._lock = threading.RLock()
        self._connection = _connect(path, timeout)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            self._connection.close()
            raise
        self.close = weakref.finalize(self, self._connection.close)
        # At the end of the process somebody may still be sending.
        self.close.atexit = False

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Execute a statement; return its rows."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def executemany(self, statement: str, rows: Iterable[Any]) -> None:
        """Execute a statement once for each row of values."""
        with self._lock:
            self._connection.executemany(statement, rows)

    def rows(self, statement: str) -> Iterator[Any]:
        """Yield the rows of a statement as they are asked for."""
        with self._lock:
            cursor = self._connection.execute(statement)
            try:
                yield from cursor
            finally:
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that happens inside, or nothing of it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


class FolderLock:
    """Holds a folder for this process, however the process ends.

    Args:
        folder: The folder.

    Raises:
        InUse: Another process holds it.
    """

    def __init__(self, folder: Path):
        connection = _connect(folder / "lock", 0.0)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise InUse(
                    f"{str(folder)!r} is in use by another process"
                ) from None
            raise
        self.close = weakref.finalize(self, connection.close)
        self.close.atexit = False


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False
    )
