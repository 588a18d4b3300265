import http.server
import os
import threading
import time

import mlflow
import pytest

from keras_ext.tracking import TrackingError, connect

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

SECRET = "hunter2"


@pytest.fixture
def free_port():
    server = http.server.HTTPServer(("127.0.0.1", 0), None)
    server.server_close()
    return server.server_address[1]


def answering(status, body=b"", delay=0.0):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            del args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def refusal(uri, **kwargs):
    start = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        connect(uri, **kwargs)
    assert time.monotonic() - start < 4
    error = caught.value
    assert isinstance(error, ConnectionError)
    assert error.__context__ is None and error.__cause__ is None
    assert "\n" not in str(error) and SECRET not in str(error)
    return str(error)


def test_a_store_that_answers(tracking_uri):
    client = connect(tracking_uri)
    assert isinstance(client, mlflow.MlflowClient)
    assert client.tracking_uri == tracking_uri


def test_mlflow_keeps_its_state(tracking_uri, monkeypatch):
    before = mlflow.get_tracking_uri()
    environment = dict(os.environ)
    count = len(connect(tracking_uri).search_experiments())
    connect(tracking_uri)
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    assert dict(os.environ) == environment
    assert len(connect(tracking_uri).search_experiments()) == count


def test_default_is_mlflows(tracking_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    assert connect().tracking_uri == tracking_uri


def test_nobody_answers(free_port):
    uri = f"http://me:{SECRET}@127.0.0.1:{free_port}"
    message = refusal(uri)
    assert f"http://***@127.0.0.1:{free_port}" in message
    assert "does not answer" in message and "refused" in message


@pytest.mark.parametrize(
    "status, body, text",
    [
        (401, b"You are not authenticated", "credentials"),
        (404, b"<html>", "HTTP status 404"),
        (503, b"<html>", "HTTP status 503"),
        (200, b"<html>", "not from MLflow"),
    ],
)
def test_somebody_else_answers(status, body, text):
    server = answering(status, body)
    uri = f"http://me:{SECRET}@127.0.0.1:{server.server_address[1]}"
    assert text in refusal(uri)
    server.shutdown()
    server.server_close()


def test_a_server_that_hangs():
    server = answering(200, b"{}", delay=2)
    uri = f"http://127.0.0.1:{server.server_address[1]}"
    assert "does not answer" in refusal(uri, timeout=0.2)
    server.shutdown()
    server.server_close()


def test_no_folder_for_the_database(tmp_path):
    message = refusal(f"sqlite:///{tmp_path}/missing/mlflow.db")
    assert "there is no folder" in message
    assert not (tmp_path / "missing").exists()


def test_not_a_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, not a database. " * 100)
    assert "not a database" in refusal(f"sqlite:///{path}")
    assert "folder" in refusal(f"sqlite:///{tmp_path}")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="needs a user whom permissions bind",
)
def test_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(f"sqlite:///{tmp_path}/x.db")
    assert "cannot be written" in refusal(f"file://{tmp_path}")
    tmp_path.chmod(0o700)


def test_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    assert "no folder" in refusal(str(tmp_path / "a" / "b"))
    path = tmp_path / "file"
    path.touch()
    assert "not a folder" in refusal(path.as_uri())


def test_no_such_store():
    assert "no store of this kind" in refusal("gopher://host/x")


def test_no_such_database(free_port):
    uri = f"postgresql://me:{SECRET}@127.0.0.1:{free_port}/runs"
    assert "does not answer" in refusal(uri)
