import functools
import math
import os
import subprocess
import sys
import threading

import matplotlib.figure
import numpy as np
import pytest

from keras_ext.tracking import RunWriter, connect
from keras_ext.tracking.background import Background
from keras_ext.tracking.runs import experiment_id

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")


@pytest.fixture(scope="module")
def client(tracking_uri):
    return connect(tracking_uri)


@pytest.fixture
def writer(client):
    experiment = experiment_id(client, "run writer")
    return RunWriter(client, client.create_run(experiment).info.run_id)


def history(writer, key):
    points = writer.client.get_metric_history(writer.run_id, key)
    return [(point.step, point.value) for point in points]


def data(writer):
    return writer.client.get_run(writer.run_id).data


def read(writer, path, folder):
    local = writer.client.download_artifacts(writer.run_id, path, str(folder))
    with open(local, "rb") as file:
        return file.read()


def test_metrics(writer):
    writer.metrics({"loss": 0.5, "acc": np.float32(0.25)}, step=0)
    writer.metrics({"loss": 0.25}, step=1)
    assert writer.flush()
    assert history(writer, "loss") == [(0, 0.5), (1, 0.25)]
    assert history(writer, "acc") == [(0, 0.25)]


def test_values_that_are_not_finite(writer):
    values = {"nan": math.nan, "up": math.inf, "down": -math.inf}
    writer.metrics(values, step=3)
    assert writer.flush() and not writer.rejected
    assert math.isnan(history(writer, "nan")[0][1])
    # A database has no infinity.
    assert history(writer, "up") == [(3, sys.float_info.max)]
    assert history(writer, "down") == [(3, -sys.float_info.max)]


def test_what_is_no_number(writer, caplog):
    for step in range(2):
        writer.metrics({"text": "x", "none": None, "one": True}, step)
    assert writer.flush()
    assert set(data(writer).metrics) == {"one"}
    assert sorted(r.args[0] for r in caplog.records) == ["none", "text"]


def test_series(writer):
    steps = np.arange(0, 25_000, 10)
    values = np.sqrt(steps)
    writer.series("step/norm", steps, values)
    values[:] = -1  # the writer has its own copy
    assert writer.flush()
    assert history(writer, "step/norm") == [
        (step, math.sqrt(step)) for step in steps
    ]


def test_series_lengths(writer):
    with pytest.raises(ValueError, match="must have the same length"):
        writer.series("x", [1, 2], [1.0])


def test_params_keep_their_type_readable(writer):
    writer.params(
        {
            "bool": True,
            "int": 3,
            "float": 1e-3,
            "text": "adam",
            "numpy": np.float32(0.1),
            "long": "x" * 7000,
            **{f"p{i}": i for i in range(250)},
        }
    )
    assert writer.flush() and not writer.rejected
    params = data(writer).params
    assert len(params) == 256
    assert [params[k] for k in ("bool", "int", "float", "text", "numpy")] == [
        "True",
        "3",
        "0.001",
        "adam",
        "0.1",
    ]
    assert params["long"] == "x" * 5999 + "…"


def test_a_refused_message_takes_no_other_with_it(writer, caplog):
    writer.params({"a": 1})
    writer.params({"b": 2, "a": 3, "c": 4})
    writer.params({"a": 5})
    writer.metrics({"loss": 1.0}, step=0)
    assert writer.flush()
    assert data(writer).params == {"a": "1", "b": "2", "c": "4"}
    assert history(writer, "loss") == [(0, 1.0)]
    assert [message.value for message, _ in writer.rejected] == ["3", "5"]
    assert "not allowed" in writer.rejected[0][1]
    assert len(caplog.records) == 1


def test_a_run_that_is_gone(client, writer, caplog):
    gone = RunWriter(client, "0" * 32)
    gone.series("x", np.arange(3000), np.arange(3000))
    gone.close()
    writer.metrics({"loss": 1.0}, step=0)
    assert gone.flush() and writer.flush()
    assert history(writer, "loss") == [(0, 1.0)]
    assert len(gone.rejected) == 4 and not writer.rejected
    assert len(caplog.records) == 1


def test_tags(writer):
    writer.tags({"a": 1, "long": "x" * 9000})
    writer.tags({"a": 2})
    assert writer.flush()
    tags = data(writer).tags
    assert tags["a"] == "2" and tags["long"] == "x" * 4999 + "…"


