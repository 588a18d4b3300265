"""What the crossentropies share."""

import math
import numbers
import warnings
from typing import Any

import keras
from keras import ops

Tensor = Any


def in_base(loss: Tensor, base: float | None) -> Tensor:
    """Converts a loss in nats to the logarithm of another base."""
    return loss if base is None else loss / math.log(base)


def smooth(y_true: Tensor, label_smoothing: float, axis: int | None) -> Tensor:
    """Mixes labels with the uniform distribution.

    Over the classes along `axis`, or over the two classes that each label
    stands for if `axis` is `None`.
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
    """Casts 16-bit tensors, in which 1 - epsilon is 1, so that log(0) lurks."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, "float32") if dtype in ("float16", "bfloat16") else x


def clippable(probabilities: Tensor) -> Tensor:
    """Returns probabilities for a backend's crossentropy to clip."""
    # TensorFlow's find the logits of a sigmoid or softmax and do not clip.
    # They would not find those of a cast.
    operation = getattr(probabilities, "op", None)
    if hasattr(probabilities, "_keras_logits") or (
        getattr(operation, "type", None) in ("Sigmoid", "Softmax")
    ):
        return probabilities
    return in_float32(probabilities)


def focus(miss: Tensor, gamma: float) -> Tensor:
    """Returns `miss**gamma`, the weight of a sample that is off by `miss`."""
    if gamma == 1:
        return miss
    if gamma == 2:
        return ops.square(miss)
    if gamma < 1:
        # The slope of a root is infinite at 0, where the loss is flat.
        miss = ops.maximum(miss, ops.cast(keras.config.epsilon(), miss.dtype))
    return ops.power(miss, gamma)


def check_base(base: float | None) -> None:
    """Refuses what is no base of a logarithm."""
    if base is None:
        return
    if (
        not isinstance(base, numbers.Real)
        or base == 1
        or not (0 < base < math.inf)
    ):
        raise ValueError(
            "`base` must be `None` or a positive number other than 1. "
            f"Received: base={base}"
        )


def check_label_smoothing(label_smoothing: float) -> None:
    """Refuses a smoothing that is no share."""
    if isinstance(label_smoothing, numbers.Real) and not (
        0 <= label_smoothing <= 1
    ):
        raise ValueError(
            "`label_smoothing` must be in [0, 1]. "
            f"Received: label_smoothing={label_smoothing}"
        )


def check_gamma(gamma: float) -> None:
    """Refuses a focusing parameter that would favour the easy samples."""
    if isinstance(gamma, numbers.Real) and not gamma >= 0:
        raise ValueError(
            f"`gamma` must be a number >= 0. Received: gamma={gamma}"
        )


def check_axis(axis: int) -> None:
    """Refuses a boolean, which a forgotten argument puts in this place."""
    if isinstance(axis, bool):
        raise ValueError(
            "`axis` must be of type `int`. "
            f"Received: axis={axis} of type {type(axis)}"
        )


def warn_of_one_class(name: str, y_pred: Tensor, axis: int) -> None:
    """Warns of a softmax over one class, which is always 1."""
    if y_pred.shape[axis] == 1:
        warnings.warn(
            f"In loss {name}, expected y_pred.shape to be "
            "(batch_size, num_classes) with num_classes > 1. "
            f"Received: y_pred.shape={y_pred.shape}. "
            "Consider using 'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )
