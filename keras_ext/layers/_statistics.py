"""One pass over data: count, mean, variance, minimum and maximum.

NumPy computes them in float64 on every backend, one slice of the data at a
time, so that data may be larger than memory.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

# Numbers in a slice: 2 MB in float64.
_SLICE = 2**18


class Statistics:
    """Statistics of the data added so far, for each index of the kept axes.

    Slices are merged as in Chan, Golub and LeVeque (1983), which loses no
    digits if the mean is large and the variance small.

    Attributes:
        count: Number of values for each index.
        mean: Mean; exact if all values are equal.
        variance: Variance, divided by `count`; 0 if all values are equal.
        minimum: Smallest value.
        maximum: Largest value.
    """

    def __init__(self, kept_axes: Sequence[int]):
        self.kept_axes = kept_axes
        self.count = 0
        self.minimum: Any = np.inf
        self.maximum: Any = -np.inf
        self._mean: Any = 0.0
        self._squares: Any = 0.0  # sum of squared deviations from the mean

    def add(self, x: np.ndarray) -> None:
        """Add a slice of the data."""
        axes = tuple(a for a in range(x.ndim) if a not in self.kept_axes)
        n = math.prod(x.shape[a] for a in axes)
        if n == 0:
            return
        x = x.astype("float64")
        with np.errstate(invalid="ignore", over="ignore"):
            mean = x.mean(axis=axes, keepdims=True)
        self._check_finite(mean.squeeze(axes))
        deviations = x - mean
        correction = deviations.mean(axis=axes)
        mean = mean.squeeze(axes) + correction
        squares = np.square(deviations).sum(axis=axes) - n * correction**2

        total = self.count + n
        shift = mean - self._mean
        self._squares += squares + shift**2 * (self.count * n / total)
        self._mean += shift * (n / total)
        self.count = total
        self.minimum = np.minimum(self.minimum, x.min(axis=axes))
        self.maximum = np.maximum(self.maximum, x.max(axis=axes))

    @property
    def mean(self) -> np.ndarray:
        """The mean."""
        return np.where(self._constant, self.minimum, self._mean)

    @property
    def variance(self) -> np.ndarray:
        """The variance."""
        return np.where(self._constant, 0.0, self._squares / self.count)

    @property
    def _constant(self) -> np.ndarray:
        return self.minimum == self.maximum

    def _check_finite(self, mean: np.ndarray) -> None:
        if np.all(np.isfinite(mean)):
            return
        where = ""
        if mean.ndim:
            bad = [tuple(map(int, i)) for i in np.argwhere(~np.isfinite(mean))]
            where = f" at index {', '.join(map(str, bad[:5]))} of the kept axes"
        raise ValueError(
            "`data` must hold finite numbers only. Received: NaN or infinity"
            + where
        )


def slices(data: Any) -> Iterator[np.ndarray]:
    """Yield the data of `adapt` as arrays `(some_samples, ...)`."""
    for batch in _batches(data):
        shape = batch.shape
        if len(shape) == 0:
            raise ValueError(
                f"`data` must have a batch axis. Received: data={data}"
            )
        rows = max(1, _SLICE // max(1, math.prod(shape[1:])))
        # Data without rows has one slice, whose shape builds the layer.
        for start in range(0, max(1, shape[0]), rows):
            yield _numbers(batch[start : start + rows])


def _batches(data: Any) -> Iterator[Any]:
    if hasattr(data, "shape"):
        yield data
    elif isinstance(data, keras.utils.PyDataset):
        for i in range(len(data)):
            yield _inputs(data[i])
    elif hasattr(data, "element_spec"):
        # A `tf.data.Dataset`. As in Keras, elements with one axis are vectors
        # without a batch axis.
        spec = data.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        if len(getattr(spec, "shape", ())) == 1:
            data = data.batch(128)
        yield from map(_inputs, data)
    elif isinstance(data, list | tuple) and not any(
        hasattr(_pick(batch), "shape") for batch in data
    ):
        if len(data):
            yield np.asarray(data)
    elif isinstance(data, Iterable) and not isinstance(data, str | Mapping):
        yield from map(_inputs, data)
    else:
        raise TypeError(
            "`data` must be an array, a tensor, a dataset or an iterable of "
            f"batches. Received: {type(data)}"
        )


def _pick(batch: Any) -> Any:
    """Return the inputs of `(inputs, targets)` and the like."""
    if isinstance(batch, tuple) or (
        # As PyTorch's `DataLoader` yields it.
        isinstance(batch, list) and len(batch) and hasattr(batch[0], "shape")
    ):
        return batch[0]
    return batch


def _inputs(batch: Any) -> Any:
    batch = _pick(batch)
    return batch if hasattr(batch, "shape") else np.asarray(batch)


def _numbers(x: Any) -> np.ndarray:
    x = ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)
    if x.dtype.kind in "USc":
        raise ValueError(
            f"`data` must hold real numbers. Received: dtype={x.dtype}"
        )
    return x
