"""`keras-ext ui`: MLflow's web pages for a store on this machine."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_ext.cli.usage import UsageError, integer

HOST, PORT = "127.0.0.1", 5000
# Seconds after which a server that does not end is killed.
PATIENCE = 3


def add(commands: Any) -> None:
    """Add the command to what `add_subparsers` returned."""
    parser = commands.add_parser(
        "ui",
        help="show searches in MLflow's web pages",
        description="Serve MLflow's web pages for a store until Ctrl-C. Only "
        "this machine can open them. If the store is a server, print the "
        "server's address instead.",
    )
    parser.set_defaults(run=_ui)
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="the MLflow store; default: $MLFLOW_TRACKING_URI, "
        "else sqlite:///mlflow.db",
    )
    parser.add_argument(
        "--port", type=integer(1, 65535), default=PORT, help=f"default: {PORT}"
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
        print(f"This store has its own web pages: {redact(uri)}")
        return 0
    _check_port(args.port)
    print(
        f"MLflow on {redact(uri)}: http://{HOST}:{args.port}, in a few seconds "
        "(Ctrl-C ends it)",
        flush=True,
    )
    command = (sys.executable, "-m", "mlflow", "server", "--workers", "1")
    place = ("--host", HOST, "--port", str(args.port))
    # Other users of the machine can read a process's arguments.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    environment.pop("MLFLOW_TRACKING_URI", None)
    # The server must not outlive this command, however the command ends.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    # Ctrl-C must not reach the server, so the server has a process group of its
    # own. It would wait for open pages, and print how each process ends.
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
    """End the server and its processes, which only read the store."""
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
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error}") from error
