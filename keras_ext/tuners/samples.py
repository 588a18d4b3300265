"""A few real inputs from whatever was passed to `search`."""

import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

ROWS = 8


class InputSource:
    """The `x` that a search trains on.

    A generator yields each batch once; its first batch is looked at and put
    back, so that the training sees all of it.

    Args:
        fit_args: Positional arguments of `search`.
        fit_kwargs: Keyword arguments of `search`.

    Attributes:
        fit_args: The arguments to train with.
        fit_kwargs: The keyword arguments to train with.
    """

    def __init__(self, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any]):
        self.fit_args = fit_args
        self.fit_kwargs = fit_kwargs
        self._x = fit_args[0] if fit_args else fit_kwargs.get("x")
        self._first: Any = None
        if isinstance(self._x, types.GeneratorType):
            self._first = next(self._x)
            replayed = _replay(self._first, self._x)
            if fit_args:
                self.fit_args = (replayed, *fit_args[1:])
            else:
                self.fit_kwargs = {**fit_kwargs, "x": replayed}

    def sample(self) -> Any:
        """Return up to 8 rows of input as NumPy arrays.

        Returns:
            An array, or the structure of arrays that the model takes.

        Raises:
            TypeError: If there is no such input.
        """
        inputs = self._inputs()
        if inputs is None:
            raise TypeError("`search` was called without an `x`.")
        return keras.tree.map_structure(
            lambda rows: np.asarray(
                keras.ops.convert_to_numpy(rows[:ROWS])
                if keras.ops.is_tensor(rows)
                else rows[:ROWS]
            ),
            inputs,
        )

    def _inputs(self) -> Any:
        x = self._x
        if self._first is not None:
            return _inputs_of(self._first)
        if isinstance(x, keras.utils.PyDataset):
            return _inputs_of(x[0])
        is_arrays = hasattr(x, "shape") or isinstance(x, list | tuple | dict)
        if x is None or is_arrays:
            return x
        return _inputs_of(next(iter(x)))


def _inputs_of(batch: Any) -> Any:
    return keras.utils.unpack_x_y_sample_weight(batch)[0]


def _replay(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
