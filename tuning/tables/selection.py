"""Chooses the columns that are inputs, with reasons for the others."""

import re
from collections.abc import Mapping
from typing import Any

from keras_ext.cli.usage import UsageError

from .columns import CATEGORY, DATE, NUMBER, Column, Reading
from .inference import Conventions, infer
from .notes import Notes

# Most inputs of a column of categories. Rarer categories have no input.
MOST_CATEGORIES = 50
# A cell of a column of free text has more words, on average.
WORDS_OF_TEXT = 4
# In a column of row numbers, at least this share of the numbers are 1 more
# than the number before.
COUNTING = 0.8
_ID = re.compile(r"(?:.*[^a-z])?(?:id|ids|uuid|guid)|id[^a-z].*")
# These are ids only if no value occurs twice.
_UNIQUE_ID = re.compile(
    r"(?:.*[^a-z])?(?:key|index|idx|no|nr|num|number|#|rowname|rownames|serial|"
    r"ssn|isbn|ean|hash|ref|reference|(?:row|record|user|customer|client|"
    r"patient|passenger|student|employee|member|order|invoice|transaction|"
    r"account|product|item|sample|subject|session|case)(?:id|no|nr)?)\.?"
)


def choose(
    table: Mapping[str, Column], shared: Conventions, notes: Notes
) -> tuple[dict[str, Reading], dict[str, Any]]:
    """Choose the columns that are inputs, and read them.

    Args:
        table: The columns, without the target.
        shared: The conventions of the file's columns.
        notes: Gets notes about all columns.

    Returns:
        The readings by column, and each input's values, a `pandas.Series`.
    """
    readings: dict[str, Reading] = {}
    inputs: dict[str, Any] = {}
    for name, column in table.items():
        if name in shared.options.drop:
            notes.add("drop", name)
            continue
        seen = Notes()
        found = infer(column, shared, seen)
        is_kept = name in shared.options.keep
        if found is None:
            if is_kept:
                raise UsageError(f"argument --keep: {name!r} is empty")
            notes.add("empty", name)
            continue
        reading, values = found
        if not is_kept:
            if _are_codes(name, reading, values):
                reading = Reading(CATEGORY, missing=reading.missing)
                values = reading.values(column.cells)
            topic, detail = _why_useless(name, reading, values, shared)
            if topic:
                notes.add(topic, name, detail)
                continue
        notes.update(seen)
        readings[name] = reading
        inputs |= reading.inputs(name, values)
    return readings, inputs


def _are_codes(name: str, reading: Reading, values: Any) -> bool:
    """Return whether numbers are ids that occur several times."""
    known = values.dropna()
    return (
        reading.kind == NUMBER
        and bool(_ID.fullmatch(_words(name)))
        and not known.is_unique
        and bool((known % 1 == 0).all())
    )


def _why_useless(
    name: str, reading: Reading, values: Any, shared: Conventions
) -> tuple[str, str]:
    """Return the topic of a column that is left out, and a detail."""
    if reading.kind == DATE:
        return ("" if reading.parts else "useless"), ""
    is_number = reading.kind == NUMBER
    is_missing = values.isna() if is_number else values == ""
    known = values[~is_missing]
    if known.nunique() == 1 and not is_missing.any():
        value = known.iloc[0]
        return "useless", f"({value:g})" if is_number else f"({value!r})"
    if is_number:
        return _why_no_measure(name, known), ""
    if name in shared.options.category:
        return "", ""
    return _why_no_categories(name, known)


def _why_no_measure(name: str, known: Any) -> str:
    """Return the topic of a column of whole numbers that only name rows."""
    if not (known % 1 == 0).all():
        return ""
    if name.startswith("Unnamed: "):
        # A table of several may count from 0 again.
        counts = (known.diff().iloc[1:] == 1).mean() > COUNTING
        return "rows" if counts or known.is_unique else ""
    words = _words(name)
    is_id = _ID.fullmatch(words) or _UNIQUE_ID.fullmatch(words)
    return "ids" if is_id and known.is_unique else ""


def _why_no_categories(name: str, known: Any) -> tuple[str, str]:
    """Return the topic of a column of free text or ids, and a detail."""
    different = known.nunique()
    is_id = bool(_ID.fullmatch(_words(name)))
    words = known.drop_duplicates().str.count(r"\S+").mean()
    is_free = is_id or words > WORDS_OF_TEXT
    most = MOST_CATEGORIES if is_free else len(known) / 2
    if different <= max(2, min(most, len(known) / 2)):
        return "", ""
    what = f"with {different:,} different values"
    if is_id:
        return "text", f"an id {what}"
    looks_like_id = known.is_unique and not known.str.contains(" ").any()
    return "text", f"text {what}" + ", an id" * looks_like_id


def _words(name: str) -> str:
    """Return a name in lower case: `PassengerId` is `passenger_id`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip()
