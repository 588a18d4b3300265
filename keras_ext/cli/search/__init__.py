"""`keras-ext search`: ready searches, `python -m tuning` in a checkout.

The definitions are in `tuning/`, which the wheel holds as `keras_ext.tuning`;
here is what runs them.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from keras_ext.cli.search import arguments
from keras_ext.cli.usage import Parser, UsageError

_ABOUT: dict[str, Any] = {
    "description": "Search hyperparameters and record each trial in MLflow.",
    "epilog": "Ctrl-C ends a search cleanly; --resume goes on with it.",
}


def add(commands: Any) -> None:
    """Add the command.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "search", help="search hyperparameters, recorded in MLflow", **_ABOUT
    )
    arguments.add(parser)
    parser.set_defaults(run=_search)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a search: `python -m tuning`.

    Args:
        argv: Arguments, without the program's name.

    Returns:
        The exit status: 0, 2 after a usage error, 130 after Ctrl-C.
    """
    parser = Parser(prog="python -m tuning", **_ABOUT)
    arguments.add(parser)
    try:
        args = parser.parse_args(argv)
        args.program = parser.prog
        return _search(args)
    except UsageError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _search(args: argparse.Namespace) -> int:
    from keras_ext.cli.search.command import run

    return run(args)
