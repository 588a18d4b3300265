import copy
import gc
import math
import pickle
import subprocess
import sys
import time
import types

import keras
import mlflow
import numpy as np
import pytest

from keras_ext.callbacks.mlflow_logger import MLflowLogger
from keras_ext.callbacks.monitor import Monitor
from keras_ext.tracking import RunWriter, TrackingError, connect
from keras_ext.tracking.runs import experiment_id

pytestmark = pytest.mark.backend("torch")

STEPS, EPOCHS = 4, 3


class FakeMonitor(Monitor):
    """Has known values; measures nothing."""

    def __init__(self, kind="grad_norm", first=0.0):
        super().__init__()
        self.kind = kind
        self.first = first

    _make_gauge = _step_values = plot = None

    def on_train_begin(self, logs=None):
        self._reset()
        self._step = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_steps = []

    def on_train_batch_begin(self, batch, logs=None):
        del batch, logs

    def on_train_batch_end(self, batch, logs=None):
        self._epoch_steps.append(self._step)
        self._step += 1

    def on_epoch_end(self, epoch, logs=None):
        index = np.array(self._epoch_steps)
        block = {"step": index}
        for layer in ("dense", "global"):
            key = f"{self.kind}/{layer}"
            block[key] = self.first + index
            logs[key] = float(np.mean(block[key]))
        self._series.add(block)
        means = {key: np.array([logs[key]]) for key in block if key != "step"}
        self._epoch_series.add({"step": np.array([epoch]), **means})
        for follower in self._followers:
            follower(block)

    def on_train_end(self, logs=None):
        del logs


