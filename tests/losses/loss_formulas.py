"""The formulas of the losses in float64 NumPy, and data for them."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

import keras_ext

EPSILON = 1e-7


def mean_squared_error(y, p):
    return ((y - p) ** 2).mean(-1)


def mean_absolute_error(y, p):
    return np.abs(y - p).mean(-1)


def mean_absolute_percentage_error(y, p):
    return 100 * np.abs((y - p) / np.maximum(np.abs(y), EPSILON)).mean(-1)


def huber(y, p, delta=1.0):
    size = np.abs(y - p)
    linear = delta * size - delta**2 / 2
    return np.where(size <= delta, size**2 / 2, linear).mean(-1)


def log_cosh(y, p):
    return (np.logaddexp(y - p, p - y) - np.log(2)).mean(-1)


def quantile(y, p, quantile=0.5):
    q = np.asarray(quantile)
    if q.ndim and y.ndim < p.ndim:
        y = y[..., None]
    e = y - p
    return np.maximum(q * e, (q - 1) * e).mean(-1)


def binary_terms(y, p, from_logits, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    if from_logits:
        return y, y * np.logaddexp(0, -p) + (1 - y) * np.logaddexp(0, p)
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return y, -(y * np.log(p) + (1 - y) * np.log(1 - p))


def in_base(loss, base):
    return loss if base is None else loss / np.log(base)


def binary_crossentropy(
    y, p, from_logits=False, label_smoothing=0.0, axis=-1, base=None
):
    _, loss = binary_terms(y, p, from_logits, label_smoothing)
    return in_base(loss.mean(axis), base)


def multi_label_crossentropy(
    y, p, from_logits=False, label_smoothing=0.0, axis=-1, base=None
):
    _, loss = binary_terms(y, p, from_logits, label_smoothing)
    return in_base(loss.sum(axis), base)


def binary_focal_crossentropy(
    y,
    p,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    y, loss = binary_terms(y, p, from_logits, label_smoothing)
    if from_logits:
        p = np.exp(-np.logaddexp(0, -p))
    loss = (y * (1 - p) + (1 - y) * p) ** gamma * loss
    if apply_class_balancing:
        loss = loss * (y * alpha + (1 - y) * (1 - alpha))
    return loss.mean(axis)


def log_softmax(z, axis):
    z = z - z.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def clipped(p, axis):
    return np.clip(p / p.sum(axis, keepdims=True), EPSILON, 1 - EPSILON)


def smoothed(y, label_smoothing, axis):
    return y * (1 - label_smoothing) + label_smoothing / y.shape[axis]


def categorical_crossentropy(
    y, p, from_logits=False, label_smoothing=0.0, axis=-1, base=None
):
    y = smoothed(y, label_smoothing, axis)
    log_p = log_softmax(p, axis) if from_logits else np.log(clipped(p, axis))
    return in_base(-(y * log_p).sum(axis), base)


def sparse_categorical_crossentropy(
    y, p, from_logits=False, ignore_class=None, axis=-1, base=None
):
    if y.ndim == p.ndim:
        y = y.squeeze(axis)
    p = np.moveaxis(p, axis, -1)
    one_hot = np.eye(p.shape[-1])[np.where(y == ignore_class, 0, y).astype(int)]
    loss = categorical_crossentropy(one_hot, p, from_logits, base=base)
    return np.where(y == ignore_class, 0, loss)


def categorical_focal_crossentropy(
    y,
    p,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    y = smoothed(y, label_smoothing, axis)
    if from_logits:
        p = np.exp(log_softmax(p, axis))
    p = clipped(p, axis)
    loss = np.asarray(alpha) * (1 - p) ** gamma * y * np.log(p)
    return -loss.sum(axis)


def kl_divergence(y, p):
    y, p = np.clip(y, EPSILON, 1), np.clip(p, EPSILON, 1)
    return (y * np.log(y / p)).sum(-1)


def hinge(y, p):
    return np.maximum(1 - signs(y) * p, 0).mean(-1)


def exponential(y, p):
    return np.exp(-signs(y) * p).mean(-1)


def signs(y):
    return 2 * y - 1 if np.isin(y, (0, 1)).all() else y


# Labels and predictions; `shape` ends with the classes.


def numbers(rng, shape):
    return 2 * rng.normal(size=shape), 2 * rng.normal(size=shape)


def binary(rng, shape):
    return rng.integers(0, 2, shape), rng.uniform(0.01, 0.99, shape)


def one_hot(rng, shape):
    y = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    return y, rng.uniform(0.01, 1, shape)


def classes(rng, shape):
    y = rng.integers(0, shape[-1], shape[:-1])
    return y, rng.uniform(0.01, 1, shape)


def distributions(rng, shape):
    y, p = rng.dirichlet(np.ones(shape[-1]), (2, *shape[:-1]))
    return y, p


@dataclass
class Case:
    """A loss with some arguments."""

    class_name: str
    function_name: str
    labels: Any
    arguments: dict = field(default_factory=dict)
    novel: bool = False

    @property
    def from_logits(self):
        return self.arguments.get("from_logits", False)

    @property
    def builtin_arguments(self):
        """The arguments without those that Keras does not have."""
        return {k: v for k, v in self.arguments.items() if k != "base"}

    def data(self, rng, shape):
        y_true, y_pred = self.labels(rng, shape)
        if self.from_logits or self.labels is binary and self.is_margin:
            y_pred = 3 * rng.normal(size=shape)
        return y_true.astype("float32"), y_pred.astype("float32")

    @property
    def is_margin(self):
        return self.function_name in ("hinge", "exponential")

    def make(self, **kwargs):
        return getattr(keras_ext.losses, self.class_name)(
            **self.arguments, **kwargs
        )

    def make_builtin(self, **kwargs):
        return getattr(keras.losses, self.class_name)(
            **self.builtin_arguments, **kwargs
        )

    @property
    def to_base(self):
        """The divisor that converts the built-in's value."""
        base = self.arguments.get("base")
        return 1 if base is None else np.log(base)

    def function(self, y_true, y_pred):
        function = getattr(keras_ext.losses, self.function_name)
        return function(y_true, y_pred, **self.arguments)

    def builtin(self, y_true, y_pred):
        function = getattr(keras.losses, self.function_name)
        y_true = keras.ops.convert_to_tensor(y_true)
        y_pred = keras.ops.convert_to_tensor(y_pred)
        return function(y_true, y_pred, **self.builtin_arguments)

    def formula(self, y_true, y_pred):
        y_true, y_pred = np.float64(y_true), np.float64(y_pred)
        return globals()[self.function_name](y_true, y_pred, **self.arguments)

    def __str__(self):
        arguments = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.class_name}({arguments})"


