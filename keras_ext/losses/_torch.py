"""Elementary losses in the form that PyTorch runs fastest, eagerly."""

from typing import Any

import keras
from keras import ops

from keras_ext.losses._plain import (
    mask as mask,
    softplus as softplus,
    sparse as sparse,
)

Tensor = Any


def binary(y: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """Return -(y * log(p) + (1 - y) * log(1 - p)), probabilities clipped."""
    if from_logits or y.shape != y_pred.shape:
        return ops.binary_crossentropy(y, y_pred, from_logits=from_logits)
    epsilon = keras.config.epsilon()
    p = ops.clip(y_pred, epsilon, 1 - epsilon)
    return -(y * ops.log(p) + (1 - y) * ops.log(1 - p))


def huber(error: Tensor, delta: float) -> Tensor:
    """Return the Huber loss."""
    # Both branches at once: c = error gives the quadratic branch exactly,
    # c = +-delta the linear one.
    c = ops.clip(error, -delta, delta)
    return c * (error - 0.5 * c)


def log_quotient(p: Tensor, q: Tensor) -> Tensor:
    """Return log(p / q), without the quotient's derivative."""
    return ops.log(p) - ops.log(q)
