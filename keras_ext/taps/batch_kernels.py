"""The arithmetic of `BatchGauge` on TensorFlow and JAX."""

from collections.abc import Sequence
from typing import Any

from keras import ops

Tensor = Any

# The numbers that `batch_summary` returns, in this order.
STATISTICS = ("low", "high", "mean", "std", "nonfinite", "fraction")


def batch_summary(tensors: Sequence[Tensor]) -> Tensor:
    """Return statistics over the entries of all float32 tensors together.

    Returns:
        A vector: the lowest and the highest finite entry, the mean and the
        standard deviation of the finite entries, the share of entries that
        are not finite, and the mean distance of the entries to the next
        whole number. An entry that is not finite counts as zero for lowest,
        highest and distance.
    """
    flat = [ops.reshape(x, (-1,)) for x in tensors]
    x = flat[0] if len(flat) == 1 else ops.concatenate(flat)
    finite = ops.isfinite(x)
    mask = ops.cast(finite, "float32")
    number = ops.maximum(ops.sum(mask), 1.0)
    clean = ops.where(finite, x, ops.zeros_like(x))
    mean = ops.sum(clean) / number
    spread = clean - mean * mask
    return ops.stack(
        [
            ops.min(clean),
            ops.max(clean),
            mean,
            ops.sqrt(ops.sum(ops.square(spread)) / number),
            ops.mean(1.0 - mask),
            ops.mean(ops.abs(clean - ops.round(clean))),
        ]
    )


def feature_scales(x: Tensor) -> Tensor:
    """Return the root mean square of each entry of the last axis.

    An entry that is not finite counts as zero.
    """
    rows = ops.reshape(x, (-1, int(x.shape[-1])))
    rows = ops.where(ops.isfinite(rows), rows, ops.zeros_like(rows))
    return ops.sqrt(ops.mean(ops.square(rows), axis=0))


def spread_over_samples(x: Tensor) -> Tensor:
    """Return the root mean square of the units' standard deviations."""
    return ops.sqrt(ops.mean(ops.square(x - ops.mean(x, axis=0))))


def class_shares(x: Tensor, classes: int) -> Tensor:
    """Return the share of each class among the targets.

    The targets are class numbers, or one-hot along the last axis. Other
    numbers count for no class.
    """
    if len(x.shape) > 1 and x.shape[-1] == classes > 1:
        return ops.mean(ops.reshape(x, (-1, classes)), axis=0)
    # One-hot vectors would be a table of all words of a batch of texts times
    # all words of the language.
    number = ops.cast(ops.reshape(x, (-1,)), "int32")
    known = (number >= 0) & (number < classes)
    counts = ops.segment_sum(
        ops.cast(known, "float32"), ops.where(known, number, 0), classes
    )
    return counts / ops.cast(ops.size(number), "float32")
