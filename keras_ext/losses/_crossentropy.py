"""What the crossentropies share."""

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext.losses import _backend

Tensor = Any


def binary(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool,
    label_smoothing: float,
    axis: int,
    base: float | None,
    reduce: Callable[..., Tensor],
) -> Tensor:
    """Return the binary crossentropy, its sum or mean along an axis."""
    check(base=base, label_smoothing=label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    p = y_pred if from_logits else clippable(y_pred)
    y = smooth(ops.cast(y_true, p.dtype), label_smoothing, axis=None)
    loss = _backend.binary(y, p, from_logits)
    loss = in_base(reduce(loss, axis=axis), base)
    return ops.cast(loss, y_pred.dtype)


def in_base(loss: Tensor, base: float | None) -> Tensor:
    """Convert a loss in nats to the logarithm of another base."""
    return loss if base is None else loss / math.log(base)


def smooth(y_true: Tensor, label_smoothing: float, axis: int | None) -> Tensor:
    """Mix labels with the uniform distribution over the classes.

    The classes are those along `axis`, or the two that each label stands for
    if `axis` is `None`.
    """
    if not label_smoothing:
        return y_true
    if axis is None:
        uniform = label_smoothing / 2
    else:
        classes = ops.cast(ops.shape(y_true)[axis], y_true.dtype)
        uniform = label_smoothing / classes
    return y_true * (1 - label_smoothing) + uniform


def in_float32(x: Tensor) -> Tensor:
    """Cast 16-bit tensors, in which 1 - epsilon rounds to 1."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, "float32") if dtype in ("float16", "bfloat16") else x


def clippable(probabilities: Tensor) -> Tensor:
    """Return probabilities for a backend's crossentropy to clip."""
    # TensorFlow finds the logits of a sigmoid or softmax and then does not
    # clip. It would not find the logits of a cast.
    operation = getattr(probabilities, "op", None)
    if hasattr(probabilities, "_keras_logits") or (
        getattr(operation, "type", None) in ("Sigmoid", "Softmax")
    ):
        return probabilities
    return in_float32(probabilities)


def focus(miss: Tensor, gamma: float) -> Tensor:
    """Return `miss**gamma`, the weight of a sample that is off by `miss`."""
    if gamma == 1:
        return miss
    if gamma == 2:
        return ops.square(miss)
    if gamma < 1:
        # The slope of a root is infinite at 0, where the loss is flat.
        miss = ops.maximum(miss, ops.cast(keras.config.epsilon(), miss.dtype))
    return ops.power(miss, gamma)


def check(**arguments: Any) -> None:
    """Check `axis`, `base`, `gamma` and `label_smoothing`, as far as given."""
    for name, value in arguments.items():
        is_number = isinstance(value, numbers.Real)
        if name == "axis":
            # A forgotten argument may put a boolean in this place.
            holds, must = not isinstance(value, bool), "be of type `int`"
        elif name == "base":
            holds = value is None or (
                is_number and value != 1 and 0 < value < math.inf
            )
            must = "be `None` or a positive number other than 1"
        elif name == "gamma":
            holds, must = not is_number or value >= 0, "be a number >= 0"
        else:
            holds, must = not is_number or 0 <= value <= 1, "be in [0, 1]"
        require(holds, must, **{name: value})


def warn_of_one_class(name: str, y_pred: Tensor, axis: int) -> None:
    """Warn of a softmax over one class, which is always 1."""
    if y_pred.shape[axis] == 1:
        warnings.warn(
            f"In loss {name}, expected y_pred.shape to be "
            "(batch_size, num_classes) with num_classes > 1. "
            f"Received: y_pred.shape={y_pred.shape}. "
            "Consider using 'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )
