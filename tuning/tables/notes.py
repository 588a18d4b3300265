"""The lines that report how a table was read."""

# What begins a line, and what ends it.
TOPICS = {
    "comma": ("decimal comma", ""),
    "thousands": ("thousands separators removed", ""),
    "ambiguous": ("numbers that can be read both ways", " (--decimal decides)"),
    "units": ("units removed", ""),
    "markers": ("missing values", ""),
    "odd": ("taken as missing", ""),
    "words": ("categories, not missing values", " (--missing TEXT changes it)"),
    "codes": ("codes, read as categories", ""),
    "dates": ("dates", ""),
    "order": ("dates that can be read both ways", " (--date-order decides)"),
    "useless": ("left out, the same in all rows", ""),
    "empty": ("left out, empty", ""),
    "rows": ("left out, row numbers", " (--keep COLUMN keeps them)"),
    "ids": (
        "left out, ids (different in each row)",
        " (--keep COLUMN keeps them)",
    ),
    "many ids": ("left out, ids", " (--keep COLUMN keeps them)"),
    "text": ("left out, text", " (--keep COLUMN keeps it as categories)"),
    "drop": ("left out, --drop", ""),
    "rare": ("rare categories count as one", ""),
}
MOST_COLUMNS = 10


class Notes:
    """Columns by topic: each topic has one line."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, str]] = {}

    def add(self, topic: str, column: str, detail: str = "") -> None:
        """Add a column to the line of a topic."""
        self._columns.setdefault(topic, {})[column] = detail

    def update(self, others: "Notes") -> None:
        """Add all columns of other notes."""
        for topic, columns in others._columns.items():
            self._columns.setdefault(topic, {}).update(columns)

    def lines(self) -> list[str]:
        """Return the lines, in the order of `TOPICS`."""
        lines = []
        for topic, (begin, end) in TOPICS.items():
            columns = [
                f"{name!r} ({detail})" if detail else repr(name)
                for name, detail in self._columns.get(topic, {}).items()
            ]
            if columns:
                more = len(columns) - MOST_COLUMNS
                shown = columns[:MOST_COLUMNS] + [f"{more} more"] * (more > 0)
                lines.append(f"{begin}: {', '.join(shown)}{end}")
        return lines
