"""Softmax with masks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ext import activations
from keras_ext._registration import registered

Tensor = Any


@registered
class Softmax(keras.layers.Softmax):
    """Softmax over one or several axes, of what a mask keeps.

    Formula:

    ```
    f(z)_i = exp(z_i) / sum_j exp(z_j)    where the mask is 1
    f(z)_i = 0                            elsewhere
    ```

    with the sum over the entries where the mask is 1. If all entries are
    masked, all outputs are 0.

    Args:
        axis: Axis over which the outputs sum to 1. Several axes share one
            sum.

    Call arguments:
        inputs: Logits, `(batch_size, ..., num_classes)`.
        mask: `None` or what to keep, as booleans or as numbers (1 to keep, 0
            to mask), of a shape that broadcasts to that of `inputs`. A mask
            of `(batch_size, timesteps)`, which Keras passes on by itself, is
            used if `axis` is the axis of the steps.

    Raises:
        ValueError: If `axis` is not an axis of the input, or the mask does
            not fit.

    Example:
    >>> import numpy as np
    >>> from keras_ext.layers import Softmax
    >>> z = np.array([[2.0, 1.0, 0.1], [0.0, 0.0, 9.0]])
    >>> mask = np.array([[True, True, True], [True, True, False]])
    >>> for row in Softmax()(z, mask=mask):
    ...     print([round(float(value), 3) for value in row])
    [0.659, 0.242, 0.099]
    [0.5, 0.5, 0.0]

    It computes what `keras.layers.Softmax` computes, except for three errors
    of that class. It replaces masked logits by -1e9 (-3e4 in float16), so
    that they win over lower logits that are kept. It loses digits of large
    logits over several axes. It fails on masks of time steps.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(axis=axis, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply softmax to what is not masked."""
        if not keras.backend.is_float_dtype(inputs.dtype):
            inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            mask = _fit(mask, inputs.shape, self.axis)
        if mask is None:
            return activations.softmax(inputs, self.axis)
        # Below all logits, but finite: softmax of -inf alone is NaN.
        half = keras.backend.standardize_dtype(inputs.dtype) == "float16"
        lowest = ops.cast(-65504.0 if half else -1e38, inputs.dtype)
        logits = ops.where(mask, inputs, lowest)
        outputs = activations.softmax(logits, self.axis)
        return ops.where(mask, outputs, ops.zeros_like(outputs))


def _fit(
    mask: Any, shape: Sequence[int | None], axis: int | Sequence[int]
) -> Tensor | None:
    """Return the mask as booleans that broadcast to the shape.

    Return `None` for a mask of time steps if the softmax is within a step.
    """
    mask = ops.convert_to_tensor(mask)
    if keras.backend.standardize_dtype(mask.dtype) != "bool":
        mask = mask > ops.cast(0.5, mask.dtype)
    rank, given = len(shape), len(mask.shape)
    # An unknown size is the size of the batch.
    steps = given < rank and _broadcasts(mask.shape, shape[:given])
    if not (steps and mask.shape and mask.shape[0] is None) and _broadcasts(
        mask.shape, shape[max(0, rank - given) :]
    ):
        return mask
    if steps:
        axes = [axis] if isinstance(axis, int) else axis
        if all(a % rank >= given for a in axes):
            return None
        return ops.reshape(mask, (*ops.shape(mask), *[1] * (rank - given)))
    raise ValueError(
        "`mask` must have a shape that broadcasts to that of `inputs`. "
        f"Received: mask.shape={tuple(mask.shape)}, "
        f"inputs.shape={tuple(shape)}"
    )


def _broadcasts(
    shape: Sequence[int | None], target: Sequence[int | None]
) -> bool:
    return len(shape) == len(target) and all(
        a == 1 or a == b or a is None or b is None
        for a, b in zip(shape, target, strict=True)
    )
