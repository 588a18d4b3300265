"""The user's own table: read, interpreted, split and prepared."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.cli.search.definition import (
    BINARY,
    CLASSES,
    REGRESSION,
    Data,
    Split,
)
from keras_ext.cli.usage import UsageError

from .data import require_scikit_learn, split, standardize_targets

FEWEST_ROWS, FEWEST_OF_A_CLASS, MOST_CATEGORIES, MOST_CLASSES = 20, 5, 50, 100
# Up to this many different integers are taken for classes.
CLASSES_OF_NUMBERS = 10


def load_table(path: str, target: str, task: str | None, seed: int) -> Data:
    """Read a table, split its rows 64 : 16 : 20, and prepare its columns.

    Numbers are standardized; missing ones become the median. Text becomes one
    column of zeros and ones for each category; missing text is a category.
    Medians, means and categories come from the training rows. Rows without a
    target, empty columns, and columns with too many different texts are left
    out.

    Args:
        path: A CSV file.
        target: Name of the column to predict.
        task: `CLASSES`, `REGRESSION`, or `None` to infer it.
        seed: Seed of the split.

    Raises:
        UsageError: Nothing can be learnt from the table.
    """
    require_scikit_learn()
    table = read(Path(path))
    column = _target_column(table, target, path)
    known = column.notna() & ~column.isin([np.inf, -np.inf])
    notes, dropped = [], int((~known).sum())
    if dropped:
        notes.append(f"left out: {dropped} rows without {target!r}")
    table, column = table.loc[known], column.loc[known]
    if len(table) < FEWEST_ROWS:
        raise UsageError(
            f"{path!r} has {len(table)} rows with a value of {target!r}; at "
            f"least {FEWEST_ROWS} are needed"
        )
    kind, labels, y = _targets(column, task)
    notes.insert(0, _task_note(target, kind, labels, task))
    numbers, categories, left_out = _columns(table.drop(columns=[target]))
    notes += [f"left out: {name!r}, {why}" for name, why in left_out.items()]
    if not numbers and not categories:
        raise UsageError(
            f"{path!r} has no column to predict {target!r} from; "
            + ("; ".join(notes[1:]) or "it has no other")
        )
    notes.append(
        f"inputs: {len(numbers)} columns of numbers, {len(categories)} of "
        "categories"
    )
    rows = np.arange(len(table))
    parts = split(rows, y, seed, stratify=kind != REGRESSION)
    preparation = _prepare(table, parts, numbers, categories)
    unit = 1.0
    if kind == REGRESSION:
        unit, note = standardize_targets(parts, preparation)
        notes.append(note)
    else:
        preparation["classes"] = labels
    return Data(
        *parts, kind, max(1, len(labels)), preparation, unit=unit, notes=notes
    )


def read(path: Path) -> Any:
    """Return the table in a file, as a `pandas.DataFrame`.

    Args:
        path: A CSV file, separated by commas, semicolons or tabs.

    Raises:
        UsageError: The file has no table.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("pandas is missing: pip install pandas") from error
    name = repr(str(path))
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
        separator = max(",;\t", key=first.count)
        table = pandas.read_csv(
            path, sep=separator, encoding="utf-8-sig", low_memory=False
        )
    except FileNotFoundError as error:
        raise UsageError(f"there is no data file {name}") from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{name} cannot be read as a CSV file: {reason}"
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UsageError(f"{name} has two columns {twice[0]!r}")
    return table


