"""Keeping the rows of a gauge on the device until the host fetches them."""

import abc
from typing import Any

import numpy as np

from keras_ext.taps.sampling import Sampling

Tensor = Any

# A block has at most this many rows, and at most half a megabyte of float32.
_MAX_ROWS = 256
_MAX_NUMBERS = 1 << 17


def rows_in_block(numbers: int) -> int:
    """Return how many rows the host fetches together.

    Args:
        numbers: The length of a row.
    """
    return max(1, min(_MAX_ROWS, _MAX_NUMBERS // max(numbers, 1)))


def no_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return what `take` of a store returns without new rows."""
    return np.zeros(0, np.int64), np.zeros((0, 0))


class RowStore(abc.ABC):
    """Keeps one row for each sampled step, as a list of device arrays.

    Args:
        sampling: The steps in which a row is written.
        steps_per_execution: The steps that run without a return to the host.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._sampling = sampling
        self.begin_epoch()

    @abc.abstractmethod
    def _fetch(self, rows: list[Tensor]) -> np.ndarray:
        """Copy rows to the host, as one array."""

    def begin_epoch(self) -> None:
        """Discard all rows and count the sampled steps from zero."""
        self._sampled = 0
        self._steps: list[int] = []
        self._rows: list[Tensor] = []

    def is_full(self, steps: int) -> bool:
        """Return whether the host should take the rows now.

        Args:
            steps: The number of steps since `begin_epoch`.
        """
        rows = self._rows
        return bool(rows) and len(rows) >= rows_in_block(rows[0].shape[0])

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the rows that were written since the last call.

        Returns:
            The indices of the sampled steps in the epoch, and an array of
            shape `(steps, numbers)`.
        """
        steps, self._steps = self._steps, []
        rows, self._rows = self._rows, []
        return (
            (np.array(steps, np.int64), self._fetch(rows))
            if rows
            else (no_rows())
        )

    def write(self, row: Tensor | None) -> None:
        """Keep the row of the next sampled step.

        Args:
            row: A vector, or `None` if there was nothing to measure.
        """
        if row is not None:
            self._steps.append(self._sampling.step_of(self._sampled))
            self._rows.append(row)
        self._sampled += 1
