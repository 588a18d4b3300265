"""Labels and predictions in the form that a loss needs."""

from typing import Any

from keras import ops

Tensor = Any


def as_pair(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels and predictions in one rank and the predictions' dtype."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    return same_rank(y_true, y_pred)


def same_rank(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels and predictions in one rank, as Keras does.

    If one of the two has a last axis of length 1 that the other lacks, a
    vector gains that axis, and a longer tensor loses it.
    """
    surplus = len(y_pred.shape) - len(y_true.shape)
    if surplus == 1 and y_pred.shape[-1] == 1:
        y_true, y_pred = _fit(y_true, y_pred)
    elif surplus == -1 and y_true.shape[-1] == 1:
        y_pred, y_true = _fit(y_pred, y_true)
    return y_true, y_pred


def _fit(small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    if len(small.shape) == 1:
        return ops.expand_dims(small, -1), large
    return small, ops.squeeze(large, -1)
