"""From a file to a table of texts: encoding, separator and names."""

import codecs
import csv
import io
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ext.cli.usage import UsageError

from . import numbers

SEPARATORS = "\t;|,"
# The number of characters that show a file's separator.
SAMPLE = 100_000


@dataclass
class TextTable:
    """A table whose cells are all texts, as in the file.

    Attributes:
        name: The file's name, in quotes.
        cells: A `pandas.DataFrame` of stripped strings.
        separator: The separator of the cells of a line.
        header: The names of the columns in the file, which may be equal.
        notes: Lines about unusual things in the file.
        has_names: Whether the file has a line of column names.
    """

    name: str
    cells: Any
    separator: str
    header: Sequence[str]
    notes: list[str]
    has_names: bool


def read(path: Path, wanted: Collection[str]) -> TextTable:
    """Read a CSV file.

    Args:
        path: The file, separated by commas, semicolons, tabs or bars.
        wanted: Columns that the file should have. If its first line has no
            names, the columns are `column 1`, `column 2`, ….

    Raises:
        UsageError: The file has no table.
    """
    name = repr(str(path))
    try:
        return _table(name, path.read_bytes(), wanted)
    except FileNotFoundError as error:
        raise UsageError(f"there is no data file {name}") from error
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{name} cannot be read as a CSV file: {reason}"
        ) from error


def _table(name: str, data: bytes, wanted: Collection[str]) -> TextTable:
    text, notes = _decode(data)
    sample = re.sub(r"\r\n?", "\n", text[:SAMPLE])
    if len(text) > SAMPLE:
        sample = sample.rpartition("\n")[0]
    # Excel may write the separator in a first line of its own.
    hint = re.match(r'"?sep=(.)"?\n', sample)
    separator = hint[1] if hint else _separator(sample)
    rows = _rows(sample, separator)
    width = _usual_width(rows)
    start = 1 if hint else 0
    while start < len(rows) and _is_preamble(rows[start], width):
        start += 1
    if start > (1 if hint else 0):
        plural = "s" * (start > 1)
        notes.append(f"skipped: {start} line{plural} before the column names")
    if start == len(rows):
        raise ValueError("it has no line of column names")
    header = _header(rows[start], rows[start + 1 :], width)
    names = [f"column {i + 1}" for i in range(len(header))]
    has_names = not set(header).isdisjoint(wanted) or (
        set(names).isdisjoint(wanted)
        and not _is_data(header, rows[start + 1 :])
    )
    skipped = rows[start].number + has_names
    cells = _cells(text, separator, len(header), skipped)
    if has_names:
        names, renamed = _unique(header)
        notes += renamed
    else:
        notes.append(
            "no column names in the first line: the columns are 'column 1' "
            f"to {names[-1]!r}"
        )
    cells.columns = names
    return TextTable(name, cells, separator, header, notes, has_names)


def _decode(data: bytes) -> tuple[str, list[str]]:
    notes = []
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16")
        notes.append("encoding: UTF-16")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            # Windows-1252 is Latin-1 with more characters. It lacks five bytes.
            text = data.decode("cp1252", errors="replace")
            notes.append("encoding: Windows-1252 (Latin-1), not UTF-8")
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        raise ValueError("it is not a text file")
    if not re.search(r"\S.*[\r\n]", text):
        raise ValueError("it has no line below the column names")
    return text, notes


class _Row(list[str]):
    """The cells of a line, with the number of lines before it."""

    number = 0


def _rows(sample: str, separator: str) -> list[_Row]:
    reader = csv.reader(
        io.StringIO(sample), delimiter=separator, skipinitialspace=True
    )
    rows = []
    for number, cells in enumerate(itertools.islice(reader, 200)):
        row = _Row(cell.strip() for cell in cells)
        row.number = number
        if row:
            rows.append(row)
    return rows


def _separator(sample: str) -> str:
    """Return the separator that gives most lines the same number of cells."""

    def share(separator: str) -> float:
        rows = _rows(sample, separator)
        width = _usual_width(rows)
        usual = sum(len(row) == width for row in rows)
        return usual / len(rows) if width > 1 else 0.0

    best = max(SEPARATORS, key=share)
    return best if share(best) else ","


def _usual_width(rows: Sequence[_Row]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


def _is_preamble(row: _Row, width: int) -> bool:
    """Return whether a line is a title or a comment above the table."""
    is_title = len(list(filter(None, row))) <= 1 < width
    return is_title or (row[0][:1] == "#" and len(row) != width)


def _header(first: _Row, rows: Sequence[_Row], width: int) -> list[str]:
    """Return the names of the columns; a missing one is empty."""
    header = [" ".join(cell.split()) for cell in first]
    missing = width - len(header)
    if missing > 1:
        raise ValueError(
            f"its line of column names has {len(header)} cells, and the "
            f"others have {width}"
        )
    if missing == 1 and all(len(row) < width or not row[-1] for row in rows):
        return [*header, ""]
    # R writes no name for the column of row names.
    return [""] * max(0, missing) + header


def _is_data(header: Sequence[str], rows: Sequence[_Row]) -> bool:
    """Return whether the first line has numbers like the lines below."""
    of_numbers = [
        name
        for i, name in enumerate(header)
        if rows
        and all(numbers.is_number(row[i]) for row in rows if len(row) > i)
    ]
    return bool(of_numbers) and all(map(numbers.is_number, of_numbers))


def _cells(text: str, separator: str, width: int, skipped: int) -> Any:
    import pandas

    with warnings.catch_warnings():
        # pandas only warns when it drops the cells of a long line.
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            table = pandas.read_csv(
                io.StringIO(text),
                sep=separator,
                header=None,
                names=list(range(width)),
                index_col=False,
                skiprows=skipped,
                skipinitialspace=True,
                dtype=str,
                na_filter=False,
            )
        except pandas.errors.ParserWarning as error:
            raise ValueError(
                "the first line below the column names has more cells than "
                f"the {width} names"
            ) from error
        except pandas.errors.EmptyDataError:
            table = pandas.DataFrame(columns=range(width), dtype=str)
    return table.apply(lambda column: column.fillna("").str.strip())


def _unique(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return unique names, as pandas makes them, and notes about changes."""
    names: list[str] = []
    renamed = []
    for i, given in enumerate(header):
        unique, number = given or f"Unnamed: {i}", 0
        while unique in names or (number and unique in header):
            number += 1
            unique = f"{given}.{number}"
        if number:
            renamed.append(f"renamed: a second column {given!r} is {unique!r}")
        names.append(unique)
    return names, renamed
