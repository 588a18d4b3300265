"""Binary crossentropy, or log loss."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _crossentropy
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class BinaryCrossentropy(Loss, keras.losses.BinaryCrossentropy):
    """Binary crossentropy (log loss), for outputs of a sigmoid.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits, averaged
    over `axis`, then reduced over the samples:

    ```
    loss = -mean(y * log(p) + (1 - y) * log(1 - p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    Args:
        axis: Axis of the mean.

    Call arguments:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `label_smoothing` or `base` is out of range,
            `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import BinaryCrossentropy
    >>> loss = BinaryCrossentropy(base=2)
    >>> print(round(float(loss([[1.0]], [[0.775]])), 4))
    0.3677

    It computes what `keras.losses.BinaryCrossentropy` computes. That class
    leaves `dtype` out of its config; here `dtype` is saved. `base` is an
    addition. Probabilities in 16 bits are computed in float32, because
    clipping in 16 bits does not prevent log(0).
    """

    from_logits: bool
    label_smoothing: float
    axis: int
    base: float | None

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        *,
        base: float | None = None,
    ):
        _crossentropy.check(base=base, label_smoothing=label_smoothing)
        super().__init__(
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
            base=base,
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample."""
        return binary_crossentropy(*as_pair(y_true, y_pred), **self._arguments)


@function_of(BinaryCrossentropy)
def binary_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    *,
    base: float | None = None,
) -> Tensor:
    """Binary crossentropy per sample, the mean over an axis.

    Raises:
        ValueError: If the shapes differ, or `label_smoothing` or `base` is
            out of range.

    Example:
    >>> from keras_ext.losses import binary_crossentropy
    >>> loss = binary_crossentropy([[1.0], [0.0]], [[0.775], [0.5]], base=2)
    >>> print([round(float(value), 4) for value in loss])
    [0.3677, 1.0]
    """
    return _crossentropy.binary(
        y_true, y_pred, from_logits, label_smoothing, axis, base, ops.mean
    )
