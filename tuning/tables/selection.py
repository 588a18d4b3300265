"""Which columns are inputs, and why the others are left out."""

import re
from collections.abc import Mapping
from typing import Any

from keras_ext.cli.usage import UsageError

from .columns import CATEGORY, DATE, NUMBER, Column, Reading
from .inference import Conventions, infer
from .notes import Notes

# Inputs of a column of categories. The rarer categories have none.
MOST_CATEGORIES = 50
# Words in a cell of a column of free text, on average.
WORDS_OF_TEXT = 4
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
    """Return how each column is read that is an input, and the inputs.

    Args:
        table: The columns, without the target.
        shared: What the columns have in common.
        notes: Gets what the user should know.

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
    """Return whether numbers are an id's that occurs several times."""
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
    is_missing = values == "" if reading.kind == CATEGORY else values.isna()
    known, rows = values[~is_missing], len(values)
    different, forced = known.nunique(), name in shared.options.category
    if reading.kind == DATE:
        return ("" if reading.parts else "useless"), ""
    if different == 1 and not is_missing.any():
        value = known.iloc[0]
        is_number = reading.kind == NUMBER
        return "useless", f"({value:g})" if is_number else f"({value!r})"
    is_unique = different == len(known)
    if reading.kind == NUMBER:
        if not is_unique or not (known % 1 == 0).all():
            return "", ""
        if name.startswith("Unnamed: "):
            return "rows", ""
        words = _words(name)
        is_id = _ID.fullmatch(words) or _UNIQUE_ID.fullmatch(words)
        return ("ids" if is_id else ""), ""
    texts = known.unique()
    is_long = (
        sum(len(text.split()) for text in texts) > WORDS_OF_TEXT * different
    )
    is_free = different > MOST_CATEGORIES and is_long
    if forced or (different <= max(2, rows / 2) and not is_free):
        return "", ""
    what = "an id" if _ID.fullmatch(_words(name)) else "text"
    has_no_words = is_unique and not known.str.contains(" ").any()
    end = ", an id" if has_no_words and what == "text" else ""
    return "text", f"{what} with {different:,} different values{end}"


def _words(name: str) -> str:
    """Return a name in lower case: `PassengerId` is `passenger_id`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip()
