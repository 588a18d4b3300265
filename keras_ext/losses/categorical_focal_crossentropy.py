"""Categorical focal crossentropy of one-hot labels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _crossentropy
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class CategoricalFocalCrossentropy(
    Loss, keras.losses.CategoricalFocalCrossentropy
):
    """Categorical focal crossentropy: hard samples count more than easy ones.

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits, summed over the classes, then reduced
    over the samples:

    ```
    loss = -sum(alpha * (1 - p)**gamma * y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    Args:
        alpha: Weight of all classes, or a sequence of one weight per class.
        gamma: Focusing parameter, >= 0. The higher it is, the less the easy
            samples count; 0 is categorical crossentropy times `alpha`.

    Call arguments:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum. `p` is clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `axis` is a boolean, `label_smoothing` or `gamma` is
            out of range, `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import CategoricalFocalCrossentropy
    >>> loss = CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0)
    >>> print(round(float(loss([[1, 0]], [[0.1, 0.9]])), 4))
    1.8651

    Reference: [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.CategoricalFocalCrossentropy` computes.
    With an `axis` other than the last, that class smooths by the length of
    the last axis and spreads a sequence `alpha` along it; here both follow
    the classes. A 16-bit dtype is computed in float32. `dtype` is saved with
    the config.
    """

    alpha: float | Sequence[float]
    gamma: float
    from_logits: bool
    label_smoothing: float
    axis: int

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ):
        _crossentropy.check(
            axis=axis, gamma=gamma, label_smoothing=label_smoothing
        )
        super().__init__(
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
        return categorical_focal_crossentropy(y_true, y_pred, **self._arguments)


@function_of(CategoricalFocalCrossentropy)
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical focal crossentropy per sample, the sum over the classes.

    Raises:
        ValueError: If the shapes differ, `axis` is a boolean, or
            `label_smoothing` or `gamma` is out of range.

    Example:
    >>> from keras_ext.losses import categorical_focal_crossentropy
    >>> y_pred = [[0.9, 0.1], [0.1, 0.9]]
    >>> loss = categorical_focal_crossentropy([[1, 0], [1, 0]], y_pred)
    >>> print([round(float(value), 4) for value in loss])
    [0.0003, 0.4663]
    """
    _crossentropy.check(axis=axis, gamma=gamma, label_smoothing=label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    name = "categorical_focal_crossentropy"
    _crossentropy.warn_of_one_class(name, y_pred, axis)
    p = _crossentropy.in_float32(y_pred)
    y_true = ops.cast(y_true, p.dtype)
    y = _crossentropy.smooth(y_true, label_smoothing, axis)
    if from_logits:
        p = ops.softmax(p, axis=axis)
    else:
        p = p / ops.sum(p, axis=axis, keepdims=True)
    epsilon = keras.config.epsilon()
    p = ops.clip(p, epsilon, 1 - epsilon)
    loss = y * ops.log(p)
    if gamma:
        loss = _crossentropy.focus(1 - p, gamma) * loss
    a: Any = alpha
    if np.ndim(a) == 0:
        loss = -a * ops.sum(loss, axis=axis)
    else:
        axes_behind = len(p.shape[axis:]) - 1
        a = ops.convert_to_tensor(a, dtype=p.dtype)
        a = ops.reshape(a, (-1,) + (1,) * axes_behind)
        loss = -ops.sum(loss * a, axis=axis)
    return ops.cast(loss, y_pred.dtype)
