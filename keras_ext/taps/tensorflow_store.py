"""Keeping rows of numbers in a variable, on TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ext.taps.sampling import Sampling
from keras_ext.taps.store import no_rows, rows_in_block


class StepCounter:
    """Counts the training steps of an epoch on the device."""

    def __init__(self) -> None:
        self._value = tf.Variable(0, dtype=tf.int64, trainable=False)

    def reset(self) -> None:
        """Count from zero."""
        self._value.assign(0)

    def read(self) -> int:
        """Return the number of counted steps."""
        return int(self._value.value().numpy())

    def next(self, anchors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Count one step and return its index.

        The count waits for `anchors`, results of the step. The step that
        finds the end of a data set of unknown length has no results and is
        not counted.
        """
        with tf.control_dependencies(anchors):
            return self._value.assign_add(1, read_value=True) - 1


class DueSteps:
    """The measured steps of an epoch, chosen on the device."""

    def __init__(self, sampling: Sampling):
        self._sampling = sampling
        self._first = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._next = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Begin with the epoch's first step, see `Sampling.begin_epoch`."""
        self._first.assign(self._sampling.first_step)
        self._next.assign(0)

    def next(self, step: tf.Tensor) -> tf.Tensor:
        """Return whether the next step, of this index, is measured."""
        is_due = tf.equal(step, self._next)
        starts, distances = zip(*self._sampling.schedule, strict=True)
        segment = tf.searchsorted(
            tf.constant(starts, tf.int64), [self._first + step], side="right"
        )
        distance = tf.constant(distances, tf.int64)[segment[0] - 1]
        self._next.assign_add(tf.where(is_due, distance, 0))
        return is_due


class Store:
    """Keeps one row for each sampled step; see `RowStore`."""

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._sampling = sampling
        self._steps_per_execution = steps_per_execution
        self._block = self._capacity = 0
        self._rows: tf.Variable | None = None
        self._written = StepCounter()
        self._taken = 0
        self._skipped: set[int] = set()

    def begin_epoch(self) -> None:
        """Discard all rows and count the sampled steps from zero."""
        self._taken = 0
        self._skipped.clear()
        self._written.reset()

    def is_full(self, steps: int) -> bool:
        """See `RowStore.is_full`."""
        written = self._sampling.samples_in(steps) - self._taken
        return self._rows is not None and written >= self._block

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """See `RowStore.take`."""
        index = np.arange(self._taken, self._written.read())
        if self._rows is None or not len(index):
            return no_rows()
        self._taken += len(index)
        index = np.array([i for i in index if i not in self._skipped], int)
        rows = self._rows.value().numpy()[index % self._capacity]
        steps = [self._sampling.step_of(int(i)) for i in index]
        return np.array(steps, np.int64), rows

    def write(self, row: Any) -> None:
        """See `RowStore.write`; the call happens inside the step."""
        if row is None:
            # In a graph no step of the trace has a row. An eager step may
            # lack a layer that other steps have.
            if tf.executing_eagerly():
                self._skipped.add(self._written.read())
                self._written.next([])
            return
        if self._rows is None:
            self._make_room(row.shape[0], row.dtype)
        assert self._rows is not None
        slot = self._written.next([row]) % self._capacity
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle, indices=slot, updates=row
        )

    def _make_room(self, numbers: int, dtype: Any) -> None:
        self._block = rows_in_block(numbers)
        # The host fetches a full block only after the execution that fills it.
        distance = self._sampling.smallest_distance
        more = -(-self._steps_per_execution // distance)
        self._capacity = self._block + more
        with tf.init_scope():
            self._rows = tf.Variable(
                np.zeros((self._capacity, numbers)),
                dtype=dtype,
                trainable=False,
            )
