"""Losses of regression without arguments of their own."""

import math
from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _backend
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class MeanSquaredError(Loss, keras.losses.MeanSquaredError):
    """Mean squared error: the loss of regression with a linear output.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = mean((y_true - y_pred)**2)
    ```

    Example:
    >>> from keras_ext.losses import MeanSquaredError
    >>> loss = MeanSquaredError()
    >>> print(float(loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0]] * 2)))
    0.75

    It computes what `keras.losses.MeanSquaredError` computes. That class
    leaves `dtype` out of its config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return mean_squared_error(y_true, y_pred)


@function_of(MeanSquaredError)
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean squared error per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import mean_squared_error
    >>> loss = mean_squared_error([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0]] * 2)
    >>> print([float(value) for value in loss])
    [0.5, 1.0]
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@registered
class MeanAbsoluteError(Loss, keras.losses.MeanAbsoluteError):
    """Mean absolute error: regression that large errors do not dominate.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = mean(|y_true - y_pred|)
    ```

    Example:
    >>> from keras_ext.losses import MeanAbsoluteError
    >>> loss = MeanAbsoluteError()
    >>> print(float(loss([[0.0, 1.0], [0.0, 0.0]], [[2.0, 1.0]] * 2)))
    1.25

    It computes what `keras.losses.MeanAbsoluteError` computes. That class
    leaves `dtype` out of its config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return mean_absolute_error(y_true, y_pred)


@function_of(MeanAbsoluteError)
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean absolute error per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import mean_absolute_error
    >>> loss = mean_absolute_error([[0.0, 1.0], [0.0, 0.0]], [[2.0, 1.0]] * 2)
    >>> print([float(value) for value in loss])
    [1.0, 1.5]
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@registered
class MeanAbsolutePercentageError(
    Loss, keras.losses.MeanAbsolutePercentageError
):
    """Mean absolute percentage error: errors relative to the label.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = 100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))
    ```

    Example:
    >>> from keras_ext.losses import MeanAbsolutePercentageError
    >>> loss = MeanAbsolutePercentageError()
    >>> print(float(loss([[2.0, 4.0]], [[1.0, 5.0]])))
    37.5

    It computes what `keras.losses.MeanAbsolutePercentageError` computes: the
    lectures' formula times 100. `epsilon = keras.config.epsilon()` prevents
    a division by a label of 0. The Keras class leaves `dtype` out of its
    config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return mean_absolute_percentage_error(y_true, y_pred)


@function_of(MeanAbsolutePercentageError)
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean absolute percentage error per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import mean_absolute_percentage_error
    >>> loss = mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 5.0]])
    >>> print(float(loss[0]))
    37.5
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    epsilon = ops.convert_to_tensor(keras.config.epsilon(), y_pred.dtype)
    error = (y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon)
    return 100 * ops.mean(ops.abs(error), axis=-1)


@registered
class LogCosh(Loss, keras.losses.LogCosh):
    """Log-cosh loss: quadratic for small errors, linear for large ones.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = mean(log(cosh(y_pred - y_true)))
    ```

    Example:
    >>> from keras_ext.losses import LogCosh
    >>> loss = LogCosh()
    >>> print(round(float(loss([[0.0]], [[1.0]])), 4))
    0.4338

    It computes what `keras.losses.LogCosh` computes. That class leaves
    `dtype` out of its config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return log_cosh(y_true, y_pred)


@function_of(LogCosh)
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Log-cosh loss per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import log_cosh
    >>> loss = log_cosh([[0.0], [0.0]], [[1.0], [-1e6]])
    >>> print([round(float(value), 3) for value in loss])
    [0.434, 999999.312]
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    e = y_pred - y_true
    # cosh(e) = exp(e) * (1 + exp(-2 * e)) / 2. Its logarithm is a sum of
    # terms that do not overflow.
    return ops.mean(e + _backend.softplus(-2 * e), axis=-1) - math.log(2)
