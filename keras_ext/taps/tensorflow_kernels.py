"""The arithmetic of the gauges on TensorFlow.

The docstrings of `norms`, `peaks`, `update_norms`, `activity` and `moments`
hold for all backends. On TensorFlow each operation costs about a microsecond,
and each large tensor costs the time to write it to memory.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any

# Gradients of at most this size are copied together, then reduced at once.
_SMALL = 2**9
# Larger gradients are checked one by one.
_LARGE_GRADIENT = 2**14


def norms(gradients: Sequence[tuple[Tensor | None, Any]]) -> Tensor:
    """Return the L2 norm of each gradient, divided by its scale.

    Args:
        gradients: Pairs of a gradient and its scale. The gradient may be
            sparse; `None` counts as zero. The scale is the factor by which
            the gradient is too large, or `None`.

    Returns:
        A vector of float32, or of float64 if a gradient is.
    """
    there = [i for i, (g, _) in enumerate(gradients) if g is not None]
    if not there:
        return tf.zeros([len(gradients)])
    tensors = [_wide(_dense(gradients[i][0])) for i in there]
    if any(x.dtype == tf.float64 for x in tensors):
        tensors = [tf.cast(x, tf.float64) for x in tensors]
    result = _norms(tensors)
    scales = [gradients[i][1] for i in there]
    if any(scale is not None for scale in scales):
        factors = [1.0 if scale is None else scale for scale in scales]
        result /= tf.stack([tf.cast(f, result.dtype) for f in factors])
    if len(there) == len(gradients):
        return result
    places = [[i] for i in there]
    return tf.scatter_nd(places, result, [len(gradients)])


def peaks(gradients: Sequence[tuple[Tensor | None, Any]]) -> Tensor:
    """Return the largest absolute entry of each gradient, divided by its scale.

    Args:
        gradients: See `norms`.

    Returns:
        A float32 vector.
    """
    found = []
    for gradient, scale in gradients:
        if gradient is None:
            found.append(tf.zeros([]))
            continue
        values = tf.cast(_dense(gradient), tf.float32)
        # The maximum of an empty tensor is -infinity.
        peak = tf.maximum(tf.reduce_max(tf.abs(values)), 0.0)
        found.append(
            peak if scale is None else peak / tf.cast(scale, tf.float32)
        )
    return tf.stack(found)


def activity(points: Sequence[tuple[Sequence[Tensor], int]]) -> Tensor:
    """Return how often each unit of each ReLU fires.

    Args:
        points: For each ReLU the outputs of its uses, and the axis of its
            units.

    Returns:
        A float32 vector of the units of all ReLUs, ReLU after ReLU: the
        share of the unit's outputs that are not zero. If an output is NaN,
        the share is not zero (on TensorFlow: NaN).
    """
    shares = []
    for outputs, axis in points:
        x, axis = _joined(outputs, axis)
        others = [i for i in range(x.shape.rank) if i != axis]
        active = tf.cast(tf.sign(x), tf.float32)
        shares.append(tf.raw_ops.Mean(input=active, axis=others))
    return tf.concat(shares, 0)


def update_norms(weights: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the step size and the length of each weight.

    Args:
        weights: Pairs of a weight's values before and after the update.

    Returns:
        A vector of float32, or of float64 if a weight is: for each weight
        the L2 norm of its change, then for each weight the L2 norm of its
        value before the update.
    """
    pairs = [(_wide(before), _wide(after)) for before, after in weights]
    changes = [(after - before, None) for before, after in pairs]
    lengths = [(before, None) for before, _ in pairs]
    return norms(changes + lengths)


def moments(
    points: Sequence[tuple[Sequence[Tensor], float | None, float | None]],
) -> Tensor:
    """Return mean, standard deviation and saturation of outputs.

    Args:
        points: For each point the outputs of its uses, and the lower and the
            upper limit. An output at or beyond a limit counts as saturated;
            `None` is no limit.

    Returns:
        A float32 vector: the means of all points, then the standard
        deviations, then the shares of saturated outputs.
    """
    means, variances, saturated = [], [], []
    for outputs, low, high in points:
        x = tf.cast(outputs[0], tf.float32)
        if len(outputs) > 1:
            flat = [tf.reshape(tf.cast(y, tf.float32), [-1]) for y in outputs]
            x = tf.concat(flat, 0)
        mean = tf.reduce_mean(x)
        means.append(mean)
        square = tf.math.squared_difference(x, mean)
        variances.append(tf.reduce_mean(square))
        share = tf.zeros([])
        if low is not None:
            share += tf.reduce_mean(tf.cast(x <= low, tf.float32))
        if high is not None:
            share += tf.reduce_mean(tf.cast(x >= high, tf.float32))
        saturated.append(share)
    deviations = tf.sqrt(tf.stack(variances))
    return tf.concat([tf.stack(means), deviations, tf.stack(saturated)], 0)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _joined(outputs: Sequence[Tensor], axis: int) -> tuple[Tensor, int]:
    """Return one tensor of the outputs of all uses, and its unit axis."""
    if len(outputs) == 1:
        return outputs[0], axis
    units = outputs[0].shape[axis]
    order = [*range(outputs[0].shape.rank)]
    order.append(order.pop(axis))
    rows = [tf.transpose(x, order) for x in outputs]
    return tf.concat([tf.reshape(x, [-1, units]) for x in rows], 0), 1


