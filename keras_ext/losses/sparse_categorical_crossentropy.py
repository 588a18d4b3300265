"""Categorical crossentropy of integer labels."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import function_of, registered
from keras_ext.losses import _backend
from keras_ext.losses._base import Loss
from keras_ext.losses._crossentropy import check, in_base, in_float32
from keras_ext.losses._inputs import same_rank

Tensor = Any


@registered
class SparseCategoricalCrossentropy(
    Loss, keras.losses.SparseCategoricalCrossentropy
):
    """Categorical crossentropy of integer labels, for outputs of a softmax.

    Formula, with `p = y_pred / sum(y_pred)`, or `p = softmax(y_pred)` for
    logits, reduced over the samples:

    ```
    loss = -log(p[y_true])
    ```

    Args:
        ignore_class: Label of the samples that do not count: their loss and
            gradient are 0, and a mean leaves them out. `None` means that all
            count.
        axis: Axis of the classes in `y_pred`.

    Call arguments:
        y_true: Classes, integers in [0, num_classes), `(batch_size, ...)`, or
            with an axis of length 1 in the place of the classes.
        y_pred: Probabilities or logits, `(batch_size, ..., num_classes)`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.

    Raises:
        ValueError: If `axis` is a boolean, `base` is out of range,
            `reduction` is unknown, or the shapes do not fit.

    Example:
    >>> from keras_ext.losses import SparseCategoricalCrossentropy
    >>> loss = SparseCategoricalCrossentropy(base=2)
    >>> print(round(float(loss([1], [[0.064, 0.936]])), 4))
    0.0954

    It computes what `keras.losses.SparseCategoricalCrossentropy` computes.
    That class leaves `axis` and `dtype` out of its config, and supports only
    the last axis on TensorFlow and JAX. With a 16-bit dtype it rounds labels
    above 256 (bfloat16) or 2048 (float16) to another class. Here `axis` and
    `dtype` are saved, every axis works, and labels stay exact. `base` is an
    addition.
    """

    from_logits: bool
    ignore_class: int | None
    axis: int
    base: float | None

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        *,
        base: float | None = None,
    ):
        check(axis=axis, base=base)
        super().__init__(
            from_logits=from_logits,
            ignore_class=ignore_class,
            reduction=reduction,
            axis=axis,
            name=name,
            dtype=dtype,
            base=base,
        )

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> Tensor:
        """Return the reduced loss."""
        if self.dtype in ("float16", "bfloat16"):
            y_true = _digits(y_true)
        loss = super().__call__(y_true, y_pred, sample_weight)
        # Last, because what `call` returns carries the mask of ignored labels,
        # which another tensor would not have.
        return in_base(loss, self.base)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value per sample, in nats for any `base`."""
        if isinstance(y_true, tuple):
            y_true = _from_digits(y_true)
        y_true, y_pred = same_rank(
            ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        )
        return _in_nats(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )


@function_of(SparseCategoricalCrossentropy)
def sparse_categorical_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    *,
    base: float | None = None,
) -> Tensor:
    """Categorical crossentropy per sample, for integer labels.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`,
        with `ignore_class` in float32 at least.

    Raises:
        ValueError: If the shapes do not fit, `axis` is a boolean, or `base`
            is out of range.

    Example:
    >>> from keras_ext.losses import sparse_categorical_crossentropy
    >>> y_pred = [[0.775, 0.116, 0.039, 0.070]]
    >>> loss = sparse_categorical_crossentropy([0], y_pred, base=2)
    >>> print(round(float(loss[0]), 4))
    0.3677
    """
    check(axis=axis, base=base)
    loss = _in_nats(y_true, y_pred, from_logits, ignore_class, axis)
    return in_base(loss, base)


def _in_nats(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool,
    ignore_class: int | None,
    axis: int,
) -> Tensor:
    """Return one value per sample; ignored ones are masked, as in Keras."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    if axis not in (-1, len(y_pred.shape) - 1):
        y_pred = ops.moveaxis(y_pred, axis, -1)
    if ignore_class is None:
        return _backend.sparse(y_true, y_pred, from_logits)
    if not from_logits and keras.config.backend() != "tensorflow":
        return _masked(y_true, y_pred, ignore_class)
    # Keras has no public way to set the mask that its function sets.
    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=from_logits, ignore_class=ignore_class
    )


def _masked(y_true: Tensor, y_pred: Tensor, ignore_class: int) -> Tensor:
    """Return -log(p[y_true]), ignored samples masked.

    Keras 3.12 sets the probabilities of ignored samples to 0 and divides them
    by their sum, so that the gradient is NaN on JAX and PyTorch.
    """
    labels = ops.cast(y_true, "int32")
    ignored = ops.equal(labels, ignore_class)
    y_pred = ops.where(ops.expand_dims(ignored, -1), 1, in_float32(y_pred))
    loss = _backend.sparse(ops.where(ignored, 0, labels), y_pred, False)
    return _backend.mask(loss, ignored)


def _digits(labels: Tensor) -> tuple[Tensor, ...]:
    """Split labels into parts that every dtype holds exactly.

    `keras.losses.Loss` casts labels to the dtype of the loss, and 16 bits
    round a large class to another one.
    """
    labels = ops.cast(labels, "int32")
    return labels // 2**16, labels // 2**8 % 2**8, labels % 2**8


def _from_digits(digits: tuple[Tensor, ...]) -> Tensor:
    high, middle, low = (ops.cast(digit, "int32") for digit in digits)
    return high * 2**16 + middle * 2**8 + low
