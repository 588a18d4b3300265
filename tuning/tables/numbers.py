"""Numbers as people write them: `1.234,50 €`, `$1,234.50`, `48 %`, `(12)`."""

import functools
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

_CURRENCIES = (
    r"(?:US|R|A|C|AU|CA|NZ|HK|S)?\$|[€£¥₹₽₩₺₪]|kr\.?|Rs\.?|Fr\.|zł|"
    "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|"
    "ZAR|KRW|RUB|TRY"
)
_NUMBER = re.compile(
    rf"(?P<sign>[-\u2212(+]?)\s*(?P<before>{_CURRENCIES})?\s*"
    r"(?P<inner>[-\u2212]?)\s*(?P<digits>(?:\d|[.,]\d)(?:[\d.,]|[\s'’](?=\d))*)"
    r"(?P<exponent>[eE][-+]?\d+)?\s*"
    r"(?P<after>[^\d\s.,()'’][^\d()]*?|[cdk]?m[23]|ft[23])?\s*\)?"
)
# Numbers with a decimal point, or with a decimal comma; each may have
# separators of thousands.
_POINT = re.compile(r"(?:\d+|[1-9]\d{0,2}(?:,\d{2,3})*,\d{3})(?:\.\d*)?|\.\d+")
_COMMA = re.compile(r"(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d+)?|,\d+")
_FACTORS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}


@dataclass(frozen=True)
class Written:
    """A number as a text: digits with separators, a factor and a unit."""

    digits: str
    factor: float
    unit: str

    @property
    def decimals(self) -> str:
        """The decimal separators that make the digits a number."""
        point, comma = _POINT.fullmatch, _COMMA.fullmatch
        return "." * bool(point(self.digits)) + "," * bool(comma(self.digits))

    def value(self, decimal: str) -> float:
        """Return the number; `decimal` counts if the digits allow both."""
        if decimal not in self.decimals:
            decimal = self.decimals
        other = "," if decimal == "." else "."
        plain = self.digits.replace(other, "").replace(decimal, ".")
        return float(plain) * self.factor


@functools.lru_cache(2**16)
def written(text: str) -> Written | None:
    """Return the parts of a number; `None` if the text is no number."""
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] == "(") != text.endswith(")"):
        return None
    # Spaces may stand only before groups of three digits.
    digits = re.sub(r"[\s'’](?=\d{3}(?!\d))", "", match["digits"])
    unit = match["before"] or ""
    after = match["after"] or ""
    if after in _FACTORS and match["exponent"] is None:
        factor = _FACTORS[after]
    else:
        factor = float(f"1{match['exponent'] or ''}")
        unit += after
    if match["sign"] in tuple("-\u2212(") or match["inner"]:
        factor = -factor
    number = Written(digits, factor, unit)
    return number if number.decimals else None


def is_number(text: str) -> bool:
    """Return whether a text is a number, perhaps with a unit."""
    return written(text) is not None


def are_plain(texts: Iterable[str]) -> bool:
    """Return whether all texts are numbers in the form of Python's `float`."""
    import pandas

    values = pandas.Series(list(texts), dtype=object)
    return bool(pandas.to_numeric(values, errors="coerce").notna().all())


def parse(cells: Any, decimal: str) -> Any:
    """Return the numbers of a `pandas.Series` of texts; NaN for others.

    Args:
        cells: The texts.
        decimal: The decimal separator, `"."` or `","`.
    """
    import pandas

    if decimal == ".":
        values = pandas.to_numeric(cells, errors="coerce").astype("float64")
    else:
        values = pandas.Series(np.nan, cells.index, name=cells.name)
    rest = cells[values.isna()]
    known = {text: written(text) for text in rest.unique()}
    others = {t: w.value(decimal) for t, w in known.items() if w is not None}
    values = values.fillna(rest.map(others).astype("float64"))
    return values.replace([np.inf, -np.inf], np.nan)


def units(texts: Collection[str]) -> set[str]:
    """Return the units of the numbers among the texts."""
    if are_plain(texts):
        return set()
    found = map(written, texts)
    return {number.unit for number in found if number is not None}


def grouped(texts: Collection[str], decimal: str) -> str | None:
    """Return an example of a number with thousands such as `1,234` or `5k`."""
    other = "," if decimal == "." else "."
    if decimal == "." and are_plain(texts):
        return None
    for text in texts:
        number = written(text)
        if number is not None and (
            other in number.digits
            or number.digits not in text
            or text[-1] in _FACTORS
        ):
            return f"{text!r} is {number.value(decimal):.10g}"
    return None


def decimal_of(texts: Iterable[str]) -> str:
    """Return the decimal separator of the numbers among some texts.

    Returns:
        `"."` or `","`; `".,"` if all separators can be read both ways; `""` if
        no number has a separator.
    """
    seen = [w for w in map(written, texts) if w and re.search("[.,]", w.digits)]
    point = sum(w.decimals == "." for w in seen)
    comma = sum(w.decimals == "," for w in seen)
    if point or comma:
        return "." if point >= comma else ","
    return ".," if seen else ""


def ambiguous_decimal(texts: Iterable[str], separator: str) -> str:
    """Return the likelier reading of numbers such as `1.234` or `1,234`.

    Args:
        texts: Numbers, each with at most one separator before three digits.
        separator: The separator of the file's cells.
    """
    seen = [w for w in map(written, texts) if w]
    sign = next(c for w in seen for c in w.digits if c in ".,")
    plain = [float(w.digits) for w in seen if w.digits.isdigit()]
    is_grouped = bool(plain) and max(plain) < 1000
    # Most tables with semicolons have decimal commas.
    if sign == "," and separator != ";":
        is_grouped = True
    other = {".": ",", ",": "."}
    return other[sign] if is_grouped else sign
