"""Binary focal crossentropy."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _backend, _crossentropy
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class BinaryFocalCrossentropy(Loss, keras.losses.BinaryFocalCrossentropy):
    """Binary focal crossentropy: hard samples count more than easy ones.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits, averaged
    over `axis`, then reduced over the samples:

    ```
    loss = mean(a * (1 - p_t)**gamma * bce)
    bce  = -(y * log(p) + (1 - y) * log(1 - p))
    p_t  = y * p + (1 - y) * (1 - p)
    a    = y * alpha + (1 - y) * (1 - alpha)    with class balancing, else 1
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    For a label of 0 or 1, `p_t` is the probability of the right class and
    the loss is `-a * (1 - p_t)**gamma * log(p_t)`.

    Args:
        apply_class_balancing: Whether to weight the two classes.
        alpha: Weight of the class 1 with class balancing; the class 0 has
            `1 - alpha`.
        gamma: Focusing parameter, >= 0. The higher it is, the less the easy
            samples count; 0 is binary crossentropy.
        axis: Axis of the mean.

    Call arguments:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `label_smoothing` or `gamma` is out of range,
            `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import BinaryFocalCrossentropy
    >>> loss = BinaryFocalCrossentropy(gamma=2.0)
    >>> print(round(float(loss([[1.0], [1.0]], [[0.9], [0.1]])), 4))
    0.9331

    Reference: [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.BinaryFocalCrossentropy` computes. From
    logits beyond about 16 on the wrong side, that class follows the formula
    on TensorFlow only; on JAX and PyTorch it stops at -log(epsilon), without
    a gradient. Here all backends follow the formula. For a `gamma` below 1
    the gradient at probabilities of 0 and 1 is a number, not NaN. A 16-bit
    dtype is computed in float32. `dtype` is saved with the config.
    """

    apply_class_balancing: bool
    alpha: float
    gamma: float
    from_logits: bool
    label_smoothing: float
    axis: int

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ):
        _crossentropy.check(gamma=gamma, label_smoothing=label_smoothing)
        super().__init__(
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return binary_focal_crossentropy(y_true, y_pred, **self._arguments)


@function_of(BinaryFocalCrossentropy)
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary focal crossentropy per sample, the mean over an axis.

    Raises:
        ValueError: If the shapes differ, or `label_smoothing` or `gamma`
            is out of range.

    Example:
    >>> from keras_ext.losses import binary_focal_crossentropy
    >>> loss = binary_focal_crossentropy([[1.0], [1.0]], [[0.9], [0.1]])
    >>> print([round(float(value), 4) for value in loss])
    [0.0011, 1.8651]
    """
    _crossentropy.check(gamma=gamma, label_smoothing=label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    if from_logits:
        scores = _crossentropy.in_float32(y_pred)
        p = ops.sigmoid(scores)
    else:
        scores = p = _crossentropy.clippable(y_pred)
    y_true = ops.cast(y_true, p.dtype)
    y = _crossentropy.smooth(y_true, label_smoothing, axis=None)
    loss = _backend.binary(y, scores, from_logits)
    if gamma:
        # 1 - p_t, without its cancellation where p_t is almost 1.
        miss = y * (1 - p) + (1 - y) * p
        loss = _crossentropy.focus(miss, gamma) * loss
    if apply_class_balancing:
        loss = (y * alpha + (1 - y) * (1 - alpha)) * loss
    return ops.cast(ops.mean(loss, axis=axis), y_pred.dtype)