def _target_column(table: Any, target: str, path: str) -> Any:
    names = list(table.columns)
    if target in names:
        return table[target]
    near = difflib.get_close_matches(target, names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(map(repr, names[:10])) + ", …" * (len(names) > 10)
    raise UsageError(
        f"there is no column {target!r} in {path!r}{meant or f': {shown}'}"
    )


def _targets(column: Any, task: str | None) -> tuple[str, list[Any], Any]:
    """Return the kind of the task, the labels of its classes, and targets."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    values = column.unique()
    name = repr(column.name)
    if len(values) < 2:
        raise UsageError(f"{name} is {values[0]} in all rows: nothing to learn")
    is_number = is_numeric_dtype(column) and not is_bool_dtype(column)
    if task is None:
        few = len(values) <= CLASSES_OF_NUMBERS
        whole = is_number and all(float(v).is_integer() for v in values)
        task = CLASSES if not is_number or (few and whole) else REGRESSION
    if task == REGRESSION:
        if not is_number:
            raise UsageError(
                f"{name} holds no numbers ({values[0]!r}): use --task "
                "classification"
            )
        return REGRESSION, [], column.to_numpy("float64")
    counts = column.value_counts()
    if len(counts) > MOST_CLASSES:
        hint = "use --task regression" if is_number else "that is too many"
        raise UsageError(f"{name} has {len(counts)} different values: {hint}")
    if counts.min() < FEWEST_OF_A_CLASS:
        raise UsageError(
            f"class {counts.idxmin()} of {name} has {counts.min()} rows; at "
            f"least {FEWEST_OF_A_CLASS} are needed"
        )
    if len(column) // 8 < len(counts):
        raise UsageError(
            f"{len(column)} rows are too few for {len(counts)} classes of "
            f"{name}"
        )
    labels = sorted(counts.index, key=None if is_number else str)
    y = column.map({label: i for i, label in enumerate(labels)})
    kind = BINARY if len(labels) == 2 else CLASSES
    return kind, [_plain(label) for label in labels], y.to_numpy("int32")


def _task_note(
    target: str, kind: str, labels: list[Any], task: str | None
) -> str:
    found = "" if task else ", inferred from its values (--task overrides it)"
    if kind == REGRESSION:
        return f"regression of {target!r}{found}"
    shown = ", ".join(map(str, labels[:5])) + ", …" * (len(labels) > 5)
    return (
        f"classification of {target!r}, {len(labels)} classes ({shown}){found}"
    )


def _columns(table: Any) -> tuple[list[str], list[str], dict[str, str]]:
    """Return columns of numbers, of categories, and why others are left out."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numbers, categories, left_out = [], [], {}
    for name in table.columns:
        column = table[name]
        different = column.nunique()
        if different == 0:
            left_out[name] = "empty"
        elif is_numeric_dtype(column) and not is_bool_dtype(column):
            numbers.append(name)
        elif different > max(MOST_CATEGORIES, 2) or different > len(table) / 2:
            left_out[name] = f"text with {different:,} different values"
        else:
            categories.append(name)
    return numbers, categories, left_out


def _prepare(
    table: Any,
    parts: Sequence[Split],
    numbers: list[str],
    categories: list[str],
) -> dict[str, Any]:
    """Replace the parts' row numbers by inputs; return the preparation."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    inputs = table.copy()
    inputs[numbers] = (
        inputs[numbers].astype("float64").replace([np.inf, -np.inf], np.nan)
    )
    for name in categories:
        # Strings, whatever their dtype; a missing value is a string, too.
        texts = inputs[name].astype(object)
        inputs[name] = texts.where(texts.notna(), "").astype(str)
        inputs[name] = inputs[name].astype(object)
    columns = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", keep_empty_features=True),
                    StandardScaler(),
                ),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                categories,
            ),
        ]
    )
    columns.fit(inputs.iloc[parts[0].x])
    for part in parts:
        part.x = columns.transform(inputs.iloc[part.x]).astype("float32")
    preparation: dict[str, Any] = {"numbers": {}, "categories": {}}
    if numbers:
        imputer, scaler = columns.named_transformers_["numbers"]
        for i, name in enumerate(numbers):
            preparation["numbers"][name] = {
                "missing": float(imputer.statistics_[i]),
                "mean": float(scaler.mean_[i]),
                "deviation": float(scaler.scale_[i]),
            }
    if categories:
        encoder = columns.named_transformers_["categories"]
        known = zip(categories, encoder.categories_, strict=True)
        preparation["categories"] = {
            name: [str(value) for value in values] for name, values in known
        }
    return preparation


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
