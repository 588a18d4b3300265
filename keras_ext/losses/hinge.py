"""Hinge loss."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._labels import signs
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Hinge loss per sample, the mean over the last axis.

    Formula:

    ```
    loss = mean(max(0, 1 - y_true * y_pred))
    ```

    Args:
        y_true: Labels, `(batch_size, ..., output_dim)`, each -1 or 1. If all
            are 0 or 1, a label of 0 counts as -1.
        y_pred: Predictions, `(batch_size, ..., output_dim)`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Example:
    >>> from keras_ext.losses import hinge
    >>> loss = hinge([[-1.0], [1.0], [1.0]], [[0.5], [0.5], [2.0]])
    >>> print([float(value) for value in loss])
    [1.5, 0.5, 0.0]

    Reference:

    - [Cortes and Vapnik, 1995](https://doi.org/10.1007/BF00994018)

    It computes what `keras.losses.hinge` computes.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = signs(ops.convert_to_tensor(y_true, dtype=y_pred.dtype))
    return ops.mean(ops.maximum(1 - y_true * y_pred, 0), axis=-1)


@registered
class Hinge(keras.losses.Hinge):
    """Hinge loss: two classes, kept apart by a margin.

    Formula:

    ```
    loss = mean(max(0, 1 - y_true * y_pred))
    ```

    averaged over the last axis, then reduced over the samples.

    Args:
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"hinge"`.
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
    >>> from keras_ext.losses import Hinge
    >>> loss = Hinge()
    >>> print(float(loss([[0.0], [1.0]], [[0.5], [0.5]])))
    1.0

    Reference:

    - [Cortes and Vapnik, 1995](https://doi.org/10.1007/BF00994018)

    It computes what `keras.losses.Hinge` computes. That class leaves `dtype`
    out of its config; here it is saved.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return hinge(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config["dtype"] = dtype_config(self._config_dtype)
        return config
