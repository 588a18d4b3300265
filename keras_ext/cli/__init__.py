"""The command line: `keras-ext check model.keras --data data.npz`.

Each command is a module. Its `add(commands)` adds a parser, whose default `run`
takes the arguments and returns the exit status. No command's module imports
Keras. A command that needs Keras calls `start.start_keras` first.
"""

from collections.abc import Sequence

from keras_ext.cli import check, replay, search, ui
from keras_ext.cli.usage import Parser, UsageError as UsageError, run

COMMANDS = (search, check, replay, ui)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments, without the program's name. `None` means the
            arguments of the process.

    Returns:
        The command's exit status, 2 after a usage error, or 130 after Ctrl-C.
    """
    return run(_parser(), argv)


def _parser() -> Parser:
    parser = Parser(
        prog="keras-ext",
        description="Tools for Keras models. The environment variable "
        "KERAS_BACKEND chooses the backend. The default is an installed one.",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        command.add(commands)
    return parser
