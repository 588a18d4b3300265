"""A training whose messages wait on disk."""

import sqlite3
import time
import types

import keras
import mlflow
import numpy as np
import pytest

from keras_ext import cli
from keras_ext.callbacks import MLflowLogger
from keras_ext.tracking import TrackingError, connect
from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.outboxes import outbox_for

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

EPOCHS = 3


class Away(mlflow.MlflowClient):
    """A store that goes away for good."""

    down = False

    def log_batch(self, *args, **kwargs):
        if self.down:
            raise ConnectionError("away")
        super().log_batch(*args, **kwargs)


class GoAway(keras.callbacks.Callback):
    def __init__(self, client):
        super().__init__()
        self.client = client

    def on_epoch_begin(self, epoch, logs=None):
        self.client.down = True


def fit(*callbacks):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((16, 3), "float32")
    return model.fit(
        x, x[:, :1], epochs=EPOCHS, verbose=0, callbacks=list(callbacks)
    )


@pytest.fixture
def left(tmp_path, tracking_uri):
    """The buffer of a process that ended while the store was away."""
    client = Away(tracking_uri)
    log = MLflowLogger(
        client=client,
        experiment=str(tmp_path),
        run_name="fit",
        buffer=tmp_path / "buffer",
    )
    history = fit(GoAway(client), log)
    assert outbox_for(client).pending(log.current_run_id)
    outbox_for(client).close()
    return tmp_path / "buffer", log.current_run_id, history.history["loss"]


def check(tracking_uri, run_id, losses):
    client = connect(tracking_uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer"] == "SGD"
    points = client.get_metric_history(run_id, "loss")
    assert [point.step for point in points] == list(range(EPOCHS))
    assert [point.value for point in points] == pytest.approx(losses)


def test_replay_delivers_what_was_left(left, tracking_uri, capsys):
    folder, run_id, losses = left
    for said in ("points", "nothing"):
        assert cli.main(["replay", str(folder)]) == 0
        out, err = capsys.readouterr()
        assert said in out and "begin anew" not in err
        check(tracking_uri, run_id, losses)


def test_replay_makes_the_run_in_another_store(left, tracking_uri, capsys):
    folder, run_id, losses = left
    with sqlite3.connect(folder / "outbox" / "messages.sqlite") as database:
        # An id that this store has never heard of.
        database.execute("UPDATE runs SET mlflow_id = ?", ("0" * 32,))
    database.close()
    assert cli.main(["replay", str(folder), tracking_uri]) == 0
    assert "begin anew" in capsys.readouterr().err
    client = connect(tracking_uri)
    experiment = client.get_run(run_id).info.experiment_id
    new, _ = client.search_runs(
        [experiment], order_by=["attributes.end_time DESC"]
    )
    assert new.info.run_name == "fit" and new.info.run_id != run_id
    check(tracking_uri, new.info.run_id, losses)


def test_the_next_fit_delivers_it(left, tracking_uri, tmp_path):
    folder, run_id, losses = left
    log = MLflowLogger(
        tracking_uri=tracking_uri, experiment=str(tmp_path), buffer=str(folder)
    )
    fit(log)
    wait_until_empty(folder)
    check(tracking_uri, run_id, losses)
    check(tracking_uri, log.current_run_id, losses)


def wait_until_empty(folder):
    path = folder / "outbox" / "messages.sqlite"
    for _ in range(600):
        with sqlite3.connect(path) as database:
            ((count,),) = database.execute("SELECT COUNT(*) FROM messages")
        database.close()
        if not count:
            return
        time.sleep(0.1)
    raise AssertionError(f"{count} messages are left")


def test_a_buffer_that_cannot_be_used(left, tmp_path, tracking_uri):
    folder = left[0]
    other = types.SimpleNamespace(tracking_uri="http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="is for 'sqlite.*, not for 'http"):
        fit(MLflowLogger(client=other, buffer=folder))
    queue = DiskQueue(folder / "outbox")
    with pytest.raises(TrackingError, match="in use by another process"):
        fit(MLflowLogger(tracking_uri=tracking_uri, buffer=folder))
    queue.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be written"):
        fit(MLflowLogger(tracking_uri=tracking_uri, buffer=tmp_path / "file"))