def _dense(gradient: Any) -> tf.Tensor:
    """Return the sums over the slices of a sparse gradient with one index."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, position = tf.unique(gradient.indices)
    return tf.math.unsorted_segment_sum(
        gradient.values, position, tf.size(rows)
    )


def _norms(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the L2 norms of tensors of one dtype.

    The function reads each tensor once. If a sum of squares leaves the range
    in which float32 is exact, as for vanished or exploded gradients, it
    computes the sum again in float64.
    """
    # Small tensors share a branch. A large tensor has a branch of its own, so
    # that it is released early: the optimizer then reuses its memory.
    sizes = [x.shape.num_elements() for x in tensors]
    large = [i for i, n in enumerate(sizes) if n is None or n > _LARGE_GRADIENT]
    small = [i for i in range(len(tensors)) if i not in set(large)]
    parts, order = [], []
    for part in ([small] if small else []) + [[i] for i in large]:
        groups = _same_shapes(tensors, part)
        order += [i for group in groups for i in group]
        stacks = [_stacked([tensors[i] for i in group]) for group in groups]
        squares = _square_sums(stacks)
        if squares.dtype == tf.float64:
            parts.append(tf.sqrt(squares))
            continue
        # The squares that underflow sum to less than a millionth of this
        # limit, for up to 10^8 entries. NaN compares as false.
        exact = (squares >= 1e-24) & (squares < math.inf)
        parts.append(
            _cond(
                tf.reduce_all(exact),
                lambda squares, stacks: tf.sqrt(squares),
                lambda squares, stacks: _norms_in_float64(stacks),
                (squares, stacks),
            )
        )
    norms = parts[0] if len(parts) == 1 else tf.concat(parts, 0)
    if order == sorted(order):
        return norms
    return tf.gather(norms, np.argsort(order))


def _cond(
    condition: tf.Tensor,
    true: Callable[..., tf.Tensor],
    false: Callable[..., tf.Tensor],
    arguments: Any,
) -> tf.Tensor:
    """Return `true(*arguments)` or `false(*arguments)`.

    The branch is one operation. `tf.cond` would become a switch for each
    tensor and the operations of both branches, and each step would pass
    through the operations of the other branch, too.
    """
    tensors = tf.nest.flatten(arguments)
    branches = [
        tf.function(
            lambda *flat, branch=branch: branch(
                *tf.nest.pack_sequence_as(arguments, flat)
            )
        ).get_concrete_function(
            *(tf.TensorSpec(x.shape, x.dtype) for x in tensors)
        )
        for branch in (true, false)
    ]
    (result,) = tf.raw_ops.StatelessIf(
        cond=condition,
        input=tensors,
        Tout=[branches[0].outputs[0].dtype],
        then_branch=branches[0],
        else_branch=branches[1],
    )
    return tf.ensure_shape(result, branches[0].outputs[0].shape)


def _same_shapes(
    tensors: Sequence[tf.Tensor], indices: Sequence[int]
) -> list[list[int]]:
    if len(indices) == 1:
        return [list(indices)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for i in indices:
        groups.setdefault(tuple(tensors[i].shape), []).append(i)
    return list(groups.values())


def _stacked(tensors: list[tf.Tensor]) -> tf.Tensor | list[tf.Tensor]:
    """Stack tensors of one shape, if the stack is worth the copy."""
    size = tensors[0].shape.num_elements()
    worth_it = len(tensors) > 3 and size <= _SMALL
    return tf.stack(tensors) if worth_it else tensors


def _square_sums(
    stacks: Sequence[tf.Tensor | list[tf.Tensor]],
) -> tf.Tensor:
    sums: list[Any] = []
    for stack in stacks:
        if isinstance(stack, list):
            halves = tf.stack([tf.nn.l2_loss(x) for x in stack])
            sums.append(2.0 * halves)
        else:
            axes = list(range(1, stack.shape.rank))
            sums.append(tf.reduce_sum(tf.square(stack), axes))
    return sums[0] if len(sums) == 1 else tf.concat(sums, 0)


def _norms_in_float64(
    stacks: Sequence[tf.Tensor | list[tf.Tensor]],
) -> tf.Tensor:
    sums = []
    for stack in stacks:
        for x in stack if isinstance(stack, list) else tf.unstack(stack):
            sums.append(tf.reduce_sum(tf.square(tf.cast(x, tf.float64))))
    return tf.cast(tf.sqrt(tf.stack(sums)), tf.float32)
