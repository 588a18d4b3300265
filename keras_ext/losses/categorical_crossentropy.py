"""Categorical crossentropy of one-hot labels."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._crossentropy import (
    check_axis,
    check_base,
    check_label_smoothing,
    in_base,
    smooth,
    warn_of_one_class,
)
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
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

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits:

    ```
    loss = -sum(y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    Args:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum and clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the classes. Defaults to `-1`.
        base: Base of the logarithm, positive and not 1; 2 gives bits. `None`
            is the natural logarithm. Defaults to `None`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Raises:
        ValueError: If the shapes differ, `axis` is a boolean, or
            `label_smoothing` or `base` is out of range.

    Example:
    >>> from keras_ext.losses import categorical_crossentropy
    >>> y_pred = [[0.775, 0.116, 0.039, 0.070]]
    >>> loss = categorical_crossentropy([[1, 0, 0, 0]], y_pred, base=2)
    >>> print(round(float(loss[0]), 4))
    0.3677

    It computes what `keras.losses.categorical_crossentropy` computes. With
    an `axis` other than the last, that function smooths by the length of the
    last axis; here it is the number of classes.
    """
    check_axis(axis)
    check_base(base)
    check_label_smoothing(label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    warn_of_one_class("categorical_crossentropy", y_pred, axis)
    y = smooth(ops.cast(y_true, y_pred.dtype), label_smoothing, axis)
    loss = ops.categorical_crossentropy(
        y, y_pred, from_logits=from_logits, axis=axis
    )
    return in_base(loss, base)


@registered
class CategoricalCrossentropy(keras.losses.CategoricalCrossentropy):
    """Categorical crossentropy of one-hot labels, for outputs of a softmax.

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits:

    ```
    loss = -sum(y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    summed over the classes, then reduced over the samples.

    Args:
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the classes. Defaults to `-1`.
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"categorical_crossentropy"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.
        base: Base of the logarithm, positive and not 1; 2 gives bits. `None`
            is the natural logarithm. Defaults to `None`.

    Call arguments:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum and clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `axis` is a boolean, `label_smoothing` or `base` is out
            of range, `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import CategoricalCrossentropy
    >>> loss = CategoricalCrossentropy(base=2)
    >>> print(round(float(loss([[0, 1]], [[0.064, 0.936]])), 4))
    0.0954

    It computes what `keras.losses.CategoricalCrossentropy` computes. That
    class leaves `dtype` out of its config, and with an `axis` other than the
    last it smooths by the length of the last axis; here `dtype` is saved, and
    the number of classes counts. `base` is an addition.
    """

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
        check_axis(axis)
        check_base(base)
        check_label_smoothing(label_smoothing)
        super().__init__(
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.base = base
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return categorical_crossentropy(
            y_true,
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
            base=self.base,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {
                "from_logits": self.from_logits,
                "label_smoothing": self.label_smoothing,
                "axis": self.axis,
                "dtype": dtype_config(self._config_dtype),
                "base": self.base,
            }
        )
        return config
