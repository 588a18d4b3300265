"""Losses of two classes, by the margin between them."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class Hinge(Loss, keras.losses.Hinge):
    """Hinge loss: two classes, kept apart by a margin.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = mean(max(0, 1 - y_true * y_pred))
    ```

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`, each -1 or 1. If all
            are 0 or 1, a label of 0 counts as -1.

    Example:
    >>> from keras_ext.losses import Hinge
    >>> loss = Hinge()
    >>> print(float(loss([[0.0], [1.0]], [[0.5], [0.5]])))
    1.0

    Reference: [Cortes and Vapnik, 1995](https://doi.org/10.1007/BF00994018)

    It computes what `keras.losses.Hinge` computes. That class leaves `dtype`
    out of its config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return hinge(*as_pair(y_true, y_pred))


@function_of(Hinge)
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Hinge loss per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import hinge
    >>> loss = hinge([[-1.0], [1.0], [1.0]], [[0.5], [0.5], [2.0]])
    >>> print([float(value) for value in loss])
    [1.5, 0.5, 0.0]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _signs(ops.convert_to_tensor(y_true, dtype=y_pred.dtype))
    return ops.mean(ops.maximum(1 - y_true * y_pred, 0), axis=-1)


@registered
class Exponential(Loss):
    """Exponential loss, the loss of AdaBoost: two classes, kept far apart.

    Formula, averaged over the last axis, then reduced over the samples:

    ```
    loss = mean(exp(-y_true * y_pred))
    ```

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`, each -1 or 1. If all
            are 0 or 1, a label of 0 counts as -1.

    Example:
    >>> from keras_ext.losses import Exponential
    >>> loss = Exponential()
    >>> print(round(float(loss([[0.0], [1.0]], [[0.5], [0.5]])), 4))
    1.1276

    Reference: [Freund and Schapire, 1997](https://doi.org/10.1006/jcss.1997.1504)

    Keras has no such loss. The loss grows exponentially with the margin by
    which a sample is on the wrong side; above a margin of 88 it is infinite
    in float32.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "exponential",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return exponential(y_true, y_pred)


@function_of(Exponential)
def exponential(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Exponential loss per sample, the mean over the last axis.

    Example:
    >>> from keras_ext.losses import exponential
    >>> loss = exponential([[-1.0], [1.0], [1.0]], [[0.5], [0.5], [2.0]])
    >>> print([round(float(value), 4) for value in loss])
    [1.6487, 0.6065, 0.1353]
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.exp(-_signs(y_true) * y_pred), axis=-1)


def _signs(y_true: Tensor) -> Tensor:
    """Turn labels in {0, 1} into {-1, 1}.

    As in Keras, one label that is neither 0 nor 1 leaves all labels as they
    are.
    """
    binary = ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1))
    # A branch would wait for labels on a GPU.
    b = ops.cast(ops.all(binary), y_true.dtype)
    return (1 + b) * y_true - b
