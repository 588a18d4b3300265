"""What is computed from gradients and activations, on TensorFlow.

A gauge `measure`s in the graph of the training step, `write`s what it
measured into variables of its own, and hands it to the host in `take`.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ext.taps.points import ReluSite, WeightGroup

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


class _Gauge:
    """Writes one row of numbers per sampled step into a device buffer.

    Args:
        every_n_steps: Every how many steps a row is written. The first
            step of each epoch always writes one.
        steps_per_execution: Steps that run without coming back to the host.

    Attributes:
        sites: The ReLUs that the gauge wants to hear.
    """

    sites: Sequence[ReluSite] = ()
    dtype = tf.float32

    def __init__(self, every_n_steps: int, steps_per_execution: int):
        self.every_n_steps = every_n_steps
        self.steps_per_execution = steps_per_execution
        # Room for the steps of one execution, over and above those after
        # which the host comes to fetch.
        self.capacity = ROWS + -(-steps_per_execution // every_n_steps)
        self._rows: tf.Variable | None = None
        self._written = StepCounter()
        self._taken = 0

    def begin_epoch(self) -> None:
        """Forget what was measured."""
        self._taken = 0
        self._written.reset()

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be fetched now."""
        return steps // self.every_n_steps + 1 - self._taken >= ROWS

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
        rows = self._rows.numpy()[index % self.capacity]
        return index * self.every_n_steps, rows

    def write(self, measured: Any) -> None:
        """Keep what `measure` returned."""
        self._write_row(measured)

    def _write_row(self, row: tf.Tensor) -> None:
        if not row.shape[0]:
            return
        if self._rows is None:
            with tf.init_scope():
                self._rows = tf.Variable(
                    np.zeros((self.capacity, row.shape[0])),
                    dtype=self.dtype,
                    trainable=False,
                )
        slot = self._written.next([row]) % self.capacity
        self._rows.scatter_update(tf.IndexedSlices(row, slot))


class GradientGauge(_Gauge):
    """Measures the L2 norm of each variable's gradient.

    A row holds one norm per variable, in the order of the groups; the host
    adds up their squares in float64. No gradient counts as a norm of zero.

    Args:
        find_groups: Returns the layers to measure. Called during the first
            trace, which is when Keras builds a model that was given no
            input shape.
        every_n_steps: See `_Gauge`.
        steps_per_execution: See `_Gauge`.

    Attributes:
        groups: What `find_groups` returned; empty before the first step.
    """

    def __init__(
        self,
        find_groups: Callable[[], Sequence[WeightGroup]],
        every_n_steps: int,
        steps_per_execution: int,
    ):
        super().__init__(every_n_steps, steps_per_execution)
        self._find_groups = find_groups
        self.groups: Sequence[WeightGroup] = []

    def measures(self, points: Sequence[WeightGroup]) -> bool:
        """See `_Gauge.measures`."""
        return [tuple(map(id, g.variables)) for g in self.groups] == [
            tuple(map(id, g.variables)) for g in points
        ]

    def measure(self, record: Any) -> tf.Tensor:
        """Return the row of this step."""
        if not self.groups:
            self.groups = self._find_groups()
        variables = [v for group in self.groups for v in group.variables]
        if any(v.dtype == "float64" for v in variables):
            self.dtype = tf.float64
        found = [record.gradients.get(id(v), (None, None)) for v in variables]
        if not found:
            return tf.zeros([0])
        norms = _norms([g for g, _ in found], self.dtype, record.compiled)
        if all(scale is None for _, scale in found):
            return norms
        scales = [1.0 if scale is None else scale for _, scale in found]
        return norms / tf.stack([tf.cast(s, self.dtype) for s in scales])


