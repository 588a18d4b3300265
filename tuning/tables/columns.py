"""Columns of texts, and how to read their values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from . import dates, numbers

NUMBER, DATE, CATEGORY = "number", "date", "category"
# Texts that are missing values in any column, in upper or lower case.
MISSING = frozenset(
    {
        *("", "?", "-", "--", "–", "—", ".", "..", "n/a", "n.a.", "nan"),
        *("null", "<na>", "nat", r"\n", "#n/a", "#null!", "#div/0!"),
        *("#value!", "#ref!", "#name?", "#num!"),
    }
)
# These are missing values among numbers and dates, but words among words.
MISSING_NUMBERS = MISSING | {
    *("na", "none", "nil", "missing", "unknown", "not available", "no data"),
    *("not applicable", "tbd", "k.a.", "k. a.", "inf", "-inf", "infinity"),
}
TRUTHS = (
    {"true", "false"},
    {"yes", "no"},
    {"y", "n"},
    {"t", "f"},
    {"on", "off"},
)
# The largest share of other texts in a column of numbers.
ODD = 0.05
# This many different texts show what a column holds.
ENOUGH = 2000
# Up to this many different integers are classes.
CLASSES_OF_NUMBERS = 10
_POSTAL = re.compile(
    r"(zip|post|postal)?[ _-]?code|zip|plz|postleitzahl|postcode", re.IGNORECASE
)
_EPOCH = re.compile(r".*(timestamp|epoch|unix).*", re.IGNORECASE)
_EPOCHS = {"s": (1e8, 4e9), "ms": (1e11, 4e12)}


@dataclass
class Reading:
    """How to read the texts of a column.

    Attributes:
        kind: `NUMBER`, `DATE` or `CATEGORY`.
        decimal: For numbers, the decimal separator.
        order: For dates, `DAY_FIRST`, `MONTH_FIRST`, or empty.
        utc: For dates, whether to convert times to UTC.
        epoch: For dates that are numbers since 1970, the unit.
        parts: For dates, the parts that are inputs.
        missing: More texts that stand for a missing value.
        kept: For categories, words that are missing values elsewhere.
        lower: For categories, whether to ignore upper case.
    """

    kind: str
    decimal: str = "."
    order: str = ""
    utc: bool = False
    epoch: str = ""
    parts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    lower: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the kind and the attributes that differ from the defaults."""
        default = asdict(Reading(self.kind))
        return {"kind": self.kind} | {
            k: v for k, v in asdict(self).items() if v != default[k]
        }

    def values(self, cells: Any) -> Any:
        """Return a column's values, a `pandas.Series`.

        Args:
            cells: A `pandas.Series` of texts without spaces around them.

        Returns:
            Numbers, moments or texts. A missing value is NaN, NaT or `""`.
        """
        import pandas

        if self.missing:
            cells = cells.where(~cells.isin(self.missing), "")
        if self.kind == CATEGORY:
            is_missing = cells.str.lower().isin(MISSING)
            cells = cells.where(~is_missing | cells.isin(self.kept), "")
            return cells.str.lower() if self.lower else cells
        if self.kind == NUMBER or self.epoch:
            values = numbers.parse(cells, self.decimal)
            if self.epoch:
                return pandas.to_datetime(values, unit=self.epoch)
            return values
        return dates.parse(cells, self.order, self.utc)

    def inputs(self, name: str, values: Any) -> dict[str, Any]:
        """Return the column's inputs by name."""
        if self.kind != DATE:
            return {name: values}
        parts = dates.parts_of(values)
        return {f"{name}: {part}": parts[part] for part in self.parts}


