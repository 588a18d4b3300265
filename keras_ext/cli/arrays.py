"""The data of `keras-ext check`: arrays x, y, x_val and y_val of an npz file.

Several inputs or outputs are a tuple of arrays, from x_0, x_1 and so on.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.cli.usage import UsageError

_NAME = re.compile(r"([xy])(?:_(\d+))?(_val)?")


def load(path: Path) -> dict[str, Any]:
    """Return the arrays of a file, by name.

    Raises:
        UsageError: The file cannot be read, or its arrays do not fit each
            other.
    """
    check_is_file(path)
    grouped: dict[str, dict[int | None, np.ndarray]] = {}
    with usage_errors(f"{str(path)!r} cannot be read"):
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise UsageError(f"{str(path)!r} is not an npz file")
        with file:
            for name in file.files:
                if match := _NAME.fullmatch(name):
                    kind, number, val = match.groups()
                    index = None if number is None else int(number)
                    arrays = grouped.setdefault(kind + (val or ""), {})
                    arrays[index] = file[name]
    if "x" not in grouped:
        names = ", ".join(file.files) or "no array"
        raise UsageError(f"{str(path)!r} has no array x; it has {names}")
    for one, other in (("x_val", "y_val"), ("y_val", "x_val")):
        if one in grouped and other not in grouped and other[0] in grouped:
            raise UsageError(f"{str(path)!r} has {one}, but no {other}")
    data = {kind: _joined(kind, arrays) for kind, arrays in grouped.items()}
    for val in ("", "_val"):
        _check_lengths(data, f"x{val}", f"y{val}")
    return data


def count(several: Any) -> int:
    """Return the number of samples."""
    return len(_tuple(several)[0])


def select(several: Any, index: Any) -> Any:
    """Return some samples of an array, of each array of a tuple, or `None`."""
    if isinstance(several, tuple):
        return tuple(array[index] for array in several)
    return None if several is None else several[index]


def check_inputs(model: Any, x: Any) -> None:
    """Raise `UsageError` if the model cannot take `x`."""
    arrays, inputs = _tuple(x), getattr(model, "inputs", None)
    if not inputs:
        with usage_errors("x does not fit the model"):
            model(select(x, slice(2)), training=False)
        return
    if len(inputs) != len(arrays):
        raise UsageError(
            f"the model takes {len(inputs)} inputs, and the data have "
            f"{len(arrays)}"
        )
    for i, (tensor, array) in enumerate(zip(inputs, arrays, strict=True)):
        name = "x" if len(arrays) == 1 else f"x_{i}"
        wanted, given = tuple(tensor.shape)[1:], array.shape[1:]
        # Keras gives a last axis to inputs that have none.
        fits = len(wanted) == len(given) and all(
            w in (None, g) for w, g in zip(wanted, given, strict=True)
        )
        if not (fits or (given == () and wanted == (1,))):
            raise UsageError(
                f"{name} does not fit the model, which takes samples of shape "
                f"{wanted}; {name} has samples of shape {given}"
            )


def check_is_file(path: Path) -> None:
    """Raise `UsageError` if there is no such file."""
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise UsageError(f"{str(path)!r} {problem}")


@contextlib.contextmanager
def usage_errors(what: str) -> Iterator[None]:
    """Turn each exception into a `UsageError` that begins with `what`."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Return the line of Keras's long messages that gives the reason."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    missing = re.search(r"Could not locate (\w+ '[^']+')", text)
    if missing:
        return f"{missing[1]} is missing; --import names the file that has it"
    # Keras puts errors into errors; the innermost one is the reason.
    text = text.rpartition("Exception encountered: ")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [x for x in lines if not x.startswith("Exception encountered")]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= 300 else f"{line[:299]}…"


def _joined(kind: str, arrays: Mapping[int | None, np.ndarray]) -> Any:
    for array in arrays.values():
        if array.dtype.kind not in "biuf" or array.ndim == 0:
            raise UsageError(
                f"{kind} must be an array of numbers, not one of "
                f"{array.dtype} and shape {array.shape}"
            )
        if len(array) == 0:
            raise UsageError(f"{kind} is empty: its shape is {array.shape}")
    if set(arrays) == {None}:
        return arrays[None]
    if set(arrays) != set(range(len(arrays))):
        raise UsageError(
            f"there must be either {kind} or {kind[0]}_0, {kind[0]}_1, ..."
        )
    return tuple(arrays[i] for i in range(len(arrays)))


def _check_lengths(data: Mapping[str, Any], *kinds: str) -> None:
    lengths = {
        kind: sorted({len(array) for array in _tuple(data[kind])})
        for kind in kinds
        if kind in data
    }
    if len(set().union(*lengths.values())) > 1:
        what = ", ".join(
            f"{kind} {'/'.join(map(str, n))}" for kind, n in lengths.items()
        )
        raise UsageError(f"the numbers of samples differ: {what}")


def _tuple(several: Any) -> tuple[np.ndarray, ...]:
    return several if isinstance(several, tuple) else (several,)
