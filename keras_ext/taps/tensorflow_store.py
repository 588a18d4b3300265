"""Keeping rows of numbers on the device, on TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ext.taps.blocks import rows_in_block
from keras_ext.taps.sampling import Sampling


class StepCounter:
    """Counts the training steps of an epoch on the device."""

    def __init__(self) -> None:
        self._value = tf.Variable(0, dtype=tf.int64, trainable=False)

    def reset(self) -> None:
        """Start again from zero."""
        self._value.assign(0)

    def read(self) -> int:
        """Return the number of steps counted."""
        return int(self._value.value().numpy())

    def next(self, anchors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Count one step, return its index.

        The count waits for the step's own results: the step that finds the
        end of a data set of unknown length has none and is not counted.

        Args:
            anchors: Results of the step.
        """
        with tf.control_dependencies(anchors):
            return self._value.assign_add(1, read_value=True) - 1


class Store:
    """Keeps one row for each sampled step.

    Args:
        sampling: In which steps a row is written.
        steps_per_execution: Steps that run without coming back to the host.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._sampling = sampling
        self._steps_per_execution = steps_per_execution
        self._block = self._capacity = 0
        self._rows: tf.Variable | None = None
        self._written = StepCounter()
        self._taken = 0
        self._skipped: set[int] = set()

    def begin_epoch(self) -> None:
        """Forget what was written."""
        self._taken = 0
        self._skipped.clear()
        self._written.reset()

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be taken now."""
        written = self._sampling.samples_in(steps) - self._taken
        return self._rows is not None and written >= self._block

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the rows written since the last call.

        Returns:
            The indices of the sampled steps in the epoch, and an array of
            one row for each.
        """
        index = np.arange(self._taken, self._written.read())
        if self._rows is None or not len(index):
            return np.zeros(0, np.int64), np.zeros((0, 0))
        self._taken += len(index)
        index = np.array([i for i in index if i not in self._skipped], int)
        rows = self._rows.value().numpy()[index % self._capacity]
        steps = [self._sampling.step_of(int(i)) for i in index]
        return np.array(steps, np.int64), rows

    def skip(self) -> None:
        """Leave out a sampled step, which ran eagerly."""
        self._skipped.add(self._written.read())
        self._written.next([])

    def write(self, row: Any) -> None:
        """Keep the numbers of one step; called inside it."""
        if self._rows is None:
            self._make_room(row.shape[0], row.dtype)
        assert self._rows is not None
        slot = self._written.next([row]) % self._capacity
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle, indices=slot, updates=row
        )

    def _make_room(self, numbers: int, dtype: Any) -> None:
        self._block = rows_in_block(numbers)
        # Over and above those after which the host comes to fetch, the steps
        # of one execution.
        more = -(-self._steps_per_execution // self._sampling.every_n_steps)
        self._capacity = self._block + more
        with tf.init_scope():
            self._rows = tf.Variable(
                np.zeros((self._capacity, numbers)),
                dtype=dtype,
                trainable=False,
            )
