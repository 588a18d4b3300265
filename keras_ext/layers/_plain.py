"""No kernels: everything is computed by the formula in `keras.ops`.

It is also the interface: the files of the backends offer the same functions.
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
    """Normalizes over all axes but one.

    Returns:
        The normalized, scaled and shifted tensor, and the mean and the
        variance of each channel, through which no gradient flows.
    """
    axes = [i for i in range(len(x.shape)) if i != axis % len(x.shape)]
    mean, variance = ops.moments(x, axes)
    y = ops.batch_normalization(x, mean, variance, axis, beta, gamma, epsilon)
    return y, mean, variance
