"""`keras-ext ui`: MLflow's pages on a store of this machine."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_ext.cli.usage import UsageError, positive

HOST, PORT = "127.0.0.1", 5000
# Seconds that the server has to end by itself.
PATIENCE = 3


def add(commands: Any) -> None:
    """Add the command.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "ui",
        help="open MLflow's pages on recorded searches",
        description="Serve MLflow's pages on a store, to this machine only, "
        "until Ctrl-C. A store that is a server has pages of its own: its "
        "address is printed.",
    )
    parser.set_defaults(run=_ui)
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="the MLflow store; default: as MLflow is set, "
        "sqlite:///mlflow.db if it is not",
    )
    parser.add_argument(
        "--port", type=positive, default=PORT, help=f"default: {PORT}"
    )


def _ui(args: argparse.Namespace) -> int:
    from keras_ext.tracking import TrackingError, connect, redact

    uri = args.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    uri = uri or "sqlite:///mlflow.db"
    path = uri.removeprefix("sqlite:///")
    if path != uri and not Path(path).is_file():
        raise UsageError(f"there is no store {uri!r}")
    try:
        connect(uri)
    except (TrackingError, ImportError) as error:
        raise UsageError(str(error)) from error
    if uri.startswith(("http://", "https://")):
        print(f"The pages of this store: {redact(uri)}")
        return 0
    _check_port(args.port)
    print(
        f"MLflow on {redact(uri)}: http://{HOST}:{args.port}, in some seconds "
        "(Ctrl-C ends it)",
        flush=True,
    )
    command = (sys.executable, "-m", "mlflow", "server", "--workers", "1")
    place = ("--host", HOST, "--port", str(args.port))
    # Not as an argument: everybody can read those of a process.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    environment.pop("MLFLOW_TRACKING_URI", None)
    # The server must not outlive a command that is ended, however it is.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    # In a group of its own Ctrl-C does not reach it, after which it would
    # wait for open pages, and print how each of its processes ends.
    server = subprocess.Popen(
        (*command, *place), env=environment, start_new_session=True
    )
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _leave(number: int, frame: Any) -> None:
    sys.exit(128 + number)


def _end(server: subprocess.Popen) -> None:
    """End a server and its processes, which only read."""
    if not hasattr(os, "killpg"):
        server.terminate()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be used: {error}") from error
