"""No kernels: the formula in `keras.ops` computes everything.

This file is also the interface: the backends' files have the same functions.
"""

from typing import Any

from keras import ops

Tensor = Any


def normalize_batch(
    x: Tensor,
    axis: int,
    gamma: Tensor | None,
    beta: Tensor | None,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normalized tensor, and mean and variance of each channel.

    No gradient flows through the mean and the variance.
    """
    axes = [i for i in range(len(x.shape)) if i != axis % len(x.shape)]
    mean, variance = ops.moments(x, axes)
    y = ops.batch_normalization(x, mean, variance, axis, beta, gamma, epsilon)
    return y, mean, variance
