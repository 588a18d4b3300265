"""Measuring the batches of data, and the loss on each of them."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_ext.taps._backend import batch_kernels as kernels
from keras_ext.taps.batch_kernels import STATISTICS as STATISTICS
from keras_ext.taps.gauges import Gauge
from keras_ext.taps.sampling import Sampling

Tensor = Any

# Above this number of features, their scales are not measured.
MAX_FEATURES = 4096


class BatchGauge(Gauge):
    """Measures the inputs, the targets and the loss of a step.

    A row holds, in this order:

    - `STATISTICS` of the inputs, then of the targets;
    - the `loss` that the step returned, NaN if it returned none;
    - the number of samples;
    - the targets' standard deviation over the samples, as the root mean
      square over all units;
    - the root mean square of each feature. A feature is an entry of the
      inputs' last axis;
    - the share of each class among the targets.

    Attributes:
        classes: The number of classes, if the targets are class numbers or
            one-hot vectors, else 0.
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
        """Return whether the gauge measures this number of classes."""
        return self.classes == points

    def measure(self, step_capture: Any) -> Tensor | None:
        """See `Gauge.measure`.

        Unusual data, such as sparse or ragged tensors, must not end a
        training run.
        """
        try:
            return self._row(step_capture)
        except Exception as error:
            warnings.warn(
                "The batches of data are not measured: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
            return None

    def _row(self, step_capture: Any) -> Tensor:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(step_capture.data)
        inputs, targets = _numbers(x), _numbers(y)
        logs = step_capture.logs
        logs = logs if isinstance(logs, dict) else {}
        loss = _scalar(logs.get("loss"))
        size = spread = float("nan")
        if inputs and len(inputs[0].shape):
            size = ops.cast(ops.shape(inputs[0])[0], "float32")
        if targets and len(targets[0].shape):
            shape = targets[0].shape
            self.y_units = shape[-1] if len(shape) > 1 else 1
            spread = kernels.spread_over_samples(targets[0])
        parts = [_summary(inputs), _summary(targets)]
        parts.append(ops.stack([loss, size, spread]))
        wide = [a for a in inputs if len(a.shape) > 1 and a.shape[-1]]
        features = sum(int(a.shape[-1]) for a in wide)
        if 0 < features <= MAX_FEATURES:
            self.features = features
            parts += [kernels.feature_scales(a) for a in wide]
        if self.classes and targets:
            parts.append(kernels.class_shares(targets[0], self.classes))
        elif self.classes:
            parts.append(ops.zeros((self.classes,)))
        return ops.concatenate(parts)


def _scalar(loss: Any) -> Tensor:
    """Return the mean of a loss, NaN for a value that is no number."""
    if isinstance(loss, int | float):
        return ops.cast(loss, "float32")
    if getattr(loss, "shape", None) is None or not _is_number(loss):
        return ops.cast(float("nan"), "float32")
    return ops.mean(ops.cast(loss, "float32"))


def _numbers(data: Any) -> list[Tensor]:
    """Return the numeric tensors of a structure, as float32."""
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


def _summary(tensors: list[Tensor]) -> Tensor:
    if not tensors:
        return ops.full((len(STATISTICS),), float("nan"))
    return kernels.batch_summary(tensors)
