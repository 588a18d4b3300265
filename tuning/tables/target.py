"""Reads the column to predict: classes or numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ext.cli.search.definition import (
    BINARY,
    CLASSES,
    OUT_OF_BALANCE,
    REGRESSION,
)
from keras_ext.cli.usage import UsageError

from . import numbers
from .columns import CATEGORY, CLASSES_OF_NUMBERS, DATE, NUMBER, Column, Reading
from .inference import Conventions, infer
from .notes import Notes

FEWEST_ROWS, FEWEST_OF_A_CLASS, MOST_CLASSES = 20, 5, 100


@dataclass
class Target:
    """The targets of a table.

    Attributes:
        kind: `CLASSES`, `BINARY` or `REGRESSION`.
        labels: The classes' names; empty for a regression.
        known: Indices of the rows that have a target.
        y: The targets of these rows: numbers, or indices of classes.
        notes: Lines to print.
    """

    kind: str
    labels: list[Any]
    known: np.ndarray
    y: np.ndarray
    notes: list[str]


def read_target(
    column: Column, task: str | None, shared: Conventions, notes: Notes
) -> Target:
    """Read the column to predict.

    Args:
        column: The column.
        task: `CLASSES`, `REGRESSION`, or `None` to infer it.
        shared: The conventions of the file's columns.
        notes: Gets notes about the reading.

    Raises:
        UsageError: No model can learn from the column.
    """
    name = repr(column.name)
    found = infer(column, shared, notes, is_target=True)
    if found is None:
        raise UsageError(_too_few(0, name))
    reading, values = found
    if reading.kind == DATE and task == CLASSES:
        reading = Reading(CATEGORY, missing=reading.missing)
        values = reading.values(column.cells)
    is_known = values != "" if reading.kind == CATEGORY else values.notna()
    values = values[is_known]
    if len(values) < FEWEST_ROWS:
        raise UsageError(_too_few(len(values), name))
    different = values.nunique()
    if different < 2:
        raise UsageError(
            f"{name} is {_plain(values.iloc[0])} in all rows: nothing to learn"
        )
    lines = []
    if dropped := int((~is_known).sum()):
        plural = "s" * (dropped > 1)
        lines.append(f"left out: {dropped} row{plural} without {name}")
    if reading.kind == DATE:
        raise UsageError(
            f"{name} has dates ({column.cells[is_known].iloc[0]!r}): they "
            "cannot be predicted"
        )
    is_number = reading.kind == NUMBER
    labels: list[Any] = []
    inferred = task or _task(column, values, is_number)
    if inferred == REGRESSION:
        if not is_number:
            raise UsageError(
                f"{name} holds no numbers ({values.iloc[0]!r}): use --task "
                "classification"
            )
        kind, y = REGRESSION, values.to_numpy("float64")
    else:
        kind, labels, y = _classes(name, values, is_number)
    lines.insert(0, _task_line(name, kind, labels, task))
    if labels:
        lines += _balance_lines(labels, np.bincount(y))
    return Target(kind, labels, np.flatnonzero(is_known), y, lines)


def _too_few(rows: int, name: str) -> str:
    return (
        f"at least {FEWEST_ROWS} rows with a value of {name} are needed; the "
        f"table has {rows}"
    )


def _task(column: Column, values: Any, is_number: bool) -> str:
    if not is_number:
        return CLASSES
    is_amount = bool(numbers.units(column.numbers) - {""})
    few = values.nunique() <= CLASSES_OF_NUMBERS and not is_amount
    return CLASSES if few and (values % 1 == 0).all() else REGRESSION


def _classes(
    name: str, values: Any, is_number: bool
) -> tuple[str, list[Any], np.ndarray]:
    counts = values.value_counts()
    hint = ": use --task regression" if is_number else ""
    if len(counts) > MOST_CLASSES:
        raise UsageError(
            f"{name} has {len(counts)} different values"
            + (hint or ": that is too many")
        )
    if counts.min() < FEWEST_OF_A_CLASS:
        raise UsageError(
            f"class {_plain(counts.idxmin())} of {name} has {counts.min()} "
            f"rows; at least {FEWEST_OF_A_CLASS} are needed{hint}"
        )
    if len(values) // 8 < len(counts):
        raise UsageError(
            f"{len(values)} rows are too few for {len(counts)} classes of "
            f"{name}"
        )
    found = sorted(counts.index)
    y = values.map({label: i for i, label in enumerate(found)})
    kind = BINARY if len(found) == 2 else CLASSES
    return kind, [_plain(label) for label in found], y.to_numpy("int32")


def _task_line(
    name: str, kind: str, labels: list[Any], task: str | None
) -> str:
    found = "" if task else ", inferred from its values (--task overrides it)"
    if kind == REGRESSION:
        return f"regression of {name}{found}"
    shown = ", ".join(map(str, labels[:5])) + ", …" * (len(labels) > 5)
    return f"classification of {name}, {len(labels)} classes ({shown}){found}"


def _balance_lines(labels: list[Any], counts: np.ndarray) -> list[str]:
    if counts.max() < OUT_OF_BALANCE * counts.min():
        return []
    most = int(counts.argmax())
    return [
        f"classes out of balance: {counts[most] / counts.sum():.1%} of the "
        f"rows are {labels[most]!r} (--objective val_balanced_accuracy weighs "
        "all classes alike)"
    ]


def _plain(label: Any) -> Any:
    """Return a label as people write it: 1, not 1.0."""
    if isinstance(label, float | np.floating):
        return int(label) if float(label).is_integer() else float(label)
    return label
