"""What a batch of data looks like, and the loss on it."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_ext.taps.gauges import Gauge
from keras_ext.taps.sampling import Sampling

Tensor = Any

# What a row begins with: of the inputs and of the targets in this order.
SIDES = ("x", "y")
STATISTICS = ("low", "high", "mean", "std", "nonfinite", "fraction")
# Features up to which the scale of each is measured.
MOST_FEATURES = 4096


class BatchGauge(Gauge):
    """Measures the inputs and targets that a step was given, and its loss.

    A row holds, for inputs and for targets, the lowest and the highest
    finite entry, mean and standard deviation over the finite ones, the share
    of others, and the mean distance to the next whole number. Then what the
    step returned as `loss`, NaN if it returned none; the number of samples;
    and the targets' standard deviation over the samples, the root mean square
    of all units'. Then the root mean square of each feature, which is an
    entry of the inputs' last axis; then the share of each class among the
    targets.

    Args:
        classes: Number of classes that the targets tell, by whole numbers or
            one-hot, or 0.
        sampling: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        features: The number of features, known after the first step.
        y_units: The last axis of the first target, 1 if it has one axis, or
            `None`; known after the first step.
    """

    def __init__(
        self, classes: int, sampling: Sampling, steps_per_execution: int
    ):
        super().__init__(sampling, steps_per_execution)
        self.classes = classes
        self.features = 0
        self.y_units: int | None = None

    def measures(self, points: Any) -> bool:
        """See `Gauge.measures`."""
        return self.classes == points

    def measure(self, record: Any) -> Tensor | None:
        """See `Gauge.measure`.

        Data of a kind that nobody thought of, such as sparse or ragged
        tensors, shall not end a training run.
        """
        try:
            return self._row(record)
        except Exception as error:
            warnings.warn(
                "The batches of data are not measured: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
            return None

    def _row(self, record: Any) -> Tensor:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(record.data)
        inputs, targets = _numbers(x), _numbers(y)
        if targets and len(targets[0].shape):
            shape = targets[0].shape
            self.y_units = shape[-1] if len(shape) > 1 else 1
        logs = record.logs if isinstance(record.logs, dict) else {}
        loss = ops.cast(logs.get("loss", float("nan")), "float32")
        size = float("nan")
        if inputs and len(inputs[0].shape):
            size = ops.cast(ops.shape(inputs[0])[0], "float32")
        parts = [
            ops.stack(_statistics(inputs) + _statistics(targets)),
            ops.stack([ops.reshape(loss, ()), size, _spread(targets)]),
        ]
        scales = [_scales(a) for a in inputs if _has_features(a)]
        features = sum(int(a.shape[-1]) for a in inputs if _has_features(a))
        if 0 < features <= MOST_FEATURES:
            self.features = features
            parts += scales
        if self.classes:
            parts.append(self._class_shares(targets))
        return ops.concatenate(parts)

    def _class_shares(self, targets: list[Tensor]) -> Tensor:
        counts = ops.zeros((self.classes,))
        for y in targets[:1]:
            if len(y.shape) > 1 and y.shape[-1] == self.classes > 1:
                counts = ops.mean(ops.reshape(y, (-1, self.classes)), axis=0)
            else:
                whole = ops.cast(ops.reshape(y, (-1,)), "int32")
                rows = ops.one_hot(whole, self.classes, dtype="float32")
                counts = ops.mean(rows, axis=0)
        return counts


def _numbers(data: Any) -> list[Tensor]:
    """Return the tensors of numbers in a structure, as float32."""
    if data is None:
        return []
    return [
        ops.cast(a, "float32")
        for a in keras.tree.flatten(data)
        if a is not None and _is_number(a)
    ]


def _is_number(tensor: Any) -> bool:
    dtype = keras.backend.standardize_dtype(getattr(tensor, "dtype", float))
    return dtype.startswith(("float", "bfloat", "int", "uint", "bool"))


def _statistics(tensors: list[Tensor]) -> list[Tensor]:
    if not tensors:
        return [float("nan")] * len(STATISTICS)
    flat = ops.concatenate([ops.reshape(a, (-1,)) for a in tensors])
    finite = ops.isfinite(flat)
    there = ops.cast(finite, "float32")
    number = ops.maximum(ops.sum(there), 1.0)
    clean = ops.where(finite, flat, ops.zeros_like(flat))
    mean = ops.sum(clean) / number
    spread = ops.where(finite, flat - mean, ops.zeros_like(flat))
    return [
        ops.min(clean),
        ops.max(clean),
        mean,
        ops.sqrt(ops.sum(ops.square(spread)) / number),
        ops.mean(1.0 - there),
        ops.mean(ops.abs(clean - ops.round(clean))),
    ]


def _spread(tensors: list[Tensor]) -> Tensor:
    if not tensors or not len(tensors[0].shape):
        return float("nan")
    return ops.sqrt(ops.mean(ops.var(tensors[0], axis=0)))


def _has_features(tensor: Tensor) -> bool:
    return len(tensor.shape) > 1 and bool(tensor.shape[-1])


def _scales(tensor: Tensor) -> Tensor:
    rows = ops.reshape(tensor, (-1, int(tensor.shape[-1])))
    rows = ops.where(ops.isfinite(rows), rows, ops.zeros_like(rows))
    return ops.sqrt(ops.mean(ops.square(rows), axis=0))
