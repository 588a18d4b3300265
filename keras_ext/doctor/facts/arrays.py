"""Data as arrays, from every form that `fit` takes."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

# A larger data set is reduced to evenly spaced samples.
_MOST_NUMBERS = 20_000_000


def arrays_of(x: Any, y: Any, batch_size: int) -> tuple[Any, Any]:
    """Return the data as arrays, and one batch of evenly spaced samples.

    Returns:
        `(x, y)` and `(x, y, sample_weight)`. Of an iterable, both are its
        first batch.

    Raises:
        ValueError: If there are no samples, or different numbers of them
            outside a batch that an iterable yields.
    """
    if x is None:
        raise ValueError("`x` must be given. Received: x=None")
    if not _is_arrays(x):
        if y is not None:
            raise ValueError(
                "`y` must be `None` if `x` yields the targets, too. "
                f"Received: x={type(x).__name__}, y={type(y).__name__}"
            )
        first = _first_batch(x)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(first)
        x, y, weights = _as_arrays(x), _as_arrays(y), _as_arrays(weights)
        # Like `fit`, which takes a graph's nodes and edges in one batch.
        _lengths(x, y)
        return (x, y), (x, y, weights)
    x, y = _as_arrays(x), _as_arrays(y)
    lengths = _lengths(x, y)
    if len(lengths) > 1:
        raise ValueError(
            "`x` and `y` must have the same number of samples. "
            f"Received: arrays of shapes {_shapes(x, y)}"
        )
    length = lengths.pop()
    rows = _spaced(length, batch_size)

    def take(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    batch = keras.tree.map_structure(take, (x, y))
    numbers = sum(a.size for a in keras.tree.flatten((x, y)) if a is not None)
    if numbers > _MOST_NUMBERS:
        most = max(batch_size, int(length * _MOST_NUMBERS / numbers))
        rows = _spaced(length, most)
        x, y = keras.tree.map_structure(take, (x, y))
    return (x, y), (*batch, None)


def _is_arrays(x: Any) -> bool:
    # An optional input may be `None`.
    if isinstance(x, Mapping):
        return all(v is None or _is_arrays(v) for v in x.values())
    if isinstance(x, list | tuple):
        return all(v is None or _is_arrays(v) or np.isscalar(v) for v in x)
    return hasattr(x, "shape") and hasattr(x, "dtype") or hasattr(x, "iloc")


def _first_batch(x: Any) -> Any:
    if isinstance(x, keras.utils.PyDataset):
        return x[0]
    if not isinstance(x, Iterable):
        raise ValueError(
            f"`x` must be arrays, or yield batches of them. Received: x={x!r}"
        )
    for batch in x:
        return tuple(batch) if isinstance(batch, list) else batch
    raise ValueError("`x` must yield a batch. Received: x that yields nothing")


def _as_arrays(data: Any) -> Any:
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {key: _as_arrays(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        if all(map(np.isscalar, data)):
            return np.asarray(data)
        parts = [_as_arrays(part) for part in data]
        return parts if isinstance(data, list) else tuple(parts)
    if hasattr(data, "iloc"):
        data = data.to_numpy()
    if keras.ops.is_tensor(data):
        return keras.ops.convert_to_numpy(data)
    if hasattr(data, "detach"):
        data = data.detach().cpu()
    return np.asarray(data)


def _lengths(x: Any, y: Any) -> set[int]:
    """Return the different numbers of samples of the arrays."""
    arrays = [a for a in keras.tree.flatten((x, y)) if a is not None]
    lengths = {len(a) if a.ndim else 0 for a in arrays}
    if lengths <= {0}:
        raise ValueError(
            f"`x` must have samples. Received: arrays of shapes {_shapes(x, y)}"
        )
    return lengths


def _shapes(x: Any, y: Any) -> list[Any]:
    return [a.shape for a in keras.tree.flatten((x, y)) if a is not None]


def _spaced(length: int, count: int) -> np.ndarray:
    if count >= length:
        return np.arange(length)
    return np.linspace(0, length - 1, count).astype(int)
