"""`keras-ext search`: ready searches, `python -m tuning` in a checkout.

The definitions are in `tuning/`, which is `keras_ext.tuning` in the wheel. This
package runs them.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from keras_ext.cli.search import arguments
from keras_ext.cli.usage import Parser, run

_ABOUT: dict[str, Any] = {
    "description": "Search hyperparameters and log each trial to MLflow.",
    "epilog": arguments.EPILOG,
    # Other commands do not need these slow imports.
    "fill": arguments.add,
}


def add(commands: Any) -> None:
    """Add the command to what `add_subparsers` returned."""
    parser = commands.add_parser(
        "search",
        help="search hyperparameters and log each trial to MLflow",
        **_ABOUT,
    )
    parser.set_defaults(run=_search, program="keras-ext search")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m tuning`; return the exit status, as `cli.main` does."""
    parser = Parser(prog="python -m tuning", **_ABOUT)
    parser.set_defaults(run=_search, program=parser.prog)
    return run(parser, argv)


def _search(args: argparse.Namespace) -> int:
    from keras_ext.cli.search.command import run_search

    return run_search(args)
