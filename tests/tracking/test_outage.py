"""A store that goes away and comes back costs no time and no message."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from unittest import mock

import numpy as np
import pytest

from keras_ext.tracking import RunWriter, TrackingError, connect, outbox

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

SECRET = "hunter2"


class FlakyClient:
    """Stands in for a client, and fails while `down` is set."""

    tracking_uri = f"http://me:{SECRET}@127.0.0.1:9/?token={SECRET}"

    def __init__(self):
        self.down = False
        self.calls = 0
        self.points = []
        self.events = []
        self.answer = threading.Event()
        self.answer.set()

    def _call(self):
        self.calls += 1
        self.answer.wait(10)
        if self.down:
            raise ConnectionError(f"cannot reach {self.tracking_uri}")

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        self._call()
        assert len(metrics) <= 1000 and len(params) <= 100 and len(tags) <= 100
        self.points += [(m.key, m.step, m.value) for m in metrics]
        self.events += [p.key for p in (*params, *tags)]

    def log_artifact(self, run_id, local_path, artifact_path=None):
        self._call()
        self.events.append(os.path.basename(local_path))

    def get_run(self, run_id):
        self._call()
        return mock.Mock()

    def set_terminated(self, run_id, status=None, end_time=None):
        self._call()
        self.events.append(status)


@pytest.fixture
def client():
    return FlakyClient()


def test_every_message_once_and_in_order(client, caplog):
    writer = RunWriter(client, "run")
    expected = []
    for step in range(300):
        client.down = 100 <= step < 200
        writer.metrics({"a": step, "b": -step}, step)
        expected += [("a", step, step), ("b", step, -step)]
        if step % 50 == 0:
            time.sleep(0.05)
            writer.params({f"p{step}": 1})
            writer.flush(0.2)
    writer.text("x", "notes.txt")
    assert writer.close()
    assert client.points == expected
    params = [f"p{step}" for step in range(0, 300, 50)]
    assert client.events == [*params, "notes.txt", "FINISHED"]
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    text = warnings[0].getMessage()
    assert "does not answer" in text and "\n" not in text
    assert "127.0.0.1:9" in text and SECRET not in text


def test_a_lost_answer(tracking_uri, monkeypatch):
    """What was stored and is sent again is not stored twice."""
    monkeypatch.setattr(outbox, "_FIRST_PAUSE", 0.001)
    real = connect(tracking_uri)

    class Lossy:
        answers = 0

        def __getattr__(self, name):
            def call(*args, **kwargs):
                getattr(real, name)(*args, **kwargs)
                self.answers += 1
                if self.answers % 2:
                    raise TimeoutError("no answer")

            return call

    run_id = real.create_run("0").info.run_id
    writer = RunWriter(Lossy(), run_id)
    writer.series("s", np.arange(1500), np.r_[np.nan, np.inf, np.ones(1498)])
    writer.params({"a": 1})
    assert writer.close()
    points = real.get_metric_history(run_id, "s")
    assert [point.step for point in points] == list(range(1500))
    run = real.get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.params == {"a": "1"}


def test_a_slow_store_costs_no_time(client):
    writer = RunWriter(client, "run")
    client.answer.clear()
    start = time.perf_counter()
    for step in range(1000):
        writer.metrics({"a": step}, step)
    assert time.perf_counter() - start < 1
    assert not writer.flush(timeout=0.1)
    client.answer.set()
    assert writer.flush()
    assert len(client.points) == 1000
    assert client.calls <= 3  # large requests, not many


def test_close_is_bounded_and_keeps_the_messages(client, caplog):
    client.down = True
    writer = RunWriter(client, "run")
    writer.series("s", range(1500), range(1500))
    start = time.monotonic()
    assert not writer.close("FAILED", timeout=0.5)
    assert time.monotonic() - start < 2
    assert [type(r).__name__ for r in writer.pending] == [
        "Points",
        "Points",
        "Status",
    ]
    last = caplog.records[-1].getMessage()
    assert "1501 messages" in last and SECRET not in last
    # The thread goes on, and the run ends after its messages.
    client.down = False
    assert writer.flush()
    assert len(client.points) == 1500 and client.events == ["FAILED"]
    assert not writer.pending


def test_waiting_is_short_by_default_while_the_store_is_down(
    client, monkeypatch
):
    monkeypatch.setattr(outbox, "_PATIENCE_IF_DOWN", 0.3)
    client.down = True
    writer = RunWriter(client, "run")
    writer.metrics({"a": 1}, 0)
    start = time.monotonic()
    assert not writer.flush()
    assert time.monotonic() - start < 2
    client.down = False
    assert writer.flush()


def test_artifacts_that_fail_do_not_hold_up_the_rest(client, monkeypatch):
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(outbox, name, 0.001)

    def no_space(*args):
        raise OSError("no space left")

    client.log_artifact = no_space
    writer = RunWriter(client, "run")
    writer.text("x", "a.txt")
    writer.metrics({"a": 1}, 0)
    assert writer.close()
    assert client.points == [("a", 0, 1)] and client.events == ["FINISHED"]
    assert [message.path for message, _ in writer.rejected] == ["a.txt"]


def test_the_thread_ends_when_it_has_nothing_to_do(client, monkeypatch):
    monkeypatch.setattr(outbox, "_IDLE", 0.05)
    writer = RunWriter(client, "run")
    for step in range(2):
        writer.metrics({"a": 1}, step)
        assert writer.flush()
        thread = writer._outbox._thread
        assert thread is None or thread.join(2) is None
        assert writer._outbox._thread is None
    assert len(client.points) == 2


def test_without_threads(client, monkeypatch):
    """At the end of the process no thread can be started any more."""

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer = RunWriter(client, "run")
    writer.metrics({"a": 1}, 0)
    assert writer.close("KILLED")
    assert client.events == ["KILLED"] and len(client.points) == 1
    outbox._at_work.discard(writer._outbox)


@contextlib.contextmanager
def server(port, database, log):
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", database),
        *("--artifacts-destination", str(log.parent / "artifacts")),
    ]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True
        )
    try:
        for _ in range(300):
            with contextlib.suppress(TrackingError):
                yield connect(f"http://me:{SECRET}@127.0.0.1:{port}", 30)
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"no server: {log.read_text()[-2000:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs killpg")
def test_a_real_server(tracking_uri, tmp_path, caplog, capfd, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "server.log"
    longest = 0.0
    sent = 0

    def train(steps):
        nonlocal longest, sent
        for _ in range(steps):
            start = time.perf_counter()
            writer.metrics({"loss": sent, "nan": float("nan")}, sent)
            writer.series("s", [sent], [sent + 0.5])
            longest = max(longest, time.perf_counter() - start)
            sent += 1
            time.sleep(0.005)

    with server(port, tracking_uri, log) as client:
        run_id = client.create_run("0").info.run_id
        writer = RunWriter(client, run_id)
        writer.params({"a": 1})
        writer.tags({"t": 1})
        train(100)
        writer.flush()
        train(20)
    train(100)
    assert not writer.flush(timeout=1)
    with server(port, tracking_uri, log) as client:
        train(20)
        writer.text("x", "deep/notes.txt")
        assert writer.close("FAILED", timeout=60)
        # Old versions of MLflow list the artifacts of no other store.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        run = client.get_run(run_id)
        files = client.list_artifacts(run_id, "deep")
    assert not writer.pending and not writer.rejected
    assert longest < 0.5
    direct = connect(tracking_uri)
    for key, offset in (("loss", 0), ("s", 0.5)):
        points = direct.get_metric_history(run_id, key)
        assert [(p.step, p.value) for p in points] == [
            (step, step + offset) for step in range(sent)
        ]
    steps = [p.step for p in direct.get_metric_history(run_id, "nan")]
    assert collections.Counter(steps) == dict.fromkeys(range(sent), 1)
    assert run.info.status == "FAILED"
    assert run.data.params == {"a": "1"} and run.data.tags["t"] == "1"
    assert [file.path for file in files] == ["deep/notes.txt"]
    np.testing.assert_equal(
        sum("does not answer" in r.getMessage() for r in caplog.records), 1
    )
    out, err = capfd.readouterr()
    assert SECRET not in out + err + caplog.text
    assert SECRET not in str(run.data.tags)
