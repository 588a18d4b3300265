"""What a column of texts holds, and how its values are read from them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from . import dates, numbers

NUMBER, DATE, CATEGORY = "number", "date", "category"
# Missing in any column, in any case.
MISSING = frozenset(
    {
        *("", "?", "-", "--", "–", "—", ".", "..", "n/a", "n.a.", "nan"),
        *("null", "<na>", "nat", r"\n", "#n/a", "#null!", "#div/0!"),
        *("#value!", "#ref!", "#name?", "#num!"),
    }
)
# Missing among numbers and dates; words like others in a column of words.
MISSING_NUMBERS = MISSING | {
    *("na", "none", "nil", "missing", "unknown", "not available", "no data"),
    *("not applicable", "tbd", "k.a.", "k. a."),
}
TRUTHS = (
    {"true", "false"},
    {"yes", "no"},
    {"y", "n"},
    {"t", "f"},
    {"on", "off"},
)
# The share of cells that may be no numbers in a column of numbers.
ODD = 0.05
# Up to this many different integers are taken for classes.
CLASSES_OF_NUMBERS = 10
_POSTAL = re.compile(
    r"(zip|post|postal)?[ _-]?code|zip|plz|postleitzahl|postcode", re.IGNORECASE
)
_EPOCH = re.compile(r".*(timestamp|epoch|unix).*", re.IGNORECASE)
_EPOCHS = {"s": (1e8, 4e9), "ms": (1e11, 4e12)}


@dataclass
class Reading:
    """How the texts of a column are read; its JSON is `as_json()`.

    Attributes:
        kind: `NUMBER`, `DATE` or `CATEGORY`.
        decimal: Of numbers: the decimal separator.
        order: Of dates: `DAY_FIRST`, `MONTH_FIRST`, or empty.
        utc: Of dates: whether times are converted to UTC.
        epoch: Of dates: the unit, if they are numbers since 1970.
        parts: Of dates: the parts that are inputs.
        missing: Further texts that stand for a missing value.
        kept: Of categories: texts that usually stand for a missing value.
        lower: Of categories: whether upper case makes no difference.
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
        """Return what differs from the defaults."""
        default = asdict(Reading(self.kind))
        return {"kind": self.kind} | {
            k: v for k, v in asdict(self).items() if v != default[k]
        }

    def values(self, cells: Any) -> Any:
        """Return a column's values, a `pandas.Series`.

        Args:
            cells: A `pandas.Series` of texts without spaces around them.

        Returns:
            Numbers, moments or texts. What is missing is NaN, NaT or `""`.
        """
        import pandas

        if self.missing:
            cells = cells.where(~cells.isin(self.missing), "")
        if self.kind == CATEGORY:
            is_missing = cells.str.lower().isin(MISSING)
            cells = cells.where(~is_missing | cells.isin(self.kept), "")
            return cells.str.lower() if self.lower else cells
        if self.kind == NUMBER or self.epoch:
            is_missing = cells.str.lower().isin(MISSING_NUMBERS)
            values = numbers.parse(cells.where(~is_missing, ""), self.decimal)
            if self.epoch:
                return pandas.to_datetime(values, unit=self.epoch)
            return values
        return dates.parse(cells, self.order, self.utc)

    def inputs(self, name: str, values: Any) -> dict[str, Any]:
        """Return the inputs that a column gives, by name."""
        if self.kind != DATE:
            return {name: values}
        parts = dates.parts_of(values)
        return {f"{name} {part}": parts[part] for part in self.parts}


@dataclass
class Column:
    """The texts of a column.

    Attributes:
        name: The column's name.
        cells: A `pandas.Series` of texts without spaces around them.
        missing: Further texts that stand for a missing value.
    """

    name: str
    cells: Any
    missing: Sequence[str] = ()

    @cached_property
    def counts(self) -> dict[str, int]:
        """The different texts that are missing in no column, by frequency."""
        counts = self.cells.value_counts()
        known = counts[~counts.index.isin(self.missing)]
        is_missing = known.index.str.lower().isin(MISSING_NUMBERS)
        return known[~is_missing].to_dict()

    @property
    def has_missing(self) -> bool:
        """Whether cells are missing, if the others are numbers."""
        return sum(self.counts.values()) < len(self.cells)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Those of the texts that are numbers, if the column has numbers."""
        if self.has_codes:
            return {}
        if numbers.are_plain(self.counts):
            return self.counts
        found = _select(self.counts, numbers.is_number)
        units = {unit.lower() for unit in numbers.units(found)}
        if len(units - {""}) > 1 or (
            # What only some of the numbers have makes them codes: `12A`.
            "" in units and any(u[-1:].isalpha() or u == "+" for u in units)
        ):
            return {}
        return found if self._are_usual(found) else {}

    @cached_property
    def has_codes(self) -> bool:
        """Whether the digits are those of codes: `01234`, a postal code."""
        return bool(_POSTAL.fullmatch(self.name)) or any(
            re.fullmatch(r"0\d+", text) for text in self.counts
        )

    @cached_property
    def dates(self) -> dict[str, int]:
        """Those of the texts that are dates, if the column has dates."""
        found = _select(self.counts, dates.is_date)
        return found if self._are_usual(found) else {}

    def odd(self, found: Mapping[str, int]) -> list[str]:
        """Return the texts that are not among those found."""
        return [text for text in self.counts if text not in found]

    def _are_usual(self, found: Mapping[str, int]) -> bool:
        """Return whether a column holds what was found, but for oddities."""
        odd, total = self.odd(found), sum(self.counts.values())
        share = sum(self.counts[text] for text in odd) / max(1, total)
        if not found or share > 0.5:
            return False
        # One word in many numbers is a missing value's: `closed`, `trace`.
        is_word = len(odd) == 1 and not re.search(r"\d", odd[0])
        many = len(found) > CLASSES_OF_NUMBERS
        return share <= ODD or (is_word and many)


def _select(counts: Mapping[str, int], is_one: Any) -> dict[str, int]:
    return {text: n for text, n in counts.items() if is_one(text)}


def epoch_of(column: Column, forced: bool = False) -> str:
    """Return the unit of dates that are numbers since 1970, or `""`.

    Args:
        column: The column.
        forced: Whether the column is one of dates whatever its name is.
    """
    texts = list(column.counts)
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
    texts = list(column.counts)
    return len(texts) > 1 and all(
        len(text) == 8 and text.isdigit() and dates.is_date(text)
        for text in texts
    )


def category(column: Column, kept: bool = False) -> Reading:
    """Return how a column of words is read.

    Args:
        column: The column.
        kept: Whether texts that usually stand for a missing value are words,
            if fewer than two others are left.
    """
    counts = column.cells.value_counts()
    texts = [text for text in counts.index if text not in column.missing]
    markers = [text for text in texts if text.lower() in MISSING - {""}]
    words = [t for t in texts if t not in markers and t]
    if kept and len(words) < 2:
        pass
    elif "+" in words and "-" in markers:
        markers = ["-"]
    else:
        markers = []
    lowered = {word.lower() for word in words}
    is_truth = any(lowered <= truth for truth in TRUTHS)
    return Reading(
        CATEGORY,
        missing=list(column.missing),
        kept=markers,
        lower=is_truth and len(lowered) < len(words),
    )
