"""`keras-ext replay` and `keras-ext ui`, as a person calls them."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from keras_ext import cli
from keras_ext.tracking import connect, messages
from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.runs import experiment_id

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

GONE = "http://me:hunter2@127.0.0.1:9"


class Case:
    """A search's messages, left behind by a process that is gone."""

    def __init__(self, folder, client, experiment):
        self.folder = folder / "search"
        self.client = client
        self.experiment = experiment
        self.experiment_id = experiment_id(client, experiment)

    def leave(self, *more, made=None, experiment="7"):
        """Write messages; the search's run is known as `made`, if it is."""
        queue = DiskQueue(self.folder / "outbox")
        queue["store"] = "http://***@127.0.0.1:9"
        queue["experiment"] = self.experiment
        search = messages.Create("s", experiment, "search", {}, 1)
        trial = messages.Create("t", experiment, "trial 0", {}, 2, "s")
        if made is None:
            queue.append([search])
        else:
            queue.ids.adopt(search, made)
        queue.append(
            [
                trial,
                messages.Points("t", "loss", range(1500), np.ones(1500), 3),
                messages.Param("t", "width", "3"),
                messages.Artifact("t", "notes.txt", b"x"),
                *more,
                messages.Status("t", "FINISHED", 4),
                messages.Status("s", "FINISHED", 5),
            ]
        )
        queue.close()
        return self

    def replay(self, *args):
        return cli.main(["replay", str(self.folder), *args])

    def runs(self):
        runs = self.client.search_runs([self.experiment_id])
        return {run.info.run_name: run for run in runs}


@pytest.fixture
def case(tmp_path, tracking_uri):
    return Case(tmp_path, connect(tracking_uri), str(tmp_path))


def check_delivered(case):
    search, trial = (case.runs()[name] for name in ("search", "trial 0"))
    assert len(case.runs()) == 2
    assert trial.data.tags["mlflow.parentRunId"] == search.info.run_id
    assert {search.info.status, trial.info.status} == {"FINISHED"}
    points = case.client.get_metric_history(trial.info.run_id, "loss")
    assert [point.step for point in points] == list(range(1500))
    assert trial.data.params == {"width": "3"}


def test_delivered_once_for_all(case, tracking_uri, capsys):
    case.leave()
    assert case.replay(tracking_uri) == 0
    out, _ = capsys.readouterr()
    assert "2 runs, 1500 points, 1 parameters, 1 files, 2 ends" in out
    check_delivered(case)
    assert case.replay(tracking_uri) == 0
    assert "nothing" in capsys.readouterr().out
    check_delivered(case)


def test_to_the_store_that_has_the_search(case, tracking_uri, capsys):
    made = case.client.create_run(case.experiment_id, run_name="search")
    case.leave(made=made.info.run_id, experiment=case.experiment_id)
    assert case.replay(tracking_uri) == 0
    assert "begin anew" not in capsys.readouterr().err
    check_delivered(case)
    assert case.runs()["search"].info.run_id == made.info.run_id


def test_to_another_store_where_runs_begin_anew(case, tracking_uri, capsys):
    case.leave(made="0" * 32)
    assert case.replay(tracking_uri) == 0
    assert "begin anew" in capsys.readouterr().err
    check_delivered(case)
    queue = DiskQueue(case.folder / "outbox")
    assert queue.ids.of("s") == case.runs()["search"].info.run_id
    queue.close()


def test_what_is_refused_is_named(case, tracking_uri, capsys):
    case.leave(messages.Param("t", "width", "4"))
    assert case.replay(tracking_uri) == 1
    out, _ = capsys.readouterr()
    assert "rejected: param 'width'" in out and "not allowed" in out
    check_delivered(case)


def error_of(capsys, status):
    out, err = capsys.readouterr()
    assert status == 2 and out == ""
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("keras-ext: error: ")
    assert "hunter2" not in err
    return lines[0]


def test_nothing_to_replay(case, capsys):
    assert "has no messages" in error_of(capsys, case.replay())


def test_a_store_that_does_not_answer(case, capsys):
    case.leave()
    assert "does not answer" in error_of(capsys, case.replay(GONE))
    assert len(DiskQueue(case.folder / "outbox")) == 7


def test_credentials_are_not_kept_but_taken_from_the_environment(
    case, capsys, monkeypatch
):
    case.leave()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "credentials are not stored" in error_of(capsys, case.replay())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", GONE)
    assert "does not answer" in error_of(capsys, case.replay())


def test_a_search_that_still_runs(case, tracking_uri, capsys):
    case.leave()
    queue = DiskQueue(case.folder / "outbox")
    message = error_of(capsys, case.replay(tracking_uri))
    assert "in use by another process" in message
    queue.close()


def test_no_store_for_the_pages(tmp_path, capsys):
    uri = f"sqlite:///{tmp_path}/none.db"
    status = cli.main(["ui", "--tracking-uri", uri])
    assert "there is no store" in error_of(capsys, status)
    assert not (tmp_path / "none.db").exists()
    status = cli.main(["ui", "--tracking-uri", GONE])
    assert "does not answer" in error_of(capsys, status)


def test_a_port_that_is_taken(tracking_uri, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status = cli.main(
            ["ui", "--tracking-uri", tracking_uri, "--port", port]
        )
    assert f"port {port} cannot be used" in error_of(capsys, status)


@pytest.mark.backend("torch")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    "name, status", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 0)]
)
def test_ui_that_is_ended_leaves_no_server_behind(
    name, status, tracking_uri, tmp_path
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # Where the tests run in the background, Ctrl-C may be ignored.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from keras_ext import cli\n"
        "sys.exit(cli.main())"
    )
    command = [sys.executable, "-c", code, "ui"]
    ui = subprocess.Popen(
        [*command, "--tracking-uri", tracking_uri, "--port", port],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    while line := ui.stdout.readline():
        if "startup complete" in line:
            break
    ui.send_signal(getattr(signal, name))
    # Not before each process that writes to the pipe has ended.
    said, _ = ui.communicate(timeout=60)
    assert ui.returncode == status
    assert "Traceback" not in said
