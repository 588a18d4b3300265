"""Huber loss."""

import numbers
from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import function_of, registered
from keras_ext.losses import _backend
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class Huber(Loss, keras.losses.Huber):
    """Huber loss: quadratic for small errors, linear for outliers.

    Formula, with the error `e = y_pred - y_true`, averaged over the last
    axis, then reduced over the samples:

    ```
    huber(e) = e**2 / 2                        if |e| <= delta
    huber(e) = delta * |e| - delta**2 / 2      otherwise
    ```

    Args:
        delta: Size of the error up to which the loss is quadratic; positive.

    Raises:
        ValueError: If `delta` is not positive, or `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import Huber
    >>> loss = Huber(delta=1.0)
    >>> print(float(loss([[0.0, 0.0]], [[0.5, 3.0]])))
    1.3125

    Reference: [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)

    It computes what `keras.losses.Huber` computes. That class leaves `delta`
    and `dtype` out of its config, so that a loaded model has the defaults;
    here both are saved.
    """

    delta: float

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

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return huber(y_true, y_pred, self.delta)


@function_of(Huber)
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """Huber loss per sample, the mean over the last axis.

    Raises:
        ValueError: If `delta` is not positive.

    Example:
    >>> from keras_ext.losses import huber
    >>> loss = huber([[0.0, 0.0], [0.0, 0.0]], [[0.5, 3.0], [-1.0, 0.0]])
    >>> print([round(float(value), 4) for value in loss])
    [1.3125, 0.25]
    """
    _check_delta(delta)
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(_backend.huber(y_pred - y_true, delta), axis=-1)


def _check_delta(delta: float) -> None:
    holds = not isinstance(delta, numbers.Real) or delta > 0
    require(holds, "be a positive number", delta=delta)
