"""Series as a compact table for the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np

_WIDEST_NAME = 24


def table(
    title: str,
    series: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
    by_factor: bool,
) -> str:
    """Return a table with one line for each layer.

    Args:
        title: The first line.
        series: For each layer its values in time.
        notes: For each layer a note. A layer without values has a line with
            its note alone.
        by_factor: Whether the trend is a factor instead of a difference.
    """
    rows: list[Sequence[str]] = [
        ("layer", "first", "last", "min", "max", "trend", "note")
    ]
    for layer, values in series.items():
        rows.append(
            (
                _short(layer),
                *(f"{x:.2g}" for x in (*_ends(values), *_range(values))),
                _trend(values, by_factor),
                notes.get(layer, ""),
            )
        )
    rows += [
        (_short(layer), *5 * ("-",), note)
        for layer, note in notes.items()
        if layer not in series
    ]
    return f"{title}\n{_aligned(rows)}"


def _range(values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (known.min(), known.max()) if len(known) else (np.nan, np.nan)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Return the medians of the first and the last fifth."""
    fifth = max(1, len(values) // 5)
    return float(np.median(values[:fifth])), float(np.median(values[-fifth:]))


def _trend(values: np.ndarray, by_factor: bool) -> str:
    """Return the difference between the first and the last fifth as text."""
    if len(values) < 2:
        return ""
    first, last = _ends(values)
    if not np.isfinite([first, last]).all():
        return ""
    if not by_factor:
        change = last - first
        return f"{change:+.2f}" if abs(change) >= 0.01 else "steady"
    if first <= 0 or last <= 0:
        return "steady" if first == last else "to 0" if last == 0 else ""
    if 0.5 < last / first < 2:
        return "steady"
    way, factor = (
        ("up", last / first) if last > first else ("down", first / last)
    )
    return f"{way} {factor:.0f}x" if factor < 1e4 else f"{way} {factor:.0e}x"


def _short(name: str) -> str:
    if len(name) <= _WIDEST_NAME:
        return name
    return "..." + name[3 - _WIDEST_NAME :]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells, note in rows:
        line = name.ljust(widths[0])
        for cell, width in zip(cells, widths[1:-1], strict=True):
            line += "  " + cell.rjust(width)
        lines.append(f"{line}  {note}".rstrip())
    return "\n".join(lines)
