"""Inferring how a table's columns are read, unless an option decides it."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_ext.cli.usage import UsageError

from . import columns, dates, numbers
from .columns import CATEGORY, DATE, MISSING, NUMBER, Column, Reading
from .notes import Notes
from .options import Options

# Different numbers that show a column's decimal separator.
ENOUGH = 1000


@dataclass
class Conventions:
    """What the columns of a file have in common.

    Attributes:
        options: What the user decided.
        separator: What separates the cells of a line.
        decimal: The decimal separator of columns that show it; `""` if none
            does, or they differ.
        order: The order of day and month of columns that show it.
    """

    options: Options
    separator: str
    decimal: str
    order: str


def conventions(
    table: Mapping[str, Column], options: Options, separator: str
) -> Conventions:
    """Return what the columns of a file show."""
    decimals = {_decimal(column) for column in table.values()}
    orders = {dates.order_of(column.dates) for column in table.values()}
    shown = [decimal for decimal in decimals if decimal in (".", ",")]
    ordered = [order for order in orders if order]
    return Conventions(
        options,
        separator,
        shown[0] if len(shown) == 1 else "",
        ordered[0] if len(ordered) == 1 else "",
    )


def infer(
    column: Column, shared: Conventions, notes: Notes, is_target: bool = False
) -> Reading | None:
    """Return how a column is read; `None` if it is empty.

    Args:
        column: The column.
        shared: What the columns have in common.
        notes: Gets what the user should know about the reading.
        is_target: Whether the column is the one to predict.

    Raises:
        UsageError: `--date` names a column without dates.
    """
    options, name = shared.options, column.name
    cells = column.cells
    is_missing = cells.str.lower().isin(MISSING) | cells.isin(options.missing)
    if is_missing.all():
        return None
    reading = None
    if name in options.date:
        reading = _date(column, shared, notes, forced=True)
        if reading is None:
            odd = (t for t in cells[~is_missing] if not dates.is_date(t))
            example = next(odd, next(iter(cells[~is_missing])))
            raise UsageError(
                f"argument --date: {name!r} has {example!r}, which is no date"
            )
    elif name not in options.category:
        reading = _date(column, shared, notes)
        # One number beside empty cells is a mark: a category.
        is_mark = len(column.numbers) == 1 and column.has_missing
        if reading is None and (is_target or not is_mark):
            reading = _number(column, shared, notes)
    if reading is None:
        reading = columns.category(column, is_target)
        _note_words(column, reading, notes)
        return reading
    reading.missing = list(options.missing)
    found = column.numbers if reading.kind == NUMBER else column.dates
    if not reading.epoch and (odd := column.odd(found)):
        count = sum(column.counts[text] for text in odd)
        what = "numbers" if reading.kind == NUMBER else "dates"
        plural = "s" * (count > 1)
        detail = f"{count} cell{plural} without {what}: {_quoted(odd)}"
        notes.add("odd", name, detail)
    _note_markers(column, reading, notes)
    return reading


def _decimal(column: Column) -> str:
    some = itertools.islice(column.numbers, ENOUGH)
    return numbers.decimal_of(
        some if numbers.are_plain(column.numbers) else column.numbers
    )


def _number(
    column: Column, shared: Conventions, notes: Notes
) -> Reading | None:
    found, name = column.numbers, column.name
    if not found:
        return None
    usual = shared.options.decimal or shared.decimal
    decimal = _decimal(column)
    if decimal == ".,":
        decimal = usual or numbers.ambiguous_decimal(found, shared.separator)
        if not usual:
            text = next(t for t in found if "," in t or "." in t)
            value = numbers.written(text).value(decimal)  # type: ignore
            notes.add("ambiguous", name, f"{text!r} is {value:g}")
    reading = Reading(NUMBER, decimal=decimal or usual or ".")
    if reading.decimal == "," and any("," in text for text in found):
        notes.add("comma", name)
    if not numbers.are_plain(found):
        units = sorted(numbers.units(found) - {""})
        if units:
            notes.add("units", name, ", ".join(units))
        grouped = numbers.grouped(found, reading.decimal)
        if grouped is not None:
            notes.add("thousands", name, grouped)
    return reading


def _date(
    column: Column, shared: Conventions, notes: Notes, forced: bool = False
) -> Reading | None:
    reading = Reading(DATE, epoch=columns.epoch_of(column, forced))
    if not reading.epoch:
        found, name = column.dates, column.name
        if not found or (column.numbers and not columns.are_days(column)):
            return None
        order = dates.order_of(found)
        if order == "":
            order = shared.options.date_order or shared.order
            if not order:
                order = _usual_order(column, shared)
                notes.add("order", name, order)
        reading.order = order or ""
        reading.utc = len(dates.zones(found)) > 1
    values = reading.values(column.cells)
    if values.notna().sum() < (1 - columns.ODD) * sum(column.counts.values()):
        return None
    parts = dates.parts_of(values)
    reading.parts = [p for p, part in parts.items() if part.nunique() > 1]
    how = [reading.order] if reading.order else []
    how += ["in UTC"] if reading.utc else []
    if reading.parts:
        how.append(f"as {', '.join(reading.parts)}")
    notes.add("dates", column.name, ", ".join(how))
    return reading


def _usual_order(column: Column, shared: Conventions) -> str:
    has_comma = (shared.options.decimal or shared.decimal) == ","
    if has_comma or shared.separator == ";" or dates.has_points(column.dates):
        return dates.DAY_FIRST
    return dates.MONTH_FIRST


def _note_words(column: Column, reading: Reading, notes: Notes) -> None:
    texts = column.cells.unique()
    words = [text for text in texts if text.lower() in ("na", "none", "nil")]
    words = [text for text in words if text not in reading.missing]
    words += reading.kept
    if words:
        notes.add("words", column.name, _quoted(words))
    if column.has_codes:
        notes.add("codes", column.name)
    _note_markers(column, reading, notes)


def _note_markers(column: Column, reading: Reading, notes: Notes) -> None:
    if reading.kind == CATEGORY:
        known = MISSING
    else:
        known = columns.MISSING_NUMBERS
    markers = [
        text
        for text in column.cells.unique()
        if text in reading.missing
        or (text and text.lower() in known and text not in reading.kept)
    ]
    if markers:
        notes.add("markers", column.name, _quoted(markers))


def _quoted(texts: Any) -> str:
    texts = list(texts)
    return ", ".join(map(repr, texts[:3])) + ", …" * (len(texts) > 3)
