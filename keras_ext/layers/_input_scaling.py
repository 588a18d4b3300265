"""The base class of the layers that scale inputs."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ext._checks import require
from keras_ext.layers._statistics import Statistics, slices

Tensor = Any
Axis = int | Sequence[int] | None

# Initial values of the two statistics and the count.
INITIAL = (0, 1, 0)


class InputScaling(keras.layers.Normalization):
    """Base of the layers that scale inputs by two learnt statistics.

    A subclass defines `scaled`, and `STATISTICS`: the names of the two
    arguments and attributes.

    With the Keras class as base, the layer can be called in a `tf.data`
    pipeline on every backend.
    """

    STATISTICS: tuple[str, str]

    def __init__(
        self, axis: Axis, given: Sequence[Any], invert: bool, **kwargs: Any
    ):
        must = f"be given together with `{self.STATISTICS[1]}`"
        one_alone = (given[0] is None) != (given[1] is None)
        values = zip(self.STATISTICS, given, strict=True)
        require(not one_alone, must, **dict(values))
        super().__init__(axis=_check_axis(axis), invert=invert, **kwargs)
        self._given = None
        if given[0] is not None:
            self._given = [
                _check_given(name, value)
                for name, value in zip(self.STATISTICS, given, strict=True)
            ]
        self._adapted = self._given is not None

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computation, at least float32.

        Raw data may exceed the range of half precision, so only the result is
        cast to the compute dtype of the policy.
        """
        return "float64" if super().compute_dtype == "float64" else "float32"

    def build(self, input_shape: Any) -> None:
        """Create the statistics, unless they were given."""
        if self._given is not None and not any(v.ndim for v in self._given):
            # Two numbers fit inputs of any shape.
            for name, value in zip(self.STATISTICS, self._given, strict=True):
                setattr(self, name, value)
            return
        if input_shape is None:
            raise ValueError(
                f"`{type(self).__name__}` must be built before it is called "
                "in a `tf.data` pipeline: call `build(input_shape)`."
            )
        rank = len(input_shape)
        try:
            kept = {range(rank)[axis] for axis in self.axis}
        except IndexError:
            kept = set()
        for holds, must in (
            (len(kept) == len(self.axis), "name axes of the input, each once"),
            (
                0 not in kept,
                "not name the batch axis; for inputs without features, it "
                "must be `None`",
            ),
            (
                all(input_shape[axis] is not None for axis in kept),
                "name axes of known size",
            ),
        ):
            require(holds, must, axis=self.axis, input_shape=input_shape)
        self._kept_axes = sorted(kept)
        shape = tuple(input_shape[axis] for axis in self._kept_axes)
        self._broadcast_to = [
            input_shape[axis] if axis in kept else 1 for axis in range(rank)
        ]
        if self._given is not None:
            for name, value in zip(self.STATISTICS, self._given, strict=True):
                setattr(self, name, _broadcast(name, value, shape))
            return
        # Before `adapt`, the layer returns its input.
        for name, initial in zip(self.STATISTICS, INITIAL, strict=False):
            weight = self.add_weight(
                name=name,
                shape=shape,
                dtype=self.compute_dtype,
                initializer=keras.initializers.Constant(initial),
                trainable=False,
                autocast=False,
            )
            setattr(self, name, weight)
        self.count = self.add_weight(
            name="count",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
        )

    def adapt(self, data: Any) -> None:
        """Learn the statistics of the data and forget earlier ones.

        This takes one pass over the data, in float64 on the CPU.

        Args:
            data: Inputs `(num_samples, ...)` as an array, a tensor or
                anything that can be sliced, such as `numpy.memmap`; or
                batches of inputs as a `tf.data.Dataset`, a
                `keras.utils.PyDataset` or any iterable. In a batch
                `(inputs, targets, ...)` only the inputs are used.

        Raises:
            ValueError: If the statistics were given to the constructor, or
                the data is empty, holds NaN or infinity, or does not have
                the shape that the layer was built for.
            TypeError: If `data` is of another type.
        """
        if self._given is not None:
            raise ValueError(
                "`adapt` cannot be called on a layer whose statistics were "
                f"given. Received: {self._arguments()}"
            )
        statistics = None
        for x in slices(data):
            if not self.built:
                self.build((None, *x.shape[1:]))
            self._check_shape(x)
            statistics = statistics or Statistics(self._kept_axes)
            statistics.add(x)
        if statistics is None or statistics.count == 0:
            raise ValueError(
                f"`data` must hold at least one sample. Received: data={data}"
            )
        for name in self.STATISTICS:
            getattr(self, name).assign(getattr(statistics, name))
        self.count.assign(min(statistics.count, np.iinfo("int32").max))
        self._adapted = True

    def finalize_state(self) -> None:
        """Do nothing: the layer uses what `adapt` learns at once."""

    def call(self, inputs: Tensor) -> Tensor:
        """Scale the inputs."""
        if not self._adapted:
            self._check_adapted(inputs)
        x = self.backend.convert_to_tensor(inputs)
        x = self.backend.cast(x, self.compute_dtype)
        first, second = (
            self._as_tensor(getattr(self, name)) for name in self.STATISTICS
        )
        return self.backend.cast(
            self.scaled(x, first, second), super().compute_dtype
        )

    def scaled(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Return the scaled inputs, computed with `self.backend`."""
        raise NotImplementedError

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        """Return shape and dtype of the result."""
        return keras.KerasTensor(inputs.shape, dtype=super().compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["mean"], config["variance"]
        return config | self._arguments()

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shape of the input."""
        # The method of `Normalization` fits only what that class builds.
        return keras.layers.Layer.get_build_config(self)

    def load_own_variables(self, store: Any) -> None:
        """Load the statistics."""
        super().load_own_variables(store)
        self._adapted = True

    def _arguments(self) -> dict[str, Any]:
        if self._given is None:
            return dict.fromkeys(self.STATISTICS)
        values = [value.tolist() for value in self._given]
        return dict(zip(self.STATISTICS, values, strict=True))

    def _as_tensor(self, value: Any) -> Tensor:
        if isinstance(value, keras.Variable):
            value = self.convert_weight(value)
        value = self.backend.convert_to_tensor(value, dtype=self.compute_dtype)
        if len(value.shape) == 0:
            return value
        return self.backend.numpy.reshape(value, self._broadcast_to)

    def _check_shape(self, x: np.ndarray) -> None:
        expected = self._broadcast_to
        if x.ndim != len(expected) or any(
            x.shape[axis] != expected[axis] for axis in self._kept_axes
        ):
            shape = [
                size if axis in self._kept_axes else None
                for axis, size in enumerate(expected)
            ]
            raise ValueError(
                f"`data` must have the shape {tuple(shape)} that the layer "
                f"was built for. Received: shape {x.shape}"
            )

    def _check_adapted(self, inputs: Tensor) -> None:
        """Check that there are statistics.

        In a compiled function neither inputs nor weights have values, and
        there is no check.
        """
        try:
            keras.ops.convert_to_numpy(inputs)
            weights = [keras.ops.convert_to_numpy(w) for w in self.weights]
        except Exception:
            return
        # `set_weights` may have set them.
        if all(np.all(w == i) for w, i in zip(weights, INITIAL, strict=True)):
            first, second = self.STATISTICS
            raise ValueError(
                f"`{type(self).__name__}` has no statistics: call "
                f"`adapt(data)` first, or give `{first}` and `{second}`."
            )
        self._adapted = True


def _check_axis(axis: Any) -> tuple[int, ...]:
    axes = () if axis is None else axis
    axes = tuple(axes) if isinstance(axes, Sequence) else (axes,)
    holds = all(isinstance(a, int) and not isinstance(a, bool) for a in axes)
    require(holds, "be an integer, several integers or `None`", axis=axis)
    return axes


def _broadcast(
    name: str, value: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"`{name}` must broadcast to {shape}, the sizes of `axis`. "
            f"Received: an array of shape {value.shape}"
        ) from None


def _check_given(name: str, value: Any) -> np.ndarray:
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    value = np.asarray(value, "float64")
    finite = bool(np.all(np.isfinite(value)))
    require(finite, "be finite", **{name: value.tolist()})
    return value
