"""The arithmetic of the gauges, on TensorFlow."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Tensor = Any


def norms(
    gradients: Sequence[tuple[Tensor | None, Any]], compiled: bool
) -> Tensor:
    """Return the L2 norm of each gradient, divided by its scale.

    Args:
        gradients: Pairs of a gradient, which may be sparse (`None` counts as
            zero), and the factor by which it is too large, or `None`.
        compiled: Whether XLA compiles the step.

    Returns:
        A vector of float32, or of float64 if a gradient is.
    """
    tensors = [g for g, _ in gradients]
    scales = [scale for _, scale in gradients]
    dtype = tf.float32
    if any(g is not None and g.dtype == tf.float64 for g in tensors):
        dtype = tf.float64
    result = _norms(tensors, dtype, compiled)
    if all(scale is None for scale in scales):
        return result
    scales = [1.0 if scale is None else scale for scale in scales]
    return result / tf.stack([tf.cast(s, dtype) for s in scales])


def activity(
    sites: Sequence[tuple[Sequence[Tensor], int]], compiled: bool
) -> tuple[Tensor, Tensor]:
    """Return which units of each ReLU fire, and how many outputs are zero.

    Args:
        sites: For each ReLU the outputs of its uses, and the axis of its
            units.
        compiled: Whether XLA compiles the step.

    Returns:
        A float32 vector: for each ReLU the share of units that fired for no
        input, then for each the share of zeros. And one flag for each unit
        of each ReLU: whether it fired.
    """
    fired, dead, zero = [], [], []
    for outputs, axis in sites:
        active = tf.add_n([_active(x, axis) for x in outputs])
        entries = tf.add_n([tf.cast(tf.size(x), tf.float32) for x in outputs])
        # NaN compares unequal: a unit is dead only if it is zero.
        fired.append(tf.not_equal(active, 0.0))
        alive = tf.reduce_mean(tf.cast(fired[-1], tf.float32))
        dead.append(1.0 - alive)
        zero.append(1.0 - tf.reduce_sum(active) / entries)
    return tf.stack(dead + zero), tf.concat(fired, 0)


def _active(output: Tensor, axis: int) -> Tensor:
    """Return for each unit how many of its outputs are not zero."""
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
