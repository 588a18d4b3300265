"""Keeping rows of numbers on the device, on PyTorch."""

from typing import Any

import numpy as np
import torch

from keras_ext.taps.blocks import rows_in_block
from keras_ext.taps.sampling import Sampling


class Store:
    """Keeps one row for each sampled step.

    Args:
        sampling: In which steps a row is written.
        steps_per_execution: Always 1 on PyTorch.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._sampling = sampling
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget what was written."""
        self._sampled = 0
        self._index: list[int] = []
        self._rows: list[Any] = []

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be taken now."""
        rows = self._rows
        return bool(rows) and len(rows) >= rows_in_block(len(rows[0]))

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the rows written since the last call.

        Returns:
            The indices of the sampled steps in the epoch, and an array of
            one row for each.
        """
        if not self._rows:
            return np.zeros(0, np.int64), np.zeros((0, 0))
        index = np.array(self._index, np.int64)
        rows = torch.stack(self._rows).cpu().numpy()
        self._index, self._rows = [], []
        return index, rows

    def write(self, row: Any) -> None:
        """Keep what was measured in a sampled step.

        Args:
            row: A vector, or `None` if there was nothing to measure.
        """
        step = self._sampling.step_of(self._sampled)
        self._sampled += 1
        if row is not None:
            self._index.append(step)
            self._rows.append(row)