@dataclass
class Column:
    """The texts of a column.

    Attributes:
        name: The column's name.
        cells: A `pandas.Series` of texts without spaces around them.
        missing: More texts that stand for a missing value.
    """

    name: str
    cells: Any
    missing: Sequence[str] = ()

    @cached_property
    def known(self) -> Any:
        """The frequencies of the different texts, without missing values."""
        return self._known(self.cells)

    @cached_property
    def texts(self) -> dict[str, int]:
        """Enough of the known texts to see what the column holds."""
        return self.known.iloc[:: 1 + len(self.known) // ENOUGH].to_dict()

    @property
    def has_missing(self) -> bool:
        """Whether a cell is missing in a column of numbers or dates."""
        return int(self.known.sum()) < len(self.cells)

    @cached_property
    def has_codes(self) -> bool:
        """Whether the numbers are codes, such as `01234` or a postal code."""
        is_postal = _POSTAL.fullmatch(self.name)
        return bool(is_postal or self.known.index.str.match(r"0\d+$").any())

    @cached_property
    def numbers(self) -> list[str]:
        """The texts that are numbers; empty for a column of other texts."""
        if self.has_codes:
            return []
        if numbers.are_plain(self.texts):
            return list(self.texts)
        found = self._found(numbers.is_number)
        units = {unit.lower() for unit in numbers.units(found)}
        if len(units - {""}) > 1 or (
            # Letters after only some numbers make them codes: `12A`.
            "" in units and any(u[-1:].isalpha() or u == "+" for u in units)
        ):
            return []
        return found

    @cached_property
    def dates(self) -> list[str]:
        """The texts that are dates; empty for a column of other texts."""
        return self._found(dates.is_date)

    def _found(self, is_one: Callable[[str], bool]) -> list[str]:
        found = [text for text in self.texts if is_one(text)]
        odd = {t: self.texts[t] for t in set(self.texts).difference(found)}
        total = sum(self.texts.values())
        return found if are_usual(odd, total, len(found)) else []

    def odd(self, values: Any) -> dict[str, int]:
        """Return the frequencies of the known texts without a value."""
        without = self.cells[values.isna()]
        return self._known(without).to_dict() if len(without) else {}

    def _known(self, cells: Any) -> Any:
        counts = cells.value_counts()
        counts = counts[~counts.index.isin(self.missing)]
        return counts[~counts.index.str.lower().isin(MISSING_NUMBERS)]


def are_usual(odd: Mapping[str, int], total: int, different: int) -> bool:
    """Return whether a column of numbers or dates has few other texts.

    Args:
        odd: The other texts, with their frequencies.
        total: How many cells have a text.
        different: How many different numbers or dates there are.
    """
    if not odd:
        return different > 0
    # A few numbers among other texts are categories: `0`, `a`, `b`.
    if different <= CLASSES_OF_NUMBERS:
        return False
    share = sum(odd.values()) / total
    # One word among many numbers is a missing value: `closed`, `trace`.
    is_word = len(odd) == 1 and not re.search(r"\d", next(iter(odd)))
    return share <= (0.5 if is_word else ODD)


def epoch_of(column: Column, forced: bool = False) -> str:
    """Return the unit of dates that are numbers since 1970, or `""`.

    Args:
        column: The column.
        forced: Whether the column has dates, whatever its name is.
    """
    texts = list(column.texts)
    if not (forced or _EPOCH.fullmatch(column.name)):
        return ""
    if not all(map(str.isdigit, texts)):
        return ""
    for unit, (least, most) in _EPOCHS.items():
        if texts and all(least < float(text) < most for text in texts):
            return unit
    return ""


def are_days(column: Column) -> bool:
    """Return whether all numbers of a column are days such as 20241231."""
    texts = list(column.texts)
    return len(texts) > 1 and all(
        len(text) == 8 and text.isdigit() and dates.is_date(text)
        for text in texts
    )


def category(column: Column, kept: bool = False) -> Reading:
    """Return the reading of a column of words.

    Args:
        column: The column.
        kept: Whether texts that usually stand for a missing value are words,
            if the column has fewer than two others.
    """
    counts = column.cells.value_counts()
    texts = [text for text in counts.index if text not in column.missing]
    markers = [text for text in texts if text.lower() in MISSING - {""}]
    words = [t for t in texts if t not in markers and t]
    if not kept or len(words) > 1:
        markers = ["-"] if "+" in words and "-" in markers else []
    lowered = {word.lower() for word in words}
    is_truth = any(lowered <= truth for truth in TRUTHS)
    return Reading(
        CATEGORY,
        missing=list(column.missing),
        kept=markers,
        lower=is_truth and len(lowered) < len(words),
    )
