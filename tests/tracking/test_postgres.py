"""MLflow on PostgreSQL, which goes away for a moment."""

import mlflow
import numpy as np
import pytest

from keras_ext.tracking import TrackingError, connect
from keras_ext.tracking.client import connect_later
from keras_ext.tracking.messages import Create
from keras_ext.tracking.outboxes import outbox_in
from keras_ext.tracking.runs import Parent, begin_run, experiment_id
from keras_ext.tracking.writer import RunWriter
from tests.servers import Postgres, Server, needs_servers

# No backend takes part: once is enough.
pytestmark = [
    pytest.mark.slow,
    needs_servers,
    pytest.mark.backend("torch"),
]


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as postgres:
        # Making the tables takes its time.
        mlflow.MlflowClient(tracking_uri=postgres.uri)
        yield postgres


def run_below(client, outbox, experiment):
    outbox.put([Create("s", experiment, "search", {}, 1)])
    run_id = begin_run(client, Parent("s", experiment), "trial 0")
    writer = RunWriter(client, run_id)
    return writer


def check(uri, experiment, steps):
    client = connect(uri, 30)
    runs = client.search_runs([experiment])
    assert sorted(run.info.run_name for run in runs) == ["search", "trial 0"]
    (child,) = (r for r in runs if r.info.run_name == "trial 0")
    assert child.info.status == "FINISHED"
    points = client.get_metric_history(child.info.run_id, "loss")
    assert [point.step for point in points] == list(range(steps))
    assert len(client.get_metric_history(child.info.run_id, "nan")) == steps


@pytest.mark.parametrize("through", ["a server", "the database"])
def test_the_database_goes_away_and_comes_back(postgres, tmp_path, through):
    name = f"through {through}"
    with Server(postgres.uri, tmp_path) as server:
        uri = server.uri if through == "a server" else postgres.uri
        client = connect(uri, 30)
        experiment = experiment_id(client, name)
        outbox = outbox_in(tmp_path / "outbox", client)
        writer = run_below(client, outbox, experiment)
        for step in range(30):
            if step == 10:
                assert outbox.wait(outbox.put(), 30)
                postgres.stop()
            writer.metrics({"loss": step, "nan": np.nan}, step)
        assert not outbox.wait(outbox.put(), 1.0)
        postgres.start()
        writer.end("FINISHED")
        assert outbox.wait(outbox.put(), 90)
        assert not outbox.retries.rejected
        assert outbox.queue.count_aside() == 0
        check(uri, experiment, 30)


def test_a_database_that_comes_later(postgres, tmp_path):
    experiment = experiment_id(connect(postgres.uri, 30), "later")
    postgres.stop()
    try:
        with pytest.raises(TrackingError, match="does not answer"):
            connect(postgres.uri)
        client = connect_later(postgres.uri)
        outbox = outbox_in(tmp_path / "outbox", client)
        writer = run_below(client, outbox, experiment)
        writer.metrics({"loss": 1.0, "nan": np.nan}, 0)
        writer.end("FINISHED")
        assert not outbox.wait(outbox.put(), 0.5)
    finally:
        postgres.start()
    assert outbox.wait(outbox.put(), 60)
    check(postgres.uri, experiment, 1)
