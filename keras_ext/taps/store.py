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
    """Return how many rows of a length the host fetches together."""
    return max(1, min(_MAX_ROWS, _MAX_NUMBERS // max(numbers, 1)))


def no_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return the result of a store's `take` if there are no new rows."""
    return np.zeros(0, np.int64), np.zeros((0, 0))


class RowStore(abc.ABC):
    """Keeps one row for each sampled step, as a list of device arrays."""

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
        """Return whether the host should take the rows, after some steps."""
        rows = self._rows
        return bool(rows) and len(rows) >= rows_in_block(rows[0].shape[0])

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the new rows, and the indices of their steps in the epoch."""
        if not self._rows:
            return no_rows()
        steps, rows = np.array(self._steps, np.int64), self._rows
        self._steps, self._rows = [], []
        return steps, self._fetch(rows)

    def write(self, row: Tensor | None) -> None:
        """Keep the next sampled step's row, `None` if it has none."""
        if row is not None:
            self._steps.append(self._sampling.step_of(self._sampled))
            self._rows.append(row)
        self._sampled += 1
