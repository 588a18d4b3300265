"""Files that a crash leaves whole, and folders that one process uses."""

import contextlib
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a draft that replaces the file `path` when the block ends.

    A crash leaves the old file or the new one. The draft is in the same
    folder, and has the same suffixes.
    """
    target = Path(path)
    stem, _, suffixes = target.name.partition(".")
    # Threads may write the same file at once. The main thread's draft always
    # has the same name: what a killed process leaves is overwritten.
    thread = threading.current_thread()
    is_main = thread is threading.main_thread()
    mark = "draft" if is_main else f"draft{thread.ident}"
    draft = target.with_name(f".{stem}.{mark}.{suffixes}")
    try:
        yield draft
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(
    path: str | os.PathLike[str], state: Any, indent: int | None = None
) -> None:
    """Write a JSON file; a crash leaves the old file or the new one."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        json.dump(state, file, indent=indent)


class InUse(Exception):
    """Another process uses the folder."""


class FolderLock:
    """Keeps other processes out of a folder, until this process ends.

    The lock is an exclusive transaction on an empty SQLite database: every
    operating system releases it, however the process ends.

    Args:
        folder: The folder, in which the file `.lock` is made.

    Raises:
        InUse: Another process holds the lock.
    """

    def __init__(self, folder: Path):
        connection = sqlite3.connect(
            folder / ".lock",
            timeout=0.0,
            isolation_level=None,
            check_same_thread=False,
        )
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
