"""Exponential loss."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._labels import signs
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def exponential(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Exponential loss per sample, the mean over the last axis.

    Formula:

    ```
    loss = mean(exp(-y_true * y_pred))
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`, each -1 or 1. If all
            are 0 or 1, a label of 0 counts as -1.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import exponential
    >>> loss = exponential([[-1.0], [1.0], [1.0]], [[0.5], [0.5], [2.0]])
    >>> print([round(float(value), 4) for value in loss])
    [1.6487, 0.6065, 0.1353]

    Reference:

    - [Freund and Schapire, 1997](https://doi.org/10.1006/jcss.1997.1504)

    Keras has no such loss.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.exp(-signs(y_true) * y_pred), axis=-1)


@registered
class Exponential(keras.losses.Loss):
    """Exponential loss, that of AdaBoost: two classes, kept far apart.

    Formula:

    ```
    loss = mean(exp(-y_true * y_pred))
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"exponential"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`, each -1 or 1. If all
            are 0 or 1, a label of 0 counts as -1.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import Exponential
    >>> loss = Exponential()
    >>> print(round(float(loss([[0.0], [1.0]], [[0.5], [0.5]])), 4))
    1.1276

    Reference:

    - [Freund and Schapire, 1997](https://doi.org/10.1006/jcss.1997.1504)

    Keras has no such loss. It grows exponentially with the margin by which
    a sample is on the wrong side: beyond 88 it is infinite in float32.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "exponential",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        return exponential(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
