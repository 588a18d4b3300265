"""The command line: `keras-ext check model.keras --data data.npz`.

A command is a module with `add(commands)`, which adds its parser; the parser's
default `run` takes the arguments and returns the exit status. No command's
module imports Keras: a command that needs it calls `start.start_keras` first.
"""

from collections.abc import Sequence

from keras_ext.cli import check, replay, search, ui
from keras_ext.cli.usage import Parser, UsageError as UsageError, run

COMMANDS = (search, check, replay, ui)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments, without the program's name. Defaults to `None`:
            those of the process.

    Returns:
        The exit status: that of the command, 2 after a usage error, 130
        after Ctrl-C.
    """
    return run(_parser(), argv)


def _parser() -> Parser:
    parser = Parser(
        prog="keras-ext",
        description="Tools for Keras models. KERAS_BACKEND chooses the "
        "backend; by default it is one that is installed.",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        command.add(commands)
    return parser
