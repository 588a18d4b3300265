"""Quantile loss, or pinball loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import function_of, registered
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class Quantile(Loss):
    """Quantile (pinball) loss: predicts a quantile of the labels.

    Formula, with the error `e = y_true - y_pred` and `q = quantile`, averaged
    over the last axis, then reduced over the samples:

    ```
    loss = mean(max(q * e, (q - 1) * e))
    ```

    The loss is smallest where a share q of the labels lies below the
    prediction. With several quantiles a model predicts one column for each:
    0.05 and 0.95, for example, enclose nine labels in ten. A model of several
    targets needs the output shape `(targets, quantiles)`: end it with a
    `keras.layers.Reshape`.

    Args:
        quantile: The quantile that `y_pred` estimates, in (0, 1), or a
            sequence of one for each column of `y_pred`.

    Call arguments:
        y_true: Labels, `(batch_size, ..., output_dim)`. With several
            quantiles `(batch_size, ...)`, `(batch_size, ..., 1)` or of the
            shape of `y_pred`.
        y_pred: Predictions, `(batch_size, ..., output_dim)`. With several
            quantiles `(batch_size, ..., len(quantile))`: the last axis has
            one column for each.

    Raises:
        ValueError: If a quantile is not in (0, 1), there is not one for each
            column of `y_pred`, or `reduction` is unknown.

    Example:
    >>> from keras_ext.losses import Quantile
    >>> loss = Quantile((0.1, 0.5, 0.9))
    >>> print(round(float(loss([1.0], [[0.0, 1.0, 3.0]])), 4))
    0.1

    Reference: [Koenker and Bassett, 1978](https://doi.org/10.2307/1913643)

    Keras has no such loss. It is scikit-learn's `mean_pinball_loss`.
    """

    quantile: float | Sequence[float]

    def __init__(
        self,
        quantile: float | Sequence[float] = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "quantile",
        dtype: Any = None,
    ):
        _check_quantile(quantile)
        super().__init__(
            quantile=quantile, reduction=reduction, name=name, dtype=dtype
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return quantile(y_true, y_pred, self.quantile)


@function_of(Quantile)
def quantile(
    y_true: Tensor,
    y_pred: Tensor,
    quantile: float | Sequence[float] = 0.5,
) -> Tensor:
    """Quantile (pinball) loss per sample, the mean over the last axis.

    Raises:
        ValueError: If a quantile is not in (0, 1), or there is not one for
            each column of `y_pred`.

    Example:
    >>> from keras_ext.losses import quantile
    >>> loss = quantile([[1.0], [1.0]], [[0.0], [2.0]], quantile=0.9)
    >>> print([round(float(value), 4) for value in loss])
    [0.9, 0.1]
    """
    _check_quantile(quantile)
    q: Any = quantile
    if np.ndim(q) == 0:
        y_true, y_pred = as_pair(y_true, y_pred)
    else:
        y_true, y_pred = _columns(y_true, y_pred, q)
        q = ops.convert_to_tensor(q, dtype=y_pred.dtype)
    e = y_true - y_pred
    # max(q * e, (q - 1) * e), in a form with slope q at 0 on all backends.
    return ops.mean(e * q + ops.relu(-e), axis=-1)


def _columns(
    y_true: Tensor, y_pred: Tensor, quantile: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Add the axis of the quantiles to labels that lack it."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    if len(y_pred.shape) == 0 or y_pred.shape[-1] != len(quantile):
        raise ValueError(
            "`quantile` must have one value for each column of `y_pred`. "
            f"Received: quantile={quantile}, y_pred.shape={y_pred.shape}"
        )
    if len(y_true.shape) == len(y_pred.shape) - 1:
        y_true = ops.expand_dims(y_true, -1)
    return y_true, y_pred


def _check_quantile(quantile: float | Sequence[float]) -> None:
    values = np.asarray(quantile)
    inside = np.all((0 < values) & (values < 1))
    require(
        values.ndim <= 1 and values.size > 0 and bool(inside),
        "be in (0, 1), or a sequence of such numbers",
        quantile=quantile,
    )
