"""The user's own table: read, interpreted, split and prepared."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.cli.search.definition import REGRESSION, Data
from keras_ext.cli.usage import UsageError

from ..data import require_scikit_learn, split, standardize_targets
from . import file, inputs
from .columns import Column, Reading
from .inference import conventions, odd_cells
from .notes import Notes, quoted
from .options import Options, no_column
from .selection import choose
from .target import read_target


def load_table(
    path: str,
    target: str,
    task: str | None,
    seed: int,
    options: Options | None = None,
) -> Data:
    """Read a table, split its rows 64 : 16 : 20, and prepare its columns.

    Numbers are standardized; a missing number becomes the median. Dates become
    their parts, as numbers. Words become one column of zeros and ones for each
    category; a missing word is a category. Medians, means and categories come
    from the training rows. Rows without a target are left out, and so are
    columns from which no model can learn. The notes of the result report each
    reading that the user may want to change.

    Args:
        path: A CSV file.
        target: Name of the column to predict.
        task: `CLASSES`, `REGRESSION`, or `None` to infer it.
        seed: Seed of the split.
        options: The user's decisions about the table.

    Raises:
        UsageError: No model can learn from the table.
    """
    require_scikit_learn()
    _require_pandas()
    options = options or Options()
    table = file.read(Path(path), [target])
    names = list(table.cells.columns)
    if target not in names:
        raise UsageError(no_column(target, table))
    if table.has_names and table.header.count(target) > 1:
        raise UsageError(f"{table.name} has two columns {target!r}")
    options.check(target, table)
    columns = {
        name: Column(name, table.cells[name], options.missing) for name in names
    }
    shared = conventions(columns, options, table.separator)
    notes = Notes()
    goal = read_target(columns.pop(target), task, shared, notes)
    if len(goal.known) < len(table.cells):
        columns = {
            name: replace(column, cells=column.cells.iloc[goal.known])
            for name, column in columns.items()
        }
    readings, values = choose(columns, shared, notes)
    if not values:
        reasons = "; ".join(notes.lines()) or "it has no other"
        raise UsageError(
            f"{table.name} has no column to predict {target!r} from; {reasons}"
        )
    numbers = np.arange(len(goal.y))
    parts = split(numbers, goal.y, seed, stratify=goal.kind != REGRESSION)
    preparation = inputs.fit(values, parts[0].x, notes)
    everything = inputs.transform(values, preparation)
    for part in parts:
        part.x = everything[part.x]
    preparation["reading"] = {
        name: reading.as_json() for name, reading in readings.items()
    }
    preparation["function"] = f"{__name__}.prepare"
    lines = [*goal.notes, *table.notes, *notes.lines(), _inputs_line(readings)]
    unit = 1.0
    if goal.kind == REGRESSION:
        unit, line = standardize_targets(parts, preparation)
        lines.append(line)
    else:
        preparation["classes"] = goal.labels
    return Data(
        *parts,
        goal.kind,
        max(1, len(goal.labels)),
        preparation,
        unit=unit,
        notes=lines,
    )


def prepare(path: str, preparation: Mapping[str, Any]) -> np.ndarray:
    """Return the inputs of new rows, prepared as those of a search.

    A warning reports cells that are no numbers or dates in a column of these,
    and categories that the search's models do not know.

    Args:
        path: A CSV file with the columns of the search's table; the target may
            be missing.
        preparation: The content of `preparation.json` of the search's run.

    Returns:
        An array of shape `(rows, features)`, for the search's models.

    Raises:
        UsageError: The file has no table, or lacks a column.
    """
    _require_pandas()
    table = file.read(Path(path), preparation["reading"])
    values: dict[str, Any] = {}
    notes = Notes()
    for name, how in preparation["reading"].items():
        if name not in table.cells:
            raise UsageError(no_column(name, table))
        reading = Reading(**how)
        column = Column(name, table.cells[name], reading.missing)
        found = reading.values(column.cells)
        if odd := column.odd(found):
            notes.add("odd", name, odd_cells(odd, reading))
        values |= reading.inputs(name, found)
    for name, words in preparation["categories"].items():
        unknown = set(values[name]) - {*words, ""}
        if unknown:
            notes.add("unknown", name, quoted(sorted(unknown)))
    if lines := notes.lines():
        warnings.warn(f"{table.name}: {'; '.join(lines)}", stacklevel=2)
    return inputs.transform(values, preparation)


def _require_pandas() -> None:
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise UsageError("pandas is missing: pip install pandas") from error


def _inputs_line(readings: Mapping[str, Reading]) -> str:
    kinds = [reading.kind for reading in readings.values()]
    counts = {
        "numbers": kinds.count("number"),
        "dates": kinds.count("date"),
        "categories": kinds.count("category"),
    }
    shown = [f"{n} of {what}" for what, n in counts.items() if n]
    plural = "s" * (len(kinds) > 1)
    return f"inputs: {len(kinds)} column{plural}, {', '.join(shown)}"
