"""Keeping rows of numbers on the device, on TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ext.taps.sampling import Sampling

# Rows that are kept on the device before the host fetches them.
ROWS = 256


class StepCounter:
    """Counts the training steps of an epoch on the device."""

    def __init__(self) -> None:
        self._value = tf.Variable(0, dtype=tf.int64, trainable=False)

    def reset(self) -> None:
        """Start again from zero."""
        self._value.assign(0)

    def read(self) -> int:
        """Return the number of steps counted."""
        return int(self._value.numpy())

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
    """Keeps one row for each sampled step, and flags for each epoch.

    Args:
        sampling: In which steps a row is written.
        steps_per_execution: Steps that run without coming back to the host.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._sampling = sampling
        # Room for the steps of one execution, over and above those after
        # which the host comes to fetch.
        self._capacity = ROWS + -(
            -steps_per_execution // sampling.every_n_steps
        )
        self._rows: tf.Variable | None = None
        self._flags: tf.Variable | None = None
        self._written = StepCounter()
        self._taken = 0
        self._skipped: set[int] = set()

    def begin_epoch(self) -> None:
        """Forget what was written."""
        self._taken = 0
        self._skipped.clear()
        self._written.reset()
        if self._flags is not None:
            self._flags.assign(tf.zeros_like(self._flags))

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be taken now."""
        return self._sampling.samples_in(steps) - self._taken >= ROWS

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
        rows = self._rows.numpy()[index % self._capacity]
        steps = [self._sampling.step_of(int(i)) for i in index]
        return np.array(steps, np.int64), rows

    def flags(self) -> np.ndarray:
        """Return which flags were set in any row of the epoch."""
        if self._flags is None:
            return np.zeros(0, bool)
        return self._flags.numpy() != 0

    def skip(self) -> None:
        """Leave out a sampled step, which ran eagerly."""
        self._skipped.add(self._written.read())
        self._written.next([])

    def write(self, row: Any, flags: Any = None) -> None:
        """Keep the numbers of one step; called inside it."""
        with tf.init_scope():
            if self._rows is None:
                self._rows = tf.Variable(
                    np.zeros((self._capacity, row.shape[0])),
                    dtype=row.dtype,
                    trainable=False,
                )
            if self._flags is None and flags is not None:
                self._flags = tf.Variable(
                    tf.zeros(flags.shape), trainable=False
                )
        slot = self._written.next([row]) % self._capacity
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle, indices=slot, updates=row
        )
        if self._flags is not None:
            self._flags.assign_add(flags, read_value=False)
