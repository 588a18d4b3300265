"""The training steps that are measured."""

import bisect
import sys
from collections.abc import Sequence
from typing import Literal

# `"auto"`: from this step of a training on, measured steps have this distance.
# Most faults show at the beginning of a training. A measured step of a narrow
# network takes up to 40 % longer than a bare step. An epoch of 800 steps keeps
# eight measured steps.
SCHEDULE = ((0, 10), (50, 50), (400, 100))


class Sampling:
    """The measured steps of an epoch; the first step always is one of them.

    They depend on the index of the epoch's first step alone, so that a
    repeated training measures the same steps. Gauges that share a sampling
    measure the same steps.

    Args:
        every_n_steps: The distance between measured steps. With `"auto"` the
            distance grows with the training, see `SCHEDULE`.

    Attributes:
        schedule: Pairs of a step of the training and the distance from it on.
        first_step: The step of the training with which the epoch begins.
    """

    def __init__(self, every_n_steps: int | Literal["auto"]):
        self.every_n_steps = every_n_steps
        self.schedule: Sequence[tuple[int, int]] = SCHEDULE
        if isinstance(every_n_steps, int):
            self.schedule = ((0, every_n_steps),)
        self.begin_epoch(0)

    @property
    def is_every_step(self) -> bool:
        """Whether all steps are measured."""
        return self.every_n_steps == 1

    @property
    def smallest_distance(self) -> int:
        """The smallest distance between two measured steps of an epoch."""
        return self.schedule[0][1]

    def begin_epoch(self, first_step: int) -> None:
        """Choose the measured steps of an epoch.

        Args:
            first_step: The step of the training with which the epoch begins.
        """
        self.first_step = first_step
        self._due: Sequence[int] = [0]
        if len(self.schedule) == 1:
            self._due = range(0, sys.maxsize, self.smallest_distance)

    def is_due(self, step: int) -> bool:
        """Return whether the step with this index in the epoch is measured."""
        return self.samples_in(step + 1) > self.samples_in(step)

    def next_due(self, step: int) -> int:
        """Return the first measured step after `step`."""
        return self.step_of(self.samples_in(step + 1))

    def samples_in(self, steps: int) -> int:
        """Return how many of the first `steps` steps are measured."""
        while self._due[-1] < steps:
            self._append()
        return bisect.bisect_left(self._due, steps)

    def step_of(self, sample: int) -> int:
        """Return the index in the epoch of the `sample`-th measured step."""
        while len(self._due) <= sample:
            self._append()
        return self._due[sample]

    def _append(self) -> None:
        assert isinstance(self._due, list)
        last = self._due[-1]
        step = self.first_step + last
        distance = next(
            n for start, n in reversed(self.schedule) if start <= step
        )
        self._due.append(last + distance)
