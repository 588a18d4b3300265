"""Mean absolute percentage error."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean absolute percentage error per sample, the mean over the last axis.

    Formula:

    ```
    loss = 100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import mean_absolute_percentage_error
    >>> loss = mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 5.0]])
    >>> print(float(loss[0]))
    37.5

    It computes what `keras.losses.mean_absolute_percentage_error` computes:
    the lectures' formula times 100, where `epsilon = keras.config.epsilon()`
    keeps labels of 0 from dividing.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = ops.convert_to_tensor(keras.config.epsilon(), y_pred.dtype)
    error = (y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon)
    return 100 * ops.mean(ops.abs(error), axis=-1)


@registered
class MeanAbsolutePercentageError(keras.losses.MeanAbsolutePercentageError):
    """Mean absolute percentage error: errors relative to the label.

    Formula:

    ```
    loss = 100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"mean_absolute_percentage_error"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import MeanAbsolutePercentageError
    >>> loss = MeanAbsolutePercentageError()
    >>> print(float(loss([[2.0, 4.0]], [[1.0, 5.0]])))
    37.5

    It computes what `keras.losses.MeanAbsolutePercentageError` computes: the
    lectures' formula times 100, where `epsilon = keras.config.epsilon()`
    keeps labels of 0 from dividing. That class leaves `dtype` out of its
    config; here it is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        return mean_absolute_percentage_error(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
