"""Kullback-Leibler divergence."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses import _backend
from keras_ext.losses._config import dtype_config
from keras_ext.losses._crossentropy import in_float32
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Kullback-Leibler divergence per sample, the sum over the last axis.

    Formula, with `p = y_true` and `q = y_pred`:

    ```
    loss = sum(p * log(p / q))
    ```

    Args:
        y_true: Probabilities, `(batch_size, ..., num_classes)`, clipped to
            [epsilon, 1] with `epsilon = keras.config.epsilon()`.
        y_pred: Predicted probabilities, of the shape of `y_true` and clipped
            alike.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import kl_divergence
    >>> loss = kl_divergence([[0.5, 0.5], [0.0, 1.0]], [[0.5, 0.5]] * 2)
    >>> print([round(float(value), 4) for value in loss])
    [0.0, 0.6931]

    Reference:

    - [Kullback and Leibler, 1951](https://doi.org/10.1214/aoms/1177729694)

    It computes what `keras.losses.kl_divergence` computes, also in float16,
    which cannot hold that function's quotient.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    epsilon = keras.config.epsilon()
    p = ops.clip(in_float32(y_true), epsilon, 1)
    q = ops.clip(in_float32(y_pred), epsilon, 1)
    loss = ops.sum(p * _backend.log_quotient(p, q), axis=-1)
    return ops.cast(loss, y_pred.dtype)


@registered
class KLDivergence(keras.losses.KLDivergence):
    """Kullback-Leibler divergence, or relative entropy, of two distributions.

    Formula, with `p = y_true` and `q = y_pred`:

    ```
    loss = sum(p * log(p / q))
    ```

    summed over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"kl_divergence"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Probabilities, `(batch_size, ..., num_classes)`, clipped to
            [epsilon, 1] with `epsilon = keras.config.epsilon()`.
        y_pred: Predicted probabilities, of the shape of `y_true` and clipped
            alike.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import KLDivergence
    >>> loss = KLDivergence()
    >>> print(round(float(loss([[0.0, 1.0]], [[0.5, 0.5]])), 4))
    0.6931

    Reference:

    - [Kullback and Leibler, 1951](https://doi.org/10.1214/aoms/1177729694)

    It computes what `keras.losses.KLDivergence` computes, also in float16,
    which cannot hold that class's quotient. That class leaves `dtype` out of
    its config; here it is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return kl_divergence(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