def test_artifacts(writer, tmp_path, monkeypatch):
    # Old versions of MLflow read artifacts from nowhere else.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", writer.client.tracking_uri)
    figure = matplotlib.figure.Figure()
    figure.add_subplot().plot([1, 2])
    writer.figure(figure, "figures/line.png")
    writer.text("Grüße\n", "notes.txt")
    writer.table([{"a": 1, "b": "x,y"}, {"c": None, "a": 2}], "deep/er/t.csv")
    assert writer.flush()
    assert read(writer, "figures/line.png", tmp_path).startswith(b"\x89PNG")
    assert read(writer, "notes.txt", tmp_path).decode() == "Grüße\n"
    table = read(writer, "deep/er/t.csv", tmp_path).decode()
    assert table == 'a,b,c\n1,"x,y",\n2,,\n'


def test_figures_that_are_drawn_later(writer, tmp_path, caplog):
    may_draw = threading.Event()
    drawn_by = []

    def draw():
        assert may_draw.wait(30)
        drawn_by.append(threading.current_thread())
        figure = matplotlib.figure.Figure()
        figure.add_subplot().plot([1, 2])
        return figure

    writer.figure_later(draw, "line.png")
    writer.figure_later(lambda: 1 / 0, "nothing.png")
    writer.end("FINISHED")  # waits for no figure
    assert writer.flush() and not drawn_by
    may_draw.set()
    assert writer._outbox.finish()
    assert drawn_by and drawn_by[0] is not threading.current_thread()
    assert read(writer, "line.png", tmp_path).startswith(b"\x89PNG")
    assert writer.client.get_run(writer.run_id).info.status == "FINISHED"
    (message,) = caplog.messages
    assert "nothing.png is missing" in message
    assert "ZeroDivisionError" in message


def test_few_figures_wait_to_be_drawn():
    background, done = Background(), []
    for i in range(50):
        background.do(functools.partial(done.append, i))
        assert len(background._jobs) <= 8
    background.wait()
    assert done == list(range(50))
    background.do(functools.partial(done.append, 50))  # begins anew
    background.wait()
    assert done[-1] == 50


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_close(writer, status):
    writer.metrics({"loss": 1.0}, step=0)
    assert writer.close(status)
    assert writer.close("FINISHED")  # only the first one counts
    run = writer.client.get_run(writer.run_id)
    assert run.info.status == status and run.info.end_time
    assert not writer.pending


def test_close_without_an_end(writer):
    writer.metrics({"loss": 1.0}, step=0)
    assert writer.close(None)
    assert writer.client.get_run(writer.run_id).info.status == "RUNNING"
    assert history(writer, "loss") == [(0, 1.0)]


def test_close_with_a_bad_status(writer):
    with pytest.raises(ValueError, match="`status` must be one of"):
        writer.close("DONE")


def test_threads(client, writer):
    def work(number):
        mine = RunWriter(client, writer.run_id)
        for step in range(50):
            mine.metrics({f"m{number}": step}, step)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer._outbox.wait(writer._outbox.put(()))
    for number in range(4):
        assert history(writer, f"m{number}") == [(i, i) for i in range(50)]
    # All writers of a client share one thread.
    assert RunWriter(client, "other")._outbox is writer._outbox


AT_EXIT = """
import sys
import numpy as np
from keras_ext.tracking import RunWriter, connect
client = connect(sys.argv[1])
run_id = client.create_run("0").info.run_id
print(run_id)
writer = RunWriter(client, run_id)
writer.series("s", np.arange(3000), np.arange(3000))
writer.end("FINISHED")
sys.exit(3)
"""


@pytest.mark.slow
def test_exit_sends_what_is_left(client, tracking_uri):
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, tracking_uri],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    run_id = done.stdout.strip()
    assert len(client.get_metric_history(run_id, "s")) == 3000
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork(tracking_uri):
    # In a process of its own: the libraries loaded here warn about forks.
    code = """
import os, sys
from keras_ext.tracking import RunWriter, connect
client = connect(sys.argv[1])
run_id = client.create_run("0").info.run_id
writer = RunWriter(client, run_id)
writer.metrics({"parent": 1.0}, 0)
if os.fork() == 0:
    assert writer.pending == []
    writer.metrics({"child": 1.0}, 0)
    assert writer.flush()
    os._exit(0)
assert len(writer.pending) == 1
assert writer.flush()
assert os.wait()[1] == 0
for key in ("parent", "child"):
    assert len(client.get_metric_history(run_id, key)) == 1, key
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tracking_uri],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
