"""Real MLflow servers on loopback, and a proxy that loses their answers."""

import contextlib
import http.client
import http.server
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

import pytest

from keras_ext.tracking import TrackingError, connect

needs_servers = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="ends servers by their process group"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """An MLflow server that can be stopped and started again.

    Args:
        database: Its backend store.
        folder: Where its log and its artifacts go.
        port: Its port; by default a free one.
    """

    def __init__(self, database, folder, port=None):
        self.port = port or free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self.command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", database),
            *("--artifacts-destination", str(folder / "artifacts")),
        ]
        self.process = None

    def start(self):
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, start_new_session=True
            )
        for _ in range(300):
            with contextlib.suppress(TrackingError):
                return connect(self.uri, 30)
            time.sleep(0.2)
        pytest.fail(f"no server: {self.log.read_text()[-2000:]}")

    def stop(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()


class Proxy:
    """Stands before a server and spoils what it is told to.

    Args:
        uri: The server.

    Attributes:
        fault: None, or a function of the number of the request and its path
            that returns what goes wrong with it: None, `"refuse"` (the
            connection ends at once), `"lose"` (it ends once the server has
            answered), an HTTP status, seconds to wait with the answer, or
            `("late", seconds)` to wait with the request.
        asked: The paths of all requests.
    """

    def __init__(self, uri):
        self.target = urlsplit(uri).netloc
        self.fault = None
        self.asked = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _serve(self):
                proxy._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *args):
                del args

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler
        )
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handle(self, handler):
        with self._lock:
            number = len(self.asked)
            self.asked.append(handler.path)
        body = handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        fault = self.fault and self.fault(number, handler.path)
        if fault == "refuse":
            handler.connection.close()
            return
        if isinstance(fault, int) and fault >= 400:
            self._answer(handler, fault, b'{"error_code": "INTERNAL_ERROR"}')
            return
        if isinstance(fault, tuple):
            time.sleep(fault[1])
            fault = None
        status, text = self._forward(handler, body)
        if fault == "lose":
            handler.connection.close()
            return
        if fault is not None:
            time.sleep(fault)
        self._answer(handler, status, text)

    def _forward(self, handler, body):
        server = http.client.HTTPConnection(self.target, timeout=30)
        with contextlib.closing(server):
            headers = {
                key: value
                for key, value in handler.headers.items()
                if key.lower() not in ("host", "accept-encoding")
            }
            server.request(handler.command, handler.path, body, headers)
            answer = server.getresponse()
            return answer.status, answer.read()

    def _answer(self, handler, status, text):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(text)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Postgres:
    """A PostgreSQL of its own, from Debian's packages or on the path.

    It does not run as root: where the tests do, it is the user `postgres`.
    """

    def __init__(self):
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        places = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        self.programs = {
            name: shutil.which(name, path=places)
            for name in ("initdb", "postgres")
        }
        missing = [name for name, path in self.programs.items() if not path]
        if missing:
            pytest.skip(f"PostgreSQL is not installed: no {missing}")
        pytest.importorskip("psycopg2")
        self.port = free_port()
        self.place = f"keras@127.0.0.1:{self.port}/postgres"
        self.uri = f"postgresql+psycopg2://{self.place}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keras_ext-pg-"))
        self.user = None
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres").pw_uid
            except KeyError:
                pytest.skip("PostgreSQL does not run as root")
            os.chown(self.folder, self.user, -1)
        self.process = None

    def __enter__(self):
        command = (self.programs["initdb"], "-D", self.folder / "data")
        options = ("-A", "trust", "-U", "keras", "-E", "UTF8", "--no-sync")
        subprocess.run(
            (*command, *options, "--locale=C"),
            check=True,
            user=self.user,
            stdout=subprocess.DEVNULL,
        )
        self.start()
        return self

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                (
                    *(self.programs["postgres"], "-D", self.folder / "data"),
                    *("-h", "127.0.0.1", "-p", str(self.port)),
                    *("-k", self.folder, "-c", "fsync=off"),
                ),
                stdout=log,
                stderr=log,
                user=self.user,
                start_new_session=True,
            )
        import psycopg2

        for _ in range(150):
            with contextlib.suppress(psycopg2.OperationalError):
                psycopg2.connect(f"postgresql://{self.place}").close()
                return
            time.sleep(0.1)
        pytest.fail((self.folder / "log").read_text()[-2000:])

    def stop(self):
        if self.process is not None:
            # Its quick shutdown, which waits for no client.
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None

    def __exit__(self, *error):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
