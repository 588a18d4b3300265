"""Work that a training need not wait for."""

import collections
import concurrent.futures
from collections.abc import Callable

_MOST_WAITING = 8


class Background:
    """Does jobs one after the other in a thread.

    The thread starts with the first job. A process that ends waits for it.
    """

    def __init__(self) -> None:
        self._jobs: collections.deque = collections.deque()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Do a job later; wait for an earlier one if 8 jobs are waiting.

        An exception in a job is raised by a later `do` or `wait`.
        """
        jobs = self._jobs
        while jobs and (jobs[0].done() or len(jobs) >= _MOST_WAITING):
            jobs.popleft().result()
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(
                1, "keras_ext-background"
            )
        try:
            jobs.append(self._pool.submit(job))
        except RuntimeError:  # The interpreter is ending.
            job()

    def wait(self) -> None:
        """Wait until all jobs are done, and end the thread."""
        while self._jobs:
            self._jobs.popleft().result()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
