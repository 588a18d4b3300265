"""Kullback-Leibler divergence."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _backend
from keras_ext.losses._base import Loss
from keras_ext.losses._crossentropy import in_float32
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class KLDivergence(Loss, keras.losses.KLDivergence):
    """Kullback-Leibler divergence, or relative entropy, of two distributions.

    Formula, with `p = y_true` and `q = y_pred`, summed over the last axis,
    then reduced over the samples:

    ```
    loss = sum(p * log(p / q))
    ```

    Call arguments:
        y_true: Probabilities, `(batch_size, ..., num_classes)`, clipped to
            [epsilon, 1] with `epsilon = keras.config.epsilon()`.
        y_pred: Predicted probabilities, clipped in the same way and of the
            shape of `y_true`.

    Example:
    >>> from keras_ext.losses import KLDivergence
    >>> loss = KLDivergence()
    >>> print(round(float(loss([[0.0, 1.0]], [[0.5, 0.5]])), 4))
    0.6931

    Reference: [Kullback and Leibler, 1951](https://doi.org/10.1214/aoms/1177729694)

    It computes what `keras.losses.KLDivergence` computes, also in float16,
    which cannot hold that class's quotient. That class leaves `dtype` out of
    its config; here `dtype` is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return kl_divergence(*as_pair(y_true, y_pred))


@function_of(KLDivergence)
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Kullback-Leibler divergence per sample, the sum over the last axis.

    Example:
    >>> from keras_ext.losses import kl_divergence
    >>> loss = kl_divergence([[0.5, 0.5], [0.0, 1.0]], [[0.5, 0.5]] * 2)
    >>> print([round(float(value), 4) for value in loss])
    [0.0, 0.6931]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    epsilon = keras.config.epsilon()
    p = ops.clip(in_float32(y_true), epsilon, 1)
    q = ops.clip(in_float32(y_pred), epsilon, 1)
    loss = ops.sum(p * _backend.log_quotient(p, q), axis=-1)
    return ops.cast(loss, y_pred.dtype)