class Raise(keras.callbacks.Callback):
    """Ends the training with an exception in the second epoch."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise self.error


@pytest.fixture(scope="module")
def client(tracking_uri):
    return connect(tracking_uri)


@pytest.fixture
def new(client):
    """Arguments for runs of an experiment of these tests."""
    return {
        "tracking_uri": client.tracking_uri,
        "experiment": "mlflow logger",
        "figures": False,
    }


def make_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125, momentum=0.5), "mse")
    return model


def fit(*callbacks, model=None, epochs=EPOCHS, **kwargs):
    x = np.ones((2 * STEPS, 3), "float32")
    return (model or make_model()).fit(
        *(x, x[:, :1]),
        batch_size=2,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    )


def history(client, log, key):
    points = client.get_metric_history(log.current_run_id, key)
    return [(point.step, point.value) for point in points]


def run_of(client, log):
    return client.get_run(log.current_run_id)


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_a_new_run(client, new):
    log = MLflowLogger(**new, run_name="first", tags={"a": 1})
    x = np.ones((2, 3), "float32")
    losses = fit(log, validation_data=(x, x[:, :1])).history
    run = run_of(client, log)
    assert run.info.status == "FINISHED" and run.info.run_name == "first"
    for key in ("loss", "val_loss"):
        assert history(client, log, key) == list(enumerate(losses[key]))
    rates = history(client, log, "learning_rate")
    assert rates == [(epoch, 0.125) for epoch in range(EPOCHS)]
    seconds = history(client, log, "epoch_seconds")
    assert [epoch for epoch, s in seconds if s > 0] == list(range(EPOCHS))
    expected = {
        "optimizer": "SGD",
        "optimizer.momentum": "0.5",
        "learning_rate": "0.125",
        "loss": "mse",
        "epochs": "3",
        "batches_per_epoch": "4",
        "parameters.trainable": "4",
        "parameters.frozen": "0",
    }
    assert expected.items() <= run.data.params.items()
    assert run.data.tags["a"] == "1"
    assert run.data.tags["keras.backend"] == keras.config.backend()
    assert mlflow.active_run() is None


def test_a_given_run_is_left_open(client, new):
    experiment = experiment_id(client, new["experiment"])
    run_id = client.create_run(experiment).info.run_id
    log = MLflowLogger(run_id, client, tags={"b": 2}, figures=False)
    fit(log)
    run = run_of(client, log)
    assert run.info.run_id == run_id and run.info.status == "RUNNING"
    assert len(history(client, log, "loss")) == EPOCHS
    assert run.data.params == {} and run.data.tags["b"] == "2"
    fit(MLflowLogger(run_id, client, log_params=True, figures=False))
    run = run_of(client, log)
    assert run.data.params["optimizer"] == "SGD"
    assert "keras.version" in run.data.tags


def test_the_active_run(client, new, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    experiment = experiment_id(client, new["experiment"])
    with mlflow.start_run(experiment_id=experiment) as active:
        log = MLflowLogger(figures=False)
        fit(log)
        assert log.current_run_id == active.info.run_id
        assert mlflow.active_run().info.run_id == active.info.run_id
        assert run_of(client, log).info.status == "RUNNING"
        below = MLflowLogger(run_name="below", figures=False)
        fit(below)
        # A store that does not have that run gets a new one.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
        other = MLflowLogger(client=client, figures=False)
        fit(other)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    assert len(history(client, log, "loss")) == EPOCHS
    parent = run_of(client, below).data.tags["mlflow.parentRunId"]
    assert parent == active.info.run_id
    assert other.current_run_id != active.info.run_id


def test_the_set_experiment(client, new, monkeypatch):
    experiment = experiment_id(client, "set experiment")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    log = MLflowLogger(figures=False)
    fit(log)
    assert run_of(client, log).info.experiment_id == experiment


def test_a_deleted_experiment(client):
    client.delete_experiment(client.create_experiment("deleted"))
    log = MLflowLogger(client=client, experiment="deleted")
    with pytest.raises(ConnectionError, match="has been deleted"):
        fit(log)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_monitors_in_any_order(client, new, place, monkeypatch):
    monitors = [FakeMonitor(), FakeMonitor("dead_relu", first=100.0)]
    log = MLflowLogger(**{**new, "figures": True})
    callbacks = list(monitors)
    callbacks.insert(place, log)
    fit(*callbacks, initial_epoch=2, epochs=2 + EPOCHS)
    for kind, first in (("grad_norm", 0.0), ("dead_relu", 100.0)):
        for layer in ("dense", "global"):
            key = f"{kind}/{layer}"
            assert history(client, log, f"step/{key}") == [
                (step, first + step) for step in range(EPOCHS * STEPS)
            ]
            assert history(client, log, key) == [
                (2 + epoch, first + STEPS * epoch + (STEPS - 1) / 2)
                for epoch in range(EPOCHS)
            ]
    # Old versions of MLflow list the artifacts of no other store.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    files = client.list_artifacts(log.current_run_id)
    assert [file.path for file in files] == [
        "dead_units.png",
        "gradient_norms.png",
    ]


def test_two_monitors_with_the_same_keys(client, new):
    log = MLflowLogger(**new)
    fit(FakeMonitor(), log, FakeMonitor(first=100.0), FakeMonitor())
    points = history(client, log, "step/grad_norm/dense")
    assert points == [(step, float(step)) for step in range(EPOCHS * STEPS)]
    assert len(history(client, log, "grad_norm/dense")) == EPOCHS


def test_without_step_series(client, new):
    log = MLflowLogger(**new, step_series=False)
    fit(FakeMonitor(), log)
    keys = run_of(client, log).data.metrics
    assert "grad_norm/dense" in keys
    assert not any(key.startswith("step/") for key in keys)


def test_it_can_be_used_again(client, new):
    log, monitor = MLflowLogger(**new), FakeMonitor()
    ids = []
    for _ in range(2):
        fit(monitor, log)
        ids.append(log.current_run_id)
        series = history(client, log, "step/grad_norm/dense")
        assert len(series) == EPOCHS * STEPS
    assert ids[0] != ids[1]


def test_copies(client, new):
    log = MLflowLogger(client=client, experiment="mlflow logger", tags={"a": 1})
    for other in (copy.deepcopy(log), pickle.loads(pickle.dumps(log))):
        assert other.tags == {"a": 1} and other.tags is not log.tags
        assert other.client.tracking_uri == client.tracking_uri
    fit(log)
    other = copy.deepcopy(log)
    assert other.client is client
    fit(other)
    assert other.current_run_id != log.current_run_id


def test_params_are_readable(client, new):
    model = make_model()
    model.compile(keras.optimizers.Adam(0.01), ["mae"])
    log = MLflowLogger(**new)
    fit(log, model=model, epochs=1)
    params = run_of(client, log).data.params
    assert params["learning_rate"] == "0.01" and params["loss"] == "mae"
    assert params["optimizer.epsilon"] == "1e-07"


def test_a_schedule(client, new):
    model = make_model()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, STEPS, 0.5)
    model.compile(keras.optimizers.Adam(schedule), keras.losses.Huber())
    log = MLflowLogger(**new)
    fit(log, model=model)
    rates = [rate for _, rate in history(client, log, "learning_rate")]
    np.testing.assert_allclose(rates, [0.25, 0.125, 0.0625])
    params = run_of(client, log).data.params
    assert params["learning_rate"] == "ExponentialDecay"
    assert params["optimizer.learning_rate.decay_rate"] == "0.5"
    assert params["loss"] == "Huber"


def status_after(client, log):
    gc.collect()
    writer = RunWriter(client, log.current_run_id)
    assert writer._outbox.wait(writer._outbox.put(()))
    return run_of(client, log).info.status


def test_fit_that_dies(client):
    log = MLflowLogger(client=client, figures=False)
    with pytest.raises(ZeroDivisionError):
        fit(log, Raise(ZeroDivisionError()))
    assert status_after(client, log) == "FAILED"
    assert len(history(client, log, "loss")) == 1
    # Nor does a run stay open when the same instance goes on.
    try:
        fit(log, Raise(ZeroDivisionError()))
    except ZeroDivisionError:
        died = log.current_run_id
        fit(log)
    assert status_after(client, log) == "FINISHED"
    assert client.get_run(died).info.status == "FAILED"


def test_ctrl_c(client, monkeypatch):
    log = MLflowLogger(client=client, figures=False)
    try:
        fit(log, Raise(KeyboardInterrupt()))
    except KeyboardInterrupt as error:
        # What Python does with an exception that nobody catches.
        monkeypatch.setattr(sys, "last_value", error, raising=False)
        error.__traceback__ = None
    assert status_after(client, log) == "KILLED"


@pytest.mark.parametrize(
    "error, status",
    [(KeyboardInterrupt(), "KILLED"), (ZeroDivisionError(), "FAILED")],
)
def test_a_notebook(client, monkeypatch, error, status):
    """There the exception lives on, and with it all that `fit` held."""

    class Events:
        hooks = []

        def register(self, event, hook):
            assert event == "post_run_cell"
            self.hooks.append(hook)

        def unregister(self, event, hook):
            self.hooks.remove(hook)

    shell = types.SimpleNamespace(events=Events())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    log = MLflowLogger(client=client, figures=False)
    fit(log)
    assert not Events.hooks
    assert run_of(client, log).info.status == "FINISHED"
    try:
        fit(log, Raise(error))
    except (KeyboardInterrupt, ZeroDivisionError) as caught:
        (hook,) = Events.hooks
        hook(types.SimpleNamespace(error_in_exec=caught))
    assert not Events.hooks
    assert status_after(client, log) == status


def test_stop_training_is_no_failure(client, new):
    log = MLflowLogger(**new)
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100, patience=0)
    fit(log, stop, epochs=10)
    assert run_of(client, log).info.status == "FINISHED"


SCRIPT = """
import sys
import keras
import numpy as np
from keras_ext.callbacks.mlflow_logger import MLflowLogger

