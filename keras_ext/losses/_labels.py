"""What the margin losses share about labels."""

from typing import Any

from keras import ops

Tensor = Any


def signs(y_true: Tensor) -> Tensor:
    """Turns labels in {0, 1} into {-1, 1}; others stay, as in Keras.

    One label that is neither 0 nor 1 leaves all of them as they are.
    """
    binary = ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1))
    # Not a branch: that would wait for the labels where they are on a GPU.
    b = ops.cast(ops.all(binary), y_true.dtype)
    return (1 + b) * y_true - b
