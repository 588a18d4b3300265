"""Huber loss."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses import _backend
from keras_ext.losses._config import dtype_config
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """Huber loss per sample, the mean over the last axis.

    Formula, with the error `e = y_pred - y_true`:

    ```
    huber(e) = e**2 / 2                        if |e| <= delta
    huber(e) = delta * |e| - delta**2 / 2      otherwise
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        delta: Size of the error up to which the loss is quadratic.
            Defaults to `1.0`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Raises:
        ValueError: If `delta` is not positive.

    Example:
    >>> from keras_ext.losses import huber
    >>> loss = huber([[0.0, 0.0], [0.0, 0.0]], [[0.5, 3.0], [-1.0, 0.0]])
    >>> print([round(float(value), 4) for value in loss])
    [1.3125, 0.25]

    Reference:

    - [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)
    """
    _check_delta(delta)
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(_backend.huber(y_pred - y_true, delta), axis=-1)


@registered
class Huber(keras.losses.Huber):
    """Huber loss: quadratic for small errors, linear for outliers.

    Formula, with the error `e = y_pred - y_true`:

    ```
    huber(e) = e**2 / 2                        if |e| <= delta
    huber(e) = delta * |e| - delta**2 / 2      otherwise
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        delta: Size of the error up to which the loss is quadratic; positive.
            Defaults to `1.0`.
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"huber_loss"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `delta` is not positive, or `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import Huber
    >>> loss = Huber(delta=1.0)
    >>> print(float(loss([[0.0, 0.0]], [[0.5, 3.0]])))
    1.3125

    Reference:

    - [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)

    It computes what `keras.losses.Huber` computes. That class leaves `delta`
    and `dtype` out of its config, so a saved model comes back with the
    defaults; here they are saved.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ):
        _check_delta(delta)
        super().__init__(
            delta=delta, reduction=reduction, name=name, dtype=dtype
        )
        self.delta = delta
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        return huber(y_true, y_pred, self.delta)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["delta"] = self.delta
        config["dtype"] = dtype_config(self._config_dtype)
        return config


def _check_delta(delta: float) -> None:
    if isinstance(delta, int | float) and not delta > 0:
        raise ValueError(
            f"`delta` must be a positive number. Received: delta={delta}"
        )
