"""Parsers, usage errors and notes on stderr, for all commands."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from keras_ext.doctor.report.wording import clean


class UsageError(Exception):
    """An error that the user can fix. A command prints it as one line."""


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong argument in one line, without the usage.

    Args:
        fill: A function that adds arguments whose modules are slow to import.
            The parser calls it with itself before it parses for the first
            time.
        **kwargs: As for `ArgumentParser`.
    """

    def __init__(
        self, fill: Callable[["Parser"], None] | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self._fill = fill

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Add the missing arguments, and parse as the base class does."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError`, so that `run` handles all errors."""
        raise UsageError(message)


def run(parser: Parser, argv: Sequence[str] | None = None) -> int:
    """Parse arguments and run the command that they name.

    Returns:
        The command's exit status, 2 after a usage error, or 130 after Ctrl-C.
    """
    try:
        args = parser.parse_args(argv)
        return args.run(args)
    except UsageError as error:
        note(f"error: {error}", parser.prog)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a parser of integers within bounds, for `add_argument`."""
    bounds = f">= {least}" if most is None else f"in [{least}, {most}]"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"must be an integer {bounds}, not {text!r}"
            )
        return value

    return parse


def note(text: str, program: str = "keras-ext") -> None:
    """Print one line to stderr, apart from the command's results."""
    print(f"{program}: {clean(text)}", file=sys.stderr)
