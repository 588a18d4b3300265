"""Runs that are made and filled while a real server fails in many ways."""

import random
import time

import mlflow
import numpy as np
import pytest

from keras_ext.tracking import RunWriter, connect, messages, outbox
from keras_ext.tracking.client import connect_later
from keras_ext.tracking.outboxes import outbox_in
from keras_ext.tracking.runs import Parent, begin_run, experiment_id
from tests.servers import Proxy, Server, needs_servers

# No backend takes part: once is enough.
pytestmark = [
    pytest.mark.slow,
    needs_servers,
    pytest.mark.backend("torch"),
]


@pytest.fixture(scope="module")
def server(tracking_uri, tmp_path_factory):
    with Server(tracking_uri, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def proxy(server, monkeypatch):
    monkeypatch.setattr(outbox, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE", 0.1)
    proxy = Proxy(server.uri)
    yield proxy
    proxy.close()


class Family:
    """A run with two runs below it, and a model."""

    def __init__(self, uri, name, folder):
        self.client = connect_later(uri)
        self.name = name
        self.outbox = outbox_in(folder / "outbox", self.client)
        self.experiment = experiment_id(self.client, name)
        creation = messages.Create("s", self.experiment, name, {}, 1)
        self.outbox.put([creation])
        self.parent = Parent("s", self.experiment, {"mlflow.user": "me"})

    def write(self, folder):
        for i in range(2):
            self.child(i)
        writer = RunWriter(self.client, "s")
        saved = folder / "saved"
        (saved / "data").mkdir(parents=True)
        (saved / "data" / "weights.bin").write_bytes(bytes(1000))
        mlflow.models.Model(flavors={"none": {}}).save(saved / "MLmodel")
        writer.model(saved, "best_model", {"width": 3})
        writer.end("FINISHED")

    def child(self, i):
        run_id = begin_run(self.client, self.parent, f"trial {i}")
        writer = RunWriter(self.client, run_id)
        writer.params({"width": i})
        for epoch in range(20):
            writer.metrics({"loss": epoch + i, "nan": np.nan}, epoch)
        writer.series("s", np.arange(1500), np.arange(1500))
        writer.text("x", "deep/notes.txt")
        writer.end("FINISHED")

    def check(self, uri, children=2):
        """Check, at a server without faults, that all is there once."""
        client = connect(uri, 30)
        runs = client.search_runs(
            [self.experiment], order_by=["attributes.start_time ASC"]
        )
        assert [run.info.run_name for run in runs] == [
            self.name,
            *(f"trial {i}" for i in range(children)),
        ]
        assert {run.info.status for run in runs} == {"FINISHED"}
        parent, *rest = runs
        for i, run in enumerate(rest):
            tags, run_id = run.data.tags, run.info.run_id
            assert tags["mlflow.parentRunId"] == parent.info.run_id
            assert run.data.params == {"width": str(i)}
            points = client.get_metric_history(run_id, "loss")
            values = [(p.step, p.value) for p in points]
            assert values == [(epoch, epoch + i) for epoch in range(20)]
            assert len(client.get_metric_history(run_id, "nan")) == 20
            assert len(client.get_metric_history(run_id, "s")) == 1500
            files = client.list_artifacts(run_id, "deep")
            assert [file.path for file in files] == ["deep/notes.txt"]
        (model,) = client.search_logged_models([self.experiment])
        assert model.status == "READY" and model.params == {"width": "3"}
        assert parent.data.tags["best_model"] == model.model_id
        names = client.list_logged_model_artifacts(model.model_id)
        assert sorted(f.path for f in names) == ["MLmodel", "data"]


def at_random(share, *faults):
    """Return what spoils a share of the requests, the same ones each time."""
    draw = random.Random(0)

    def fault(number, path):
        return draw.choice(faults) if draw.random() < share else None

    return fault


@pytest.mark.parametrize(
    "fault",
    [
        at_random(0.4, "lose"),
        at_random(0.5, 503, 500, "refuse"),
        lambda number, path: 0.2,
        lambda number, path: "lose" if number % 2 else None,
    ],
    ids=["answers lost", "requests failed", "slow", "every second lost"],
)
def test_all_is_there_once(fault, proxy, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    family = Family(proxy.uri, str(tmp_path), tmp_path)
    proxy.fault = fault
    family.write(tmp_path)
    assert family.outbox.wait(family.outbox.put(), 120)
    assert not family.outbox.retries.rejected
    assert family.outbox.queue.count_aside() == 0
    family.check(server.uri)
    assert [p.name for p in tmp_path.glob("outbox/*/MLmodel")] == []


def test_a_run_that_was_made_too_late_is_deleted(proxy, server, tmp_path):
    family = Family(proxy.uri, str(tmp_path), tmp_path)
    assert family.outbox.wait(family.outbox.put(), 30)
    family.outbox.retries.transport.timeout = 1.0
    late = iter([("late", 2.5)])
    proxy.fault = lambda n, path: (
        next(late, None) if path.endswith("runs/create") else None
    )
    begin_run(family.client, family.parent, "trial 0")
    assert family.outbox.wait(family.outbox.put(), 30)
    client = connect(server.uri, 30)
    while len(client.search_runs([family.experiment])) < 3:
        time.sleep(0.2)
    (run_id,) = set(family.outbox.queue.ids.known) - {"s"}
    RunWriter(family.client, run_id).end("KILLED")
    assert family.outbox.wait(family.outbox.put(), 30)
    runs = client.search_runs([family.experiment])
    assert sorted(r.info.run_name for r in runs) == [str(tmp_path), "trial 0"]
    ids = {run.info.run_id for run in runs}
    assert family.outbox.queue.ids.of(run_id) in ids


def test_a_file_that_the_server_cannot_store_is_kept(
    proxy, server, tmp_path, caplog
):
    family = Family(proxy.uri, str(tmp_path), tmp_path)
    proxy.fault = lambda n, path: 500 if path.endswith(".txt") else None
    family.child(0)
    assert family.outbox.wait(family.outbox.put(), 60)
    queue = family.outbox.queue
    assert queue.count_aside() == 1 and not family.outbox.retries.rejected
    assert "keras-ext replay" in caplog.text
    client = connect(server.uri, 30)
    runs = client.search_runs([family.experiment])
    assert {run.info.status for run in runs} == {"RUNNING", "FINISHED"}
