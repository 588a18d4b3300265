"""Categorical crossentropy of one-hot labels."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _crossentropy
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class CategoricalCrossentropy(Loss, keras.losses.CategoricalCrossentropy):
    """Categorical crossentropy of one-hot labels, for outputs of a softmax.

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits, summed over the classes, then reduced
    over the samples:

    ```
    loss = -sum(y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    Call arguments:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum and clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `axis` is a boolean, `label_smoothing` or `base` is out
            of range, `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import CategoricalCrossentropy
    >>> loss = CategoricalCrossentropy(base=2)
    >>> print(round(float(loss([[0, 1]], [[0.064, 0.936]])), 4))
    0.0954

    It computes what `keras.losses.CategoricalCrossentropy` computes. That
    class leaves `dtype` out of its config; here `dtype` is saved. With an
    `axis` other than the last, that class smooths by the length of the last
    axis; here by the number of classes. `base` is an addition.
    """

    from_logits: bool
    label_smoothing: float
    axis: int
    base: float | None

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        *,
        base: float | None = None,
    ):
        _crossentropy.check(
            axis=axis, base=base, label_smoothing=label_smoothing
        )
        super().__init__(
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
            base=base,
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return categorical_crossentropy(y_true, y_pred, **self._arguments)


@function_of(CategoricalCrossentropy)
def categorical_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    *,
    base: float | None = None,
) -> Tensor:
    """Categorical crossentropy per sample, the sum over the classes.

    Raises:
        ValueError: If the shapes differ, `axis` is a boolean, or
            `label_smoothing` or `base` is out of range.

    Example:
    >>> from keras_ext.losses import categorical_crossentropy
    >>> y_pred = [[0.775, 0.116, 0.039, 0.070]]
    >>> loss = categorical_crossentropy([[1, 0, 0, 0]], y_pred, base=2)
    >>> print(round(float(loss[0]), 4))
    0.3677
    """
    _crossentropy.check(axis=axis, base=base, label_smoothing=label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    _crossentropy.warn_of_one_class("categorical_crossentropy", y_pred, axis)
    y_true = ops.cast(y_true, y_pred.dtype)
    y = _crossentropy.smooth(y_true, label_smoothing, axis)
    loss = ops.categorical_crossentropy(
        y, y_pred, from_logits=from_logits, axis=axis
    )
    return _crossentropy.in_base(loss, base)
