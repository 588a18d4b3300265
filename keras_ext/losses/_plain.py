"""Elementary losses in the form that runs fastest on TensorFlow.

This file is also the interface. The file of another backend imports these
functions and replaces those that have a faster form on that backend.
"""

import math
from typing import Any

from keras import ops

Tensor = Any


def binary(y: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """Return -(y * log(p) + (1 - y) * log(1 - p)), probabilities clipped."""
    return ops.binary_crossentropy(y, y_pred, from_logits=from_logits)


def sparse(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """Return -log(p[y_true]), the classes on the last axis."""
    return ops.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=from_logits
    )


def huber(error: Tensor, delta: float) -> Tensor:
    """Return the Huber loss."""
    size = ops.abs(error)
    quadratic = 0.5 * ops.square(error)
    if isinstance(delta, float) and math.isinf(delta):
        # The other branch would turn the gradient into NaN.
        return quadratic
    linear = delta * (size - 0.5 * delta)
    return ops.where(size <= delta, quadratic, linear)


def log_quotient(p: Tensor, q: Tensor) -> Tensor:
    """Return log(p / q)."""
    return ops.log(p / q)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x))."""
    return ops.softplus(x)


def mask(loss: Tensor, ignored: Tensor) -> Tensor:
    """Set ignored losses to 0 and mask them for Keras's means."""
    loss = ops.where(ignored, 0, loss)
    loss._keras_mask = ops.logical_not(ignored)
    return loss
