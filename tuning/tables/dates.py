"""Dates and times: their forms, and their parts as numbers."""

import functools
import re
from collections.abc import Iterable
from typing import Any

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
PARTS = ("year", "month", "day", "weekday", "hour")

_ZONE = r"(?:Z|UTC|GMT|[A-Z]{3,4}|[-+]\d{2}:?\d{2}|[-+]\d{2})"
_TIME = (
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?\s*" rf"{_ZONE}?"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)[a-z]*\.?"
_YEAR = r"(?:\d{4}|'?\d{2})"
_DATE = "|".join(
    [
        r"\d{4}(?P<iso>[-/.])\d{1,2}(?P=iso)\d{1,2}|\d{4}[-/]\d{1,2}",
        r"(?P<a>\d{1,2})(?P<sign>[-/. ])(?P<b>\d{1,2})(?P=sign)"
        r"(?P<y>\d{4}|\d{2})",
        rf"\d{{1,2}}(?:st|nd|rd|th|\.)?[-/ ]*(?:of )?{_MONTH}[-/, ]*{_YEAR}",
        rf"{_MONTH} ?\d{{1,2}}(?:st|nd|rd|th)?[-/, ]+\d{{4}}",
        rf"{_MONTH}[-/, ]*\d{{4}}",
        rf"(?P<month>{_MONTH})[-/']+(?P<short>\d{{2}})",
        rf"\d{{4}}[-/ ]{_MONTH}[-/ ]\d{{1,2}}",
        r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])",
    ]
)
_MOMENT = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,? )?(?:(?P<date>{_DATE})"
    rf"(?:[T,]? ?(?P<time>{_TIME}))?|(?P<only>{_TIME}))",
    re.IGNORECASE,
)


@functools.lru_cache(2**16)
def _match(text: str) -> re.Match[str] | None:
    return _MOMENT.fullmatch(text)


def is_date(text: str) -> bool:
    """Return whether a text looks like a date, a time or both."""
    return _match(text) is not None


def order_of(texts: Iterable[str]) -> str | None:
    """Return the order of day and month in dates.

    Returns:
        `DAY_FIRST` or `MONTH_FIRST`; `""` if dates such as 03/04/2024 can be
        read both ways; `None` if no date has both as numbers, without doubt.
    """
    matches = [m for m in map(_match, texts) if m and m["a"]]
    pairs = [(int(m["a"]), int(m["b"])) for m in matches]
    day_first = sum(a > 12 for a, _ in pairs)
    month_first = sum(b > 12 for _, b in pairs)
    if day_first or month_first:
        return DAY_FIRST if day_first >= month_first else MONTH_FIRST
    return "" if pairs else None


def has_points(texts: Iterable[str]) -> bool:
    """Return whether dates have points, such as 31.12.2024."""
    return any(m["sign"] == "." for m in map(_match, texts) if m)


def zones(texts: Iterable[str]) -> set[str]:
    """Return the time zones of the texts; `""` for a text without one."""
    return {_zone(m) for m in map(_match, texts) if m and _clock(m)}


def parse(cells: Any, order: str = "", utc: bool = False) -> Any:
    """Return the moments of a `pandas.Series` of texts; NaT for others.

    Args:
        cells: The texts.
        order: `DAY_FIRST` or `MONTH_FIRST`, where the dates need it.
        utc: Whether to convert times to UTC. Otherwise zones are ignored.
    """
    import pandas

    plain = {t: _plain(t, order, utc) for t in cells.unique()}
    moments = pandas.to_datetime(
        cells.map(plain), format="mixed", utc=True, errors="coerce"
    )
    return moments.dt.tz_localize(None)


def parts_of(moments: Any) -> dict[str, Any]:
    """Return the parts of moments by name, as a `pandas.Series` of numbers.

    A weekday is a number from 0 (Monday) to 6. Minutes and seconds are a
    fraction of the hour.
    """
    parts = moments.dt
    hour = parts.hour + parts.minute / 60 + parts.second / 3600
    values = (parts.year, parts.month, parts.day, parts.day_of_week, hour)
    return dict(zip(PARTS, values, strict=True))


def _plain(text: str, order: str, utc: bool) -> str | None:
    """Return a date in a form that pandas cannot misread, or `None`."""
    match = _match(text)
    if match is None:
        return None
    clock, zone = _clock(match), _zone(match)
    clock = clock.removesuffix(zone).replace(",", ".").strip()
    if utc and re.fullmatch(r"UTC|GMT|Z|[-+].*", zone, re.IGNORECASE):
        clock += zone
    # A time without a date gets a date, whose parts are not used.
    date = match["date"] or "2000-01-01"
    if match["a"]:
        day, month = match["a"], match["b"]
        if order == MONTH_FIRST:
            day, month = month, day
        date = f"{_year(match['y'])}-{month:0>2}-{day:0>2}"
    elif match["month"]:
        date = f"{match['month']} {_year(match['short'])}"
    return f"{date} {clock}".strip()


def _year(digits: str) -> str:
    if len(digits) > 2:
        return digits
    return ("19" if int(digits) > 68 else "20") + digits


def _clock(match: re.Match[str]) -> str:
    return match["time"] or match["only"] or ""


def _zone(match: re.Match[str]) -> str:
    found = re.search(rf"{_ZONE}$", _clock(match), re.IGNORECASE)
    return found[0] if found else ""
