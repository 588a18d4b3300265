"""Folders of searches: each has its own, and overwrites no other."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from keras_ext._files import FolderLock, InUse
from keras_ext.cli.search.settings import Settings
from keras_ext.cli.usage import UsageError


def check_writable(directory: Path) -> None:
    """Raise `UsageError` if no folder can be made in `directory`.

    The directory need not exist yet. The check leaves no file behind.
    """
    existing = directory.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        # On some file systems the permissions do not show this.
        os.rmdir(tempfile.mkdtemp(dir=existing))
    except OSError as error:
        raise UsageError(
            f"cannot write to the directory {str(directory)!r}: "
            f"{error.strerror}"
        ) from error


def create(directory: Path, settings: Settings) -> Path:
    """Make the folder of a new search, with its settings.

    Returns:
        `<directory>/<experiment>-<date>-<time>`.
    """
    experiment = re.sub(r"[^\w.-]+", "-", settings.experiment)
    name = f"{experiment}-{datetime.now():%Y%m%d-%H%M%S}"
    directory.mkdir(parents=True, exist_ok=True)
    folder, number = directory / name, 1
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
            folder = directory / f"{name}-{number}"
    settings.save(folder)
    return folder


def newest_unfinished(directory: Path, dataset: str, experiment: str) -> Path:
    """Return the folder of the search to resume: the newest unfinished one.

    Raises:
        UsageError: There is none.
    """
    unfinished = []
    for path in directory.glob("*/search.json"):
        try:
            settings = Settings.load(path.parent)
        except (OSError, ValueError, TypeError):
            # The file is unreadable, or belongs to another program.
            continue
        asked = (settings.dataset, settings.experiment)
        if asked == (dataset, experiment) and not settings.finished:
            unfinished.append(path.parent)
    if not unfinished:
        raise UsageError(
            f"there is no unfinished search {dataset!r} of the experiment "
            f"{experiment!r} in {str(directory)!r} to resume"
        )
    # The name has the time. A copied folder has new file times.
    return max(unfinished, key=lambda folder: _order(folder.name))


def _order(name: str) -> tuple[str, int]:
    found = re.search(r"(\d{8}-\d{6})(?:-(\d+))?$", name)
    return (found[1], int(found[2] or 1)) if found else ("", 0)


def discard_if_unused(directory: Path, folder: Path) -> None:
    """Remove the folder of a search that never began.

    Remove the directory, too, if it is empty then.
    """
    if not (folder / "tracking.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            directory.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from running the same search at the same time.

    Raises:
        UsageError: Another process runs it.
    """
    try:
        lock = FolderLock(folder)
    except InUse as error:
        raise UsageError(
            f"the search in {str(folder)!r} is running in another process"
        ) from error
    with contextlib.closing(lock):
        yield
