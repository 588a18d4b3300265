"""Infers how to read a table's columns, where no option decides it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_ext.cli.usage import UsageError

from . import columns, dates, numbers
from .columns import CATEGORY, DATE, MISSING, NUMBER, Column, Reading
from .notes import Notes, quoted
from .options import Options


@dataclass
class Conventions:
    """Properties that the columns of a file share.

    Attributes:
        options: The user's decisions.
        separator: The separator of the cells of a line.
        decimal: The decimal separator; `""` if no column shows it, or two
            columns differ.
        order: The order of day and month, or `""` for the same reasons.
    """

    options: Options
    separator: str
    decimal: str
    order: str


def conventions(
    table: Mapping[str, Column], options: Options, separator: str
) -> Conventions:
    """Return the conventions that the columns of a file show."""
    decimals = {numbers.decimal_of(c.numbers) for c in table.values()}
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
) -> tuple[Reading, Any] | None:
    """Return a column's reading and its values; `None` if it is empty.

    Args:
        column: The column.
        shared: The conventions of the file's columns.
        notes: Gets notes about the reading.
        is_target: Whether the column is the one to predict.

    Raises:
        UsageError: `--date` names a column without dates.
    """
    options, name, cells = shared.options, column.name, column.cells
    if not len(column.known) and _are_missing(column).all():
        return None
    # The same number in some cells, with no other, is a mark: a category.
    is_mark = len(column.numbers) == 1 and column.has_missing
    found = None
    if name not in options.category:
        found = _measures(column, _date, shared, notes)
        if found is None and (is_target or not is_mark):
            found = _measures(column, _number, shared, notes)
    if found is not None:
        return found
    if name in options.date:
        texts = cells[~_are_missing(column)]
        no_dates = (text for text in texts if not dates.is_date(text))
        example = next(no_dates, texts.iloc[0])
        raise UsageError(
            f"argument --date: {name!r} has {example!r}, which is no date"
        )
    reading = columns.category(column, is_target)
    _note_words(column, reading, notes)
    return reading, reading.values(cells)


def _measures(
    column: Column,
    candidate: Callable[[Column, Conventions, Notes], Reading | None],
    shared: Conventions,
    notes: Notes,
) -> tuple[Reading, Any] | None:
    """Return the reading of a column of numbers or dates, and its values."""
    seen = Notes()
    reading = candidate(column, shared, seen)
    if reading is None:
        return None
    reading.missing = list(shared.options.missing)
    values = reading.values(column.cells)
    odd, known = column.odd(values), column.known
    if not columns.are_usual(odd, known.sum(), len(known) - len(odd)):
        return None
    if reading.kind == DATE:
        _choose_parts(reading, values)
        seen.add("dates", column.name, _how(reading))
    if odd:
        seen.add("odd", column.name, odd_cells(odd, reading))
    _note_markers(column, column.cells[values.isna()], reading, seen)
    notes.update(seen)
    return reading, values


def _are_missing(column: Column) -> Any:
    cells = column.cells
    return cells.str.lower().isin(MISSING) | cells.isin(column.missing)


def _number(
    column: Column, shared: Conventions, notes: Notes
) -> Reading | None:
    found, name = column.numbers, column.name
    if not found or name in shared.options.date:
        return None
    usual = shared.options.decimal or shared.decimal
    decimal, hint = numbers.decimal_of(found), ""
    if decimal == ".,":
        decimal = usual or numbers.ambiguous_decimal(found, shared.separator)
        if not usual:
            hint = f"; --decimal {'.' if decimal == ',' else ','} overrides it"
    reading = Reading(NUMBER, decimal=decimal or usual or ".")
    example = numbers.grouped(found, reading.decimal)
    if example:
        notes.add("thousands", name, example + hint)
    elif hint:
        example = next(text for text in found if "," in text or "." in text)
        notes.add("decimals", name, f"{example!r} has decimals{hint}")
    if decimal == "," and not example:
        notes.add("comma", name)
    units = sorted(numbers.units(found) - {""})
    if units:
        notes.add("units", name, ", ".join(units))
    return reading


def _date(column: Column, shared: Conventions, notes: Notes) -> Reading | None:
    forced = column.name in shared.options.date
    reading = Reading(DATE, epoch=columns.epoch_of(column, forced))
    found = column.dates
    if reading.epoch:
        return reading
    if not found or (column.numbers and not columns.are_days(column)):
        return None
    order = dates.order_of(found)
    if order == "":
        order = shared.options.date_order or shared.order
        if not order:
            order, other = _usual_order(column, shared)
            hint = f"{order}; --date-order {other} overrides it"
            notes.add("order", column.name, hint)
    reading.order = order or ""
    reading.utc = len(dates.zones(found)) > 1
    return reading


def _choose_parts(reading: Reading, values: Any) -> None:
    parts = dates.parts_of(values)
    reading.parts = [p for p, part in parts.items() if part.nunique() > 1]
    if "weekday" in reading.parts and "day" not in reading.parts:
        # All dates are months, so the weekday is that of the month's first.
        reading.parts.remove("weekday")


def _how(reading: Reading) -> str:
    how = [reading.order] if reading.order else []
    how += ["in UTC"] if reading.utc else []
    how += [f"as {', '.join(reading.parts)}"] if reading.parts else []
    return ", ".join(how)


def odd_cells(odd: Mapping[str, int], reading: Reading) -> str:
    """Return how many cells are no numbers or dates, with examples.

    Args:
        odd: The texts of these cells, with their frequencies.
        reading: The reading of their column.
    """
    count = sum(odd.values())
    what = "numbers" if reading.kind == NUMBER else "dates"
    return f"{count} cell{'s' * (count > 1)} without {what}: {quoted(odd)}"


def _usual_order(column: Column, shared: Conventions) -> tuple[str, str]:
    """Return the likelier order of day and month, and the other one."""
    orders = dates.DAY_FIRST, dates.MONTH_FIRST
    has_comma = (shared.options.decimal or shared.decimal) == ","
    if has_comma or shared.separator == ";" or dates.has_points(column.dates):
        return orders
    return orders[::-1]


def _note_words(column: Column, reading: Reading, notes: Notes) -> None:
    texts = column.cells.unique()
    words = [text for text in texts if text.lower() in ("na", "none", "nil")]
    words = [text for text in words if text not in reading.missing]
    words += reading.kept
    if words:
        notes.add("words", column.name, quoted(words))
    if not reading.lower:
        forms = Counter(text.lower() for text in texts)
        same = [text for text in texts if forms[text.lower()] > 1]
        same = [text for text in same if text.lower() not in MISSING]
        if same:
            same.sort(key=lambda text: (text.lower(), text))
            notes.add("cases", column.name, quoted(same))
    if column.has_codes:
        notes.add("codes", column.name)
    _note_markers(column, column.cells, reading, notes)


def _note_markers(
    column: Column, cells: Any, reading: Reading, notes: Notes
) -> None:
    is_category = reading.kind == CATEGORY
    known = (MISSING if is_category else columns.MISSING_NUMBERS) - {""}
    is_marker = cells.str.lower().isin(known) & ~cells.isin(reading.kept)
    markers = cells[is_marker | cells.isin(reading.missing)].unique()
    if len(markers):
        notes.add("markers", column.name, quoted(markers))
