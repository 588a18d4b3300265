"""What a batch of data looks like, and the loss on it."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_ext.taps._backend import batch_kernels as kernels
from keras_ext.taps.batch_kernels import STATISTICS as STATISTICS
from keras_ext.taps.gauges import Gauge
from keras_ext.taps.sampling import Sampling

Tensor = Any

# Features up to which the scale of each is measured.
MOST_FEATURES = 4096


class BatchGauge(Gauge):
    """Measures the inputs and targets that a step was given, and its loss.

    A row holds, for inputs and for targets, `STATISTICS`. Then what the step
    returned as `loss`, NaN if it returned none; the number of samples;
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

    def measure(self, capture: Any) -> Tensor | None:
        """See `Gauge.measure`.

        Data of a kind that nobody thought of, such as sparse or ragged
        tensors, shall not end a training run.
        """
        try:
            return self._row(capture)
        except Exception as error:
            warnings.warn(
                "The batches of data are not measured: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
            return None

    def _row(self, capture: Any) -> Tensor:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(capture.data)
        inputs, targets = _numbers(x), _numbers(y)
        if targets and len(targets[0].shape):
            shape = targets[0].shape
            self.y_units = shape[-1] if len(shape) > 1 else 1
        logs = capture.logs if isinstance(capture.logs, dict) else {}
        loss = ops.cast(logs.get("loss", float("nan")), "float32")
        size = spread = float("nan")
        if inputs and len(inputs[0].shape):
            size = ops.cast(ops.shape(inputs[0])[0], "float32")
        if targets and len(targets[0].shape):
            spread = kernels.spread_over_samples(targets[0])
        parts = [_summary(inputs), _summary(targets)]
        parts.append(ops.stack([ops.reshape(loss, ()), size, spread]))
        wide = [a for a in inputs if len(a.shape) > 1 and a.shape[-1]]
        features = sum(int(a.shape[-1]) for a in wide)
        if 0 < features <= MOST_FEATURES:
            self.features = features
            parts += [kernels.feature_scales(a) for a in wide]
        if self.classes and targets:
            parts.append(kernels.class_shares(targets[0], self.classes))
        elif self.classes:
            parts.append(ops.zeros((self.classes,)))
        return ops.concatenate(parts)


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


def _summary(tensors: list[Tensor]) -> Tensor:
    if not tensors:
        return ops.full((len(STATISTICS),), float("nan"))
    return kernels.batch_summary(tensors)
