"""Continues a search in a new process.

Backends never free some of their memory, such as the graphs that TensorFlow
keeps for each model. A new process replaces the old one. It has the same
process id and the same terminal, and no parent process waits for it.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

_MODULES = {"python -m tuning": ("tuning",)}


def go_on(
    args: argparse.Namespace, folder: Path, began: float | None
) -> NoReturn:
    """Replace this process by a new one that continues the search.

    A Ctrl-C waits until the new process can end the search's runs.
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
    """Deliver a Ctrl-C that waited since the process before this one."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
