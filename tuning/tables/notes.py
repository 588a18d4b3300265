"""The lines that report how a table was read."""

from collections.abc import Iterable

# The beginning and the end of each topic's line.
TOPICS = {
    "comma": ("decimal comma", ""),
    "thousands": ("thousands", ""),
    "decimals": ("numbers that can be read both ways", ""),
    "units": ("units removed", ""),
    "markers": ("missing values", ""),
    "odd": ("taken as missing", ""),
    "words": ("words, not missing values", " (--missing TEXT changes it)"),
    "cases": ("words that differ only in upper case", ""),
    "codes": ("codes, read as categories", ""),
    "dates": ("dates", ""),
    "order": ("dates that can be read both ways", ""),
    "rare": ("rare categories count as one", ""),
    "unknown": ("categories that the models do not know", ""),
}
# Why a column is left out; each column has a line.
REASONS = {
    "empty": "empty",
    "useless": "the same in all rows",
    "rows": "row numbers",
    "ids": "an id, different in each row",
    "text": "",
    "drop": "by --drop",
}
OVERRIDDEN = " (--keep COLUMN overrides it)"
MOST_COLUMNS = 10


class Notes:
    """Notes for the user: columns and details by topic."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, str]] = {}

    def add(self, topic: str, column: str, detail: str = "") -> None:
        """Add a column to a topic: a key of `TOPICS` or `REASONS`."""
        self._columns.setdefault(topic, {})[column] = detail

    def update(self, others: "Notes") -> None:
        """Add all columns of other notes."""
        for topic, columns in others._columns.items():
            self._columns.setdefault(topic, {}).update(columns)

    def lines(self) -> list[str]:
        """Return the lines, in the order of the topics."""
        lines = []
        for topic, (begin, end) in TOPICS.items():
            shown = [
                f"{name!r} ({detail})" if detail else repr(name)
                for name, detail in self._columns.get(topic, {}).items()
            ]
            if shown:
                lines.append(f"{begin}: {_some(shown)}{end}")
        for topic, reason in REASONS.items():
            columns = self._columns.get(topic, {})
            end = OVERRIDDEN if topic in ("rows", "ids", "text") else ""
            if len(columns) > MOST_COLUMNS:
                names = _some([repr(name) for name in columns])
                lines.append(f"left out, {reason}: {names}{end}")
            else:
                for name, detail in columns.items():
                    why = " ".join(filter(None, (reason, detail)))
                    lines.append(f"left out: {name!r}, {why}{end}")
        return lines


def quoted(texts: Iterable[str]) -> str:
    """Return the first texts in quotes."""
    texts = list(texts)
    return ", ".join(map(repr, texts[:3])) + ", …" * (len(texts) > 3)


def _some(columns: list[str]) -> str:
    more = len(columns) - MOST_COLUMNS
    shown = columns[:MOST_COLUMNS] + [f"{more} more"] * (more > 0)
    return ", ".join(shown)
