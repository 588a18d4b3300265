"""Keeping rows of numbers on the device, on JAX."""

from typing import Any

import jax
import numpy as np

from keras_ext.taps.blocks import rows_in_block
from keras_ext.taps.sampling import Sampling


class Store:
    """Keeps one row for each sampled step.

    What a step returns stays where it is, on the device, until it is taken.

    Args:
        sampling: In which steps a row is written.
        steps_per_execution: Steps that run without coming back to the host.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget what was written."""
        self._steps: list[int] = []
        self._rows: list[Any] = []

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be taken now."""
        rows = self._rows
        return bool(rows) and len(rows) >= rows_in_block(rows[0].size)

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the rows written since the last call.

        Returns:
            The indices of the sampled steps in the epoch, and an array of
            one row for each.
        """
        steps, self._steps = self._steps, []
        written, self._rows = self._rows, []
        if not written:
            return np.zeros(0, np.int64), np.zeros((0, 0))
        return np.array(steps), np.stack(jax.device_get(written))

    def write(self, step: int, row: Any) -> None:
        """Keep what a step returned.

        Args:
            step: The index of the step in the epoch.
            row: A vector.
        """
        self._steps.append(step)
        self._rows.append(row)
