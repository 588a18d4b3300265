"""SQLite connections that threads share."""

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Connection:
    """A connection for several threads, one statement at a time.

    The database keeps a write-ahead log: other connections read while this
    one writes, and it waits `timeout` seconds for another connection's commit.
    Commits are not synchronized to the disk. They survive the end of the
    process; a power failure may cost the last seconds.
    """

    def __init__(self, path: Path | str, timeout: float):
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            self._connection.close()
            raise
        self.close = weakref.finalize(self, self._connection.close)
        # At the end of the process another thread may still send.
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
        """Yield the rows of a statement one by one."""
        with self._lock:
            cursor = self._connection.execute(statement)
            try:
                yield from cursor
            finally:
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside the block, or nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
