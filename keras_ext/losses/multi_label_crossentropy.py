"""Crossentropy of labels that do not exclude each other."""

from typing import Any

from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _crossentropy
from keras_ext.losses._base import Loss
from keras_ext.losses._inputs import as_pair

Tensor = Any


@registered
class MultiLabelCrossentropy(Loss):
    """Per-class crossentropy, for samples that may have several labels.

    Formula for N samples and K classes, with `p = y_pred`, or
    `p = sigmoid(y_pred)` for logits, summed over the classes, then reduced
    over the samples, by default to their mean:

    ```
    loss = -1/N sum_i sum_k [y_ik log(p_ik) + (1 - y_ik) log(1 - p_ik)]
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    Call arguments:
        y_true: Labels in [0, 1], `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `label_smoothing` or `base` is out of range,
            `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import MultiLabelCrossentropy
    >>> loss = MultiLabelCrossentropy(base=2)
    >>> print(float(loss([[1.0, 0.0], [1.0, 1.0]], [[0.5, 0.5], [0.5, 1.0]])))
    1.5

    Keras has no such loss: `keras.losses.BinaryCrossentropy` averages over
    the classes, so that loss and gradient are smaller by the factor K.
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
        name: str | None = "multi_label_crossentropy",
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
        y_true, y_pred = as_pair(y_true, y_pred)
        return multi_label_crossentropy(y_true, y_pred, **self._arguments)


@function_of(MultiLabelCrossentropy)
def multi_label_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    *,
    base: float | None = None,
) -> Tensor:
    """Binary crossentropy of every class, summed over the classes.

    Raises:
        ValueError: If the shapes differ, or `label_smoothing` or `base` is
            out of range.

    Example:
    >>> from keras_ext.losses import multi_label_crossentropy
    >>> loss = multi_label_crossentropy([[1.0, 0.0]], [[0.5, 0.5]], base=2)
    >>> print(float(loss[0]))
    2.0

    It is `keras_ext.losses.binary_crossentropy` with the sum over the classes
    in place of their mean.
    """
    return _crossentropy.binary(
        y_true, y_pred, from_logits, label_smoothing, axis, base, ops.sum
    )
