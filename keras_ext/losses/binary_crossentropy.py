"""Binary crossentropy, or log loss."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses import _backend
from keras_ext.losses._config import dtype_config
from keras_ext.losses._crossentropy import (
    check_base,
    check_label_smoothing,
    clippable,
    in_base,
    smooth,
)
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def binary_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    *,
    base: float | None = None,
) -> Tensor:
    """Binary crossentropy per sample, the mean over an axis.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits:

    ```
    loss = -mean(y * log(p) + (1 - y) * log(1 - p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    Args:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the mean. Defaults to `-1`.
        base: Base of the logarithm, positive and not 1; 2 gives bits. `None`
            is the natural logarithm. Defaults to `None`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Raises:
        ValueError: If the shapes differ, or `label_smoothing` or `base` is
            out of range.

    Example:
    >>> from keras_ext.losses import binary_crossentropy
    >>> loss = binary_crossentropy([[1.0], [0.0]], [[0.775], [0.5]], base=2)
    >>> print([round(float(value), 4) for value in loss])
    [0.3677, 1.0]

    It computes what `keras.losses.binary_crossentropy` computes. In
    16 bits the clipping would let log(0) pass, so probabilities are computed
    in float32.
    """
    check_base(base)
    check_label_smoothing(label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    p = y_pred if from_logits else clippable(y_pred)
    y = smooth(ops.cast(y_true, p.dtype), label_smoothing, axis=None)
    loss = _backend.binary(y, p, from_logits)
    loss = in_base(ops.mean(loss, axis=axis), base)
    return ops.cast(loss, y_pred.dtype)


@registered
class BinaryCrossentropy(keras.losses.BinaryCrossentropy):
    """Binary crossentropy (log loss), for outputs of a sigmoid.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits:

    ```
    loss = -mean(y * log(p) + (1 - y) * log(1 - p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    averaged over `axis`, then reduced over the samples.

    Args:
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the mean. Defaults to `-1`.
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"binary_crossentropy"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.
        base: Base of the logarithm, positive and not 1; 2 gives bits. `None`
            is the natural logarithm. Defaults to `None`.

    Call arguments:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `label_smoothing` or `base` is out of range,
            `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import BinaryCrossentropy
    >>> loss = BinaryCrossentropy(base=2)
    >>> print(round(float(loss([[1.0]], [[0.775]])), 4))
    0.3677

    It computes what `keras.losses.BinaryCrossentropy` computes. That class
    leaves `dtype` out of its config; here it is saved. `base` is an addition.
    In 16 bits the clipping would let log(0) pass, so probabilities are
    computed in float32.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        *,
        base: float | None = None,
    ):
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
        return binary_crossentropy(
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
