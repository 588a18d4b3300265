"""The options that decide how to read a table."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from keras_ext.cli.usage import UsageError

from .dates import DAY_FIRST, MONTH_FIRST
from .file import TextTable


@dataclass(frozen=True)
class Options:
    """The user's decisions about a table.

    Attributes:
        decimal: Decimal separator of numbers that can be read both ways.
        date_order: `DAY_FIRST` or `MONTH_FIRST`, for dates that can be read
            both ways.
        date: Columns of dates.
        category: Columns of categories.
        keep: Columns that are inputs although they look useless.
        drop: Columns that are no inputs.
        missing: Texts that stand for a missing value.
    """

    decimal: str | None = None
    date_order: str | None = None
    date: Sequence[str] = ()
    category: Sequence[str] = ()
    keep: Sequence[str] = ()
    drop: Sequence[str] = ()
    missing: Sequence[str] = ()

    def check(self, target: str, table: TextTable) -> None:
        """Raise `UsageError` if an option names a column that does not exist.

        Args:
            target: The column to predict.
            table: The table.
        """
        for option in ("date", "category", "keep", "drop"):
            for name in getattr(self, option):
                if name not in table.cells:
                    raise UsageError(
                        f"argument --{option}: {no_column(name, table)}"
                    )
        for option, other in (("keep", "drop"), ("date", "category")):
            both = set(getattr(self, option)) & set(getattr(self, other))
            if both:
                raise UsageError(
                    f"argument --{option}: {min(both)!r} is in --{other}, too"
                )
        if target in self.drop:
            raise UsageError(f"argument --drop: {target!r} is the target")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument_group("how to read the table").add_argument
    add(
        "--decimal",
        choices=(".", ","),
        metavar="SIGN",
        help="the decimal separator, a point or a comma, of numbers that can "
        "be read both ways, such as 1,234; default: as in the other columns",
    )
    add(
        "--date-order",
        choices=(DAY_FIRST, MONTH_FIRST),
        help="the order of day and month in dates that can be read both ways, "
        "such as 03/04/2024; default: as in the other columns",
    )
    for option, text in (
        ("date", "read a column as dates"),
        ("category", "read a column as categories, such as codes"),
        ("keep", "keep a column that the command would leave out"),
        ("drop", "leave out a column"),
    ):
        add(
            f"--{option}",
            metavar="COLUMN",
            action="append",
            help=f"{text}; you can give it several times",
        )
    add(
        "--missing",
        metavar="TEXT",
        action="append",
        help="read a text as a missing value, such as NA in a column of "
        "words; you can give it several times",
    )


# The names of the options, as attributes.
NAMES = tuple(field.name for field in fields(Options))


def no_column(name: str, table: TextTable) -> str:
    """Return the message that a table has no such column."""
    names = list(table.cells.columns)
    near = difflib.get_close_matches(name, names, 1)
    shown = ", ".join(map(repr, names[:10])) + ", …" * (len(names) > 10)
    if not table.has_names:
        hint = f", whose first line has no names: the columns are {shown}"
    else:
        hint = f"; did you mean {near[0]!r}?" if near else f": {shown}"
    return f"there is no column {name!r} in {table.name}{hint}"