class ActivityGauge(_Gauge):
    """Measures which units of each ReLU fire, and how many outputs are zero.

    A row holds, per measured site, the share of units that fired for no
    input of the batch, then, per measured site, the share of zero outputs.
    Beside the rows one flag per unit says whether it fired in any sampled
    step of the epoch.

    Args:
        sites: ReLUs to measure.
        every_n_steps: See `_Gauge`.
        steps_per_execution: See `_Gauge`.

    Attributes:
        measured: The sites that can be measured, known after the first step.
        units: Their numbers of units.
    """

    def __init__(
        self,
        sites: Sequence[ReluSite],
        every_n_steps: int,
        steps_per_execution: int,
    ):
        super().__init__(every_n_steps, steps_per_execution)
        self.sites = list(sites)
        self.measured: list[ReluSite] = []
        self.units: list[int] = []
        self._looked = False
        self._fired: tf.Variable | None = None

    def begin_epoch(self) -> None:
        """See `_Gauge.begin_epoch`."""
        super().begin_epoch()
        if self._fired is not None:
            self._fired.assign(tf.zeros_like(self._fired))

    def measures(self, points: Sequence[ReluSite]) -> bool:
        """See `_Gauge.measures`."""
        return [s.key for s in self.sites] == [s.key for s in points]

    def fired(self) -> list[np.ndarray]:
        """Return, per measured site, which units fired in this epoch."""
        if self._fired is None:
            return []
        flags = self._fired.numpy()
        return np.split(flags, np.cumsum(self.units)[:-1])

    def measure(self, record: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the row of this step, and which units fired in it."""
        if not self._looked:
            self._find_units(record)
            self._looked = True
        fired, dead, zero = [], [], []
        for site in self.measured:
            outputs = record.outputs[site.key]
            active = tf.add_n([_active(site, x) for x in outputs])
            entries = tf.add_n(
                [tf.cast(tf.size(x), tf.float32) for x in outputs]
            )
            # NaN compares unequal: a unit is dead only if it is zero.
            fired.append(tf.not_equal(active, 0.0))
            alive = tf.reduce_mean(tf.cast(fired[-1], tf.float32))
            dead.append(1.0 - alive)
            zero.append(1.0 - tf.reduce_sum(active) / entries)
        if not fired:
            return tf.zeros([0]), tf.zeros([0], tf.bool)
        return tf.stack(dead + zero), tf.concat(fired, 0)

    def write(self, measured: Any) -> None:
        """See `_Gauge.write`."""
        row, fired = measured
        self._write_row(row)
        if self._fired is None:
            with tf.init_scope():
                self._fired = tf.Variable(
                    tf.zeros([sum(self.units)], tf.bool), trainable=False
                )
        self._fired.assign(self._fired | fired)

    def _find_units(self, record: Any) -> None:
        left_out = []
        for site in self.sites:
            outputs = record.outputs.get(site.key)
            units = outputs and _units(site, outputs[0])
            if units:
                self.measured.append(site)
                self.units.append(units)
            else:
                left_out.append(site.path)
        if left_out:
            warnings.warn(
                "Not measured, because they run inside a loop or their "
                f"number of units is unknown: the ReLUs of {left_out}",
                stacklevel=2,
            )


def _units(site: ReluSite, output: tf.Tensor) -> int | None:
    return output.shape[site.unit_axis(output.shape.rank)]


def _active(site: ReluSite, output: tf.Tensor) -> tf.Tensor:
    """Return for each unit how many of its outputs are not zero."""
    axis = site.unit_axis(output.shape.rank)
    others = [i for i in range(output.shape.rank) if i != axis]
    signs = tf.cast(tf.sign(output), tf.float32)
    return tf.reduce_sum(signs, others)


def _dense(gradient: Any, compiled: bool) -> tf.Tensor:
    """Add up the rows of a sparse gradient that belong together."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    if compiled:  # XLA has no `unique`
        return tf.convert_to_tensor(gradient)
    rows, position = tf.unique(gradient.indices)
    return tf.math.unsorted_segment_sum(
        gradient.values, position, tf.size(rows)
    )


def _norms(
    gradients: Sequence[Any], dtype: tf.DType, compiled: bool
) -> tf.Tensor:
    """Return the L2 norms; `None` counts as zero.

    One pass over each gradient. Where the sum of squares leaves the range in
    which it is exact, as in a network whose gradients have vanished or
    exploded, all are taken again after division by their largest entry.
    """
    zero = tf.zeros([], dtype)
    tensors = [
        None if g is None else tf.cast(_dense(g, compiled), dtype)
        for g in gradients
    ]
    squares = tf.stack(
        [zero if g is None else 2.0 * tf.nn.l2_loss(g) for g in tensors]
    )

    def plain() -> tf.Tensor:
        return tf.sqrt(squares)

    def rescaled() -> tf.Tensor:
        norms = []
        for g in tensors:
            if g is None:
                norms.append(zero)
                continue
            largest = tf.reduce_max(tf.abs(g))
            usable = (largest > 0) & tf.math.is_finite(largest)
            unit = tf.where(usable, largest, tf.ones_like(largest))
            norms.append(unit * tf.sqrt(2.0 * tf.nn.l2_loss(g / unit)))
        return tf.stack(norms)

    # Squares of entries that underflow add up to less than a millionth of
    # this, for up to 10^8 entries.
    smallest = 1e-24 if dtype == tf.float32 else 1e-294
    exact = (squares >= smallest) & tf.math.is_finite(squares)
    return tf.cond(tf.reduce_all(exact), plain, rescaled)