class Raise(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise {error}

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
log = MLflowLogger(tracking_uri=sys.argv[1], run_name={error!r})
x = np.ones((4, 2), "float32")
model.fit(x, x[:, :1], callbacks=[log, Raise()], verbose=0)
"""


@pytest.mark.parametrize(
    "error, status",
    [("KeyboardInterrupt()", "KILLED"), ("SystemExit(1)", "FAILED")],
)
@pytest.mark.slow
def test_a_script_that_ends(client, error, status):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(error=error), client.tracking_uri],
        capture_output=True,
        text=True,
    )
    assert done.returncode
    (run,) = client.search_runs(
        ["0"], f"attributes.run_name = '{error}'", max_results=1
    )
    assert run.info.status == status, done.stderr
    assert "loss" in run.data.metrics


def test_errors_at_the_beginning(client, tmp_path):
    with pytest.raises(ValueError, match="`run_id` must be a run of"):
        fit(MLflowLogger("0" * 32, client))
    with pytest.raises(ValueError, match="`run_id` must be a run of"):
        fit(MLflowLogger("no/run", client))
    with pytest.raises(TrackingError, match="no folder"):
        fit(MLflowLogger(tracking_uri=f"sqlite:///{tmp_path}/a/b.db"))
    with pytest.raises(ValueError, match="cannot be used with `run_id`"):
        MLflowLogger("0" * 32, experiment="x")


class DyingClient:
    """A store that stops answering when the training has begun."""

    tracking_uri = "http://me:hunter2@127.0.0.1:9"

    def __init__(self):
        self.down = False
        self.metrics = []

    def get_run(self, run_id):
        assert not self.down

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        if self.down:
            raise ConnectionError(f"{self.tracking_uri} is away")
        self.metrics += [(m.key, m.step) for m in metrics]


def test_a_store_that_dies(caplog):
    client = DyingClient()
    log = MLflowLogger("run", client, figures=False)

    class Die(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            client.down = True

    start = time.monotonic()
    assert len(fit(Die(), FakeMonitor(), log).history["loss"]) == EPOCHS
    assert time.monotonic() - start < 30
    assert client.metrics == []
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2 and "hunter2" not in caplog.text
    assert "not sent yet" in messages[1]
    client.down = False
    writer = RunWriter(client, "run")
    assert writer._outbox.wait(writer._outbox.put(()))
    losses = [step for key, step in client.metrics if key == "loss"]
    assert losses == list(range(EPOCHS))
    assert len(set(client.metrics)) == len(client.metrics)
    keys = ("grad_norm/dense", "grad_norm/global")
    assert len(client.metrics) == (
        EPOCHS * len(("loss", "learning_rate", "epoch_seconds", *keys))
        + EPOCHS * STEPS * len(keys)
    )


def test_a_broken_monitor_does_not_end_the_training(client, new, caplog):
    class Broken(FakeMonitor):
        @property
        def epochs(self):
            raise RuntimeError("no epochs")

    log = MLflowLogger(**new)
    fit(Broken(), log)
    assert run_of(client, log).info.status == "FINISHED"
    assert len(history(client, log, "loss")) == EPOCHS
    (record,) = caplog.records
    assert "no epochs" in record.getMessage()


def test_a_value_that_is_not_finite(client, new):
    class Nan(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["odd"] = math.nan

    log = MLflowLogger(**new)
    fit(Nan(), log)
    assert all(math.isnan(v) for _, v in history(client, log, "odd"))
