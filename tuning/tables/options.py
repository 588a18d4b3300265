"""The options that decide how a table is read."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from keras_ext.cli.usage import UsageError

from .dates import DAY_FIRST, MONTH_FIRST
from .file import TextTable


@dataclass(frozen=True)
class Options:
    """What the user decided about a table.

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
        """Raise `UsageError` if an option names a column that is not there.

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
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        help="the decimal separator of numbers such as 1,234, which can be "
        "read both ways; default: as in the other columns",
    )
    parser.add_argument(
        "--date-order",
        choices=(DAY_FIRST, MONTH_FIRST),
        help="how to read dates such as 03/04/2024; default: as the other "
        "dates",
    )
    for option, text in (
        ("date", "a column of dates"),
        ("category", "a column of categories, such as numbers that are codes"),
        ("keep", "a column to predict from, although it looks useless"),
        ("drop", "a column not to predict from"),
    ):
        parser.add_argument(
            f"--{option}",
            metavar="COLUMN",
            action="append",
            help=f"{text}; may be given several times",
        )
    parser.add_argument(
        "--missing",
        metavar="TEXT",
        action="append",
        help="a text that stands for a missing value, such as NA in a column "
        "of words; may be given several times",
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
