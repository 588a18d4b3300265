"""A search in several processes, one in the place of the other.

What backends do not give back, such as the graphs that TensorFlow keeps of each
model, goes with the process. The new one takes the old one's place: the same
process id, the same terminal, no other process that waits.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from keras_ext.cli.usage import UsageError

_MODULES = {"python -m tuning": ("tuning",)}


def check_possible() -> None:
    """Raise where a process cannot be replaced.

    Raises:
        UsageError: It cannot.
    """
    if os.name == "nt":
        raise UsageError(
            "--trials-per-process replaces the process, and Windows cannot"
        )


def go_on(
    args: argparse.Namespace, folder: Path, began: float | None
) -> NoReturn:
    """Go on with a search in a new process, which takes this one's place.

    A Ctrl-C waits until the new process has come to where it ends the
    search's runs.

    Args:
        args: The command's arguments.
        folder: The search's folder.
        began: When the search began, by `time.monotonic`.
    """
    module = _MODULES.get(args.program, ("keras_ext.cli", "search"))
    options = {
        "--in-folder": folder,
        "--began": began,
        "--trials-per-process": args.trials_per_process,
        "--experiment": args.experiment,
        "--directory": args.directory,
        "--tracking-uri": args.tracking_uri,
        "--time-budget": args.time_budget and f"{args.time_budget:.0f}s",
    }
    given = [
        f"{name}={value}"
        for name, value in options.items()
        if value is not None
    ]
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    command = [sys.executable, "-m", *module, args.dataset, *given]
    os.execv(sys.executable, command)


def allow_interrupts() -> None:
    """Let a Ctrl-C through that has waited since the process before."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