BINARY = ("BinaryCrossentropy", "binary_crossentropy", binary)
MULTI = ("MultiLabelCrossentropy", "multi_label_crossentropy", binary)
CATEGORICAL = ("CategoricalCrossentropy", "categorical_crossentropy", one_hot)
SPARSE = (
    "SparseCategoricalCrossentropy",
    "sparse_categorical_crossentropy",
    classes,
)
BINARY_FOCAL = ("BinaryFocalCrossentropy", "binary_focal_crossentropy", binary)
FOCAL = (
    "CategoricalFocalCrossentropy",
    "categorical_focal_crossentropy",
    one_hot,
)
LOGITS = {"from_logits": True}

CASES = [
    Case("MeanSquaredError", "mean_squared_error", numbers),
    Case("MeanAbsoluteError", "mean_absolute_error", numbers),
    Case(
        "MeanAbsolutePercentageError",
        "mean_absolute_percentage_error",
        numbers,
    ),
    Case("Huber", "huber", numbers, {"delta": 2.5}),
    Case("LogCosh", "log_cosh", numbers),
    Case("Quantile", "quantile", numbers, {"quantile": 0.9}, novel=True),
    Case("Hinge", "hinge", binary),
    Case("Exponential", "exponential", binary, novel=True),
    Case("KLDivergence", "kl_divergence", distributions),
    Case(*BINARY),
    Case(*BINARY, LOGITS | {"label_smoothing": 0.1, "base": 2}),
    Case(*MULTI, {"label_smoothing": 0.1}, novel=True),
    Case(*MULTI, LOGITS | {"base": 10.0}, novel=True),
    Case(*CATEGORICAL, {"label_smoothing": 0.1}),
    Case(*CATEGORICAL, LOGITS | {"base": 2}),
    Case(*SPARSE, {"base": 2}),
    Case(*SPARSE, LOGITS),
    Case(*SPARSE, {"ignore_class": 1}),
    Case(*SPARSE, LOGITS | {"ignore_class": 1, "base": 2}),
    Case(*BINARY_FOCAL, {"gamma": 1.5, "label_smoothing": 0.1}),
    Case(*BINARY_FOCAL, LOGITS | {"apply_class_balancing": True}),
    Case(*FOCAL, {"alpha": [0.1, 0.3, 0.6], "gamma": 1.5}),
    Case(*FOCAL, LOGITS | {"label_smoothing": 0.1}),
]
