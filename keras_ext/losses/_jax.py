"""Elementary losses in the form that XLA runs fastest."""

from typing import Any

import keras
from keras import ops

from keras_ext.losses._plain import huber as huber, log_quotient as log_quotient

Tensor = Any


def binary(y: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """Return -(y * log(p) + (1 - y) * log(1 - p)), probabilities clipped."""
    if not from_logits or y.shape != y_pred.shape:
        return ops.binary_crossentropy(y, y_pred, from_logits=from_logits)
    # softplus(z) - y * z, in an order that does not cancel.
    positive, rest = _softplus_parts(y_pred)
    return positive - y * y_pred + rest


def sparse(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """Return -log(p[y_true]), the classes on the last axis."""
    labels = ops.cast(y_true, "int32")
    if len(labels.shape) == len(y_pred.shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    if len(y_pred.shape) == 0 or labels.shape != y_pred.shape[:-1]:
        raise ValueError(
            "`y_true` must have the shape of `y_pred` without the classes. "
            f"Received: y_true.shape={labels.shape}, "
            f"y_pred.shape={y_pred.shape}"
        )
    # Take one class before the logarithm; Keras multiplies the logarithms of
    # all classes by one-hot labels. A label that is no class has a loss of 0.
    index = ops.clip(labels, 0, y_pred.shape[-1] - 1)
    index = ops.expand_dims(index, -1)
    if from_logits:
        largest = ops.max(y_pred, axis=-1, keepdims=True)
        z = y_pred - ops.stop_gradient(largest)
        picked = ops.squeeze(ops.take_along_axis(z, index, axis=-1), -1)
        loss = ops.log(ops.sum(ops.exp(z), axis=-1)) - picked
    else:
        epsilon = keras.config.epsilon()
        p = ops.squeeze(ops.take_along_axis(y_pred, index, axis=-1), -1)
        p = p / ops.sum(y_pred, axis=-1)
        loss = -ops.log(ops.clip(p, epsilon, 1 - epsilon))
    is_class = (labels >= 0) & (labels < y_pred.shape[-1])
    return ops.where(is_class, loss, 0)


def mask(loss: Tensor, ignored: Tensor) -> Tensor:
    """Set ignored losses to 0 and mask them for Keras's means.

    A traced array takes no attribute, and where Keras stores the mask is
    private. So Keras's own function returns the loss: the loss of the first of
    two classes with the logits log(p) and log(1 - p). p is clipped to below 1.
    """
    pair = ops.stack([-loss, ops.log(-ops.expm1(-loss))], axis=-1)
    return keras.losses.sparse_categorical_crossentropy(
        ops.cast(ignored, "int32"), pair, from_logits=True, ignore_class=1
    )


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)); the gradient of `jax.nn.softplus` is slower."""
    positive, rest = _softplus_parts(x)
    return positive + rest


def _softplus_parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return max(x, 0) and log(1 + exp(-|x|))."""
    positive = ops.relu(x)
    # -|x| = x - 2 * max(x, 0). In this form the slopes that JAX chooses at 0
    # agree with each other.
    return positive, ops.log1p(ops.exp(x - 2 * positive))
