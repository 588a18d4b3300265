"""Mean absolute error."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean absolute error per sample, the mean over the last axis.

    Formula:

    ```
    loss = mean(|y_true - y_pred|)
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import mean_absolute_error
    >>> loss = mean_absolute_error([[0.0, 1.0], [0.0, 0.0]], [[2.0, 1.0]] * 2)
    >>> print([float(value) for value in loss])
    [1.0, 1.5]

    It computes what `keras.losses.mean_absolute_error` computes.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@registered
class MeanAbsoluteError(keras.losses.MeanAbsoluteError):
    """Mean absolute error: regression that large errors do not dominate.

    Formula:

    ```
    loss = mean(|y_true - y_pred|)
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"mean_absolute_error"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import MeanAbsoluteError
    >>> loss = MeanAbsoluteError()
    >>> print(float(loss([[0.0, 1.0], [0.0, 0.0]], [[2.0, 1.0]] * 2)))
    1.25

    It computes what `keras.losses.MeanAbsoluteError` computes. That class
    leaves `dtype` out of its config; here it is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        return mean_absolute_error(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
