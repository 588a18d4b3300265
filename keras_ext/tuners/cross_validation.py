"""Cross-validation of a trial: the rows of each fold."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

_DATA = ("x", "y", "sample_weight")


class Folds:
    """The folds of a search, the same ones for all its trials.

    `cross_validation` is a number of folds, a scikit-learn splitter, or an
    iterable of pairs `(train rows, validation rows)`. A number means
    `StratifiedKFold` if the targets are classes with a row for each fold, and
    `KFold` otherwise; neither shuffles. Classes are whole numbers, booleans or
    strings of shape `(rows,)` or `(rows, 1)`, or one-hot rows.

    Raises:
        ValueError: If the data cannot be split.
    """

    def __init__(
        self,
        cross_validation: Any,
        fit_args: Sequence[Any],
        fit_kwargs: Mapping[str, Any],
        groups: Any = None,
    ):
        from sklearn.model_selection import check_cv

        arguments = _by_name(fit_args, fit_kwargs)
        for name in ("validation_data", "validation_split"):
            if arguments.get(name) is not None:
                raise ValueError(
                    f"`{name}` cannot be used with `cross_validation`: each "
                    f"fold is validated on its own rows. Received: {name}="
                    f"{_short(arguments[name])}"
                )
        rows = _count_rows(arguments)
        labels = _labels(arguments.get("y"))
        stratified = _can_stratify(cross_validation, labels)
        self.splitter = check_cv(
            cross_validation,
            labels if stratified else None,
            classifier=stratified,
        )
        self._rows = [
            (np.asarray(train), np.asarray(validation))
            for train, validation in self.splitter.split(
                np.zeros((rows, 1)), labels, groups
            )
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        if hasattr(self.splitter, "cv"):
            return f"{len(self)} given folds"
        return repr(self.splitter)

    def arguments(
        self, fold: int, fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of `fit` for a fold, all by name.

        The fold's training rows are `x`, `y` and `sample_weight`, its other
        rows `validation_data`.
        """
        arguments = _by_name(fit_args, fit_kwargs)
        data = {k: arguments[k] for k in _DATA if arguments.get(k) is not None}
        train, validation = self._rows[fold]
        held_out = [_take(data.get("x"), validation)]
        held_out += [
            _take(data[name], validation) for name in _DATA[1:] if name in data
        ]
        if "y" not in data and "sample_weight" in data:
            held_out.insert(1, None)
        arguments.update(
            {name: _take(value, train) for name, value in data.items()}
        )
        arguments["validation_data"] = tuple(held_out)
        return arguments


def check_cross_validation(cross_validation: Any) -> Any:
    """Return the argument; raise if it is neither `None` nor for `Folds`."""
    is_number = isinstance(cross_validation, int)
    if (
        cross_validation is None
        or (is_number and not cross_validation < 2)
        or hasattr(cross_validation, "split")
        and not isinstance(cross_validation, str)
        or isinstance(cross_validation, list | tuple)
    ):
        return cross_validation
    raise ValueError(
        "`cross_validation` must be a number of folds of at least 2, a "
        "scikit-learn splitter, a list of (train rows, validation rows), or "
        f"None. Received: cross_validation={cross_validation!r}"
    )


def _by_name(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = list(inspect.signature(keras.Model.fit).parameters)[1:]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _count_rows(arguments: Mapping[str, Any]) -> int:
    """Return the number of rows; raise if the data are not arrays."""
    counts: dict[str, set[int]] = {}
    for name in [name for name in _DATA if arguments.get(name) is not None]:
        for leaf in keras.tree.flatten(arguments[name]):
            shape = getattr(leaf, "shape", None)
            if shape is None or not len(shape) or isinstance(leaf, np.generic):
                raise ValueError(
                    f"`{name}` must be an array, or a list or dict of arrays, "
                    "with `cross_validation`: generators and datasets cannot "
                    f"be split into folds. Received: {name}={_short(leaf)}"
                )
            counts.setdefault(name, set()).add(int(shape[0]))
    sizes = {size for found in counts.values() for size in found}
    if "x" not in counts:
        raise ValueError(
            "`search` must get the data as `x` with `cross_validation`. "
            f"Received: {sorted(arguments)}"
        )
    if len(sizes) != 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must have the same number of rows. "
            f"Received: { {k: sorted(v) for k, v in counts.items()} }"
        )
    return sizes.pop()


def _labels(y: Any) -> np.ndarray | None:
    """Return the targets in the shape `(rows,)` that splitters need.

    One-hot rows become the index of the one. Returns `None` for several
    arrays, or rows that are neither numbers nor one-hot.
    """
    leaves = keras.tree.flatten(y)
    if len(leaves) != 1 or leaves[0] is None:
        return None
    array = _as_array(leaves[0])
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "biuf":
        is_one_hot = ((array == 0) | (array == 1)).all() and (
            array.sum(axis=1) == 1
        ).all()
        return array.argmax(axis=1) if is_one_hot else None
    return array if array.ndim == 1 else None


def _can_stratify(cross_validation: Any, labels: np.ndarray | None) -> bool:
    from sklearn.utils.multiclass import type_of_target

    if labels is None or not isinstance(cross_validation, int):
        return False
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        return False
    if type_of_target(labels) not in ("binary", "multiclass"):
        return False
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and int(counts.min()) >= cross_validation


def _take(structure: Any, rows: np.ndarray) -> Any:
    return keras.tree.map_structure(lambda leaf: _rows(leaf, rows), structure)


def _rows(leaf: Any, rows: np.ndarray) -> Any:
    if hasattr(leaf, "iloc"):
        return leaf.iloc[rows]
    if keras.ops.is_tensor(leaf):
        return keras.ops.take(leaf, rows, axis=0)
    if hasattr(leaf, "tocsr"):
        return leaf.tocsr()[rows]
    if isinstance(leaf, np.ndarray):
        return leaf[rows]
    # Tensors of a framework other than the backend.
    return np.asarray(leaf)[rows]


def _as_array(leaf: Any) -> np.ndarray:
    if keras.ops.is_tensor(leaf):
        return keras.ops.convert_to_numpy(leaf)
    return np.asarray(leaf)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__}(...)"
