"""Errors that a person can mend, and numbers that they pass."""

import argparse
import sys
from typing import NoReturn

from keras_ext.doctor.report.wording import clean


class UsageError(Exception):
    """What a person can mend: its text is all that they see."""


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Raise, so that all errors leave by the same door."""
        raise UsageError(message)


def positive(text: str) -> int:
    """Return the positive integer that `text` says.

    Args:
        text: An argument of the command line.

    Raises:
        argparse.ArgumentTypeError: It says something else.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(
            f"must be a positive integer, not {text!r}"
        )
    return value


def note(text: str) -> None:
    """Tell the person something beside the command's own output.

    Args:
        text: One line.
    """
    print(f"keras-ext: {clean(text)}", file=sys.stderr)
