"""Log-cosh loss."""

import math
from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses import _backend
from keras_ext.losses._config import dtype_config
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Log-cosh loss per sample, the mean over the last axis.

    Formula:

    ```
    loss = mean(log(cosh(y_pred - y_true)))
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import log_cosh
    >>> loss = log_cosh([[0.0], [0.0]], [[1.0], [-1e6]])
    >>> print([round(float(value), 3) for value in loss])
    [0.434, 999999.312]

    It computes what `keras.losses.log_cosh` computes.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    e = y_pred - y_true
    # cosh(e) = exp(e) * (1 + exp(-2 * e)) / 2, whose logarithm is a sum of
    # terms that do not overflow.
    return ops.mean(e + _backend.softplus(-2 * e), axis=-1) - math.log(2)


@registered
class LogCosh(keras.losses.LogCosh):
    """Log-cosh loss: quadratic for small errors, linear for large ones.

    Formula:

    ```
    loss = mean(log(cosh(y_pred - y_true)))
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"log_cosh"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import LogCosh
    >>> loss = LogCosh()
    >>> print(round(float(loss([[0.0]], [[1.0]])), 4))
    0.4338

    It computes what `keras.losses.LogCosh` computes. That class leaves
    `dtype` out of its config; here it is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        return log_cosh(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
