"""Work that a training need not wait for."""

import collections
import concurrent.futures
from collections.abc import Callable

# So many jobs may be waiting; whoever brings another one waits for the first.
_MOST_WAITING = 8


class Background:
    """Does jobs one after the other, in a thread of its own.

    The thread starts with the first job. A process that ends waits for it.
    """

    def __init__(self) -> None:
        self._jobs: collections.deque = collections.deque()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done later.

        Args:
            job: Is called without arguments, and should raise nothing: an
                exception is raised where somebody waits for it.
        """
        while self._jobs and self._jobs[0].done():
            self._jobs.popleft().result()
        if len(self._jobs) >= _MOST_WAITING:
            self._jobs.popleft().result()
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(
                1, "keras_ext-drawing"
            )
        try:
            self._jobs.append(self._pool.submit(job))
        except RuntimeError:  # The interpreter is ending.
            job()

    def wait(self) -> None:
        """Wait until all jobs are done, and let go of the thread."""
        while self._jobs:
            self._jobs.popleft().result()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
