"""keras-tuner's tuners, swapped for ours."""

import keras
import keras_tuner
import mlflow
import numpy as np
import pytest

from keras_ext import tuners
from tests.tuners import searching
from tests.tuners.searching import children, parent

pytestmark = pytest.mark.backend("torch")


class Iterations(keras.callbacks.Callback):
    """Notes the optimizer's steps when a `fit` begins and when it ends."""

    seen: list = []

    def on_train_begin(self, logs=None):
        self.begun = int(self.model.optimizer.iterations)

    def on_train_end(self, logs=None):
        ended = int(self.model.optimizer.iterations)
        Iterations.seen.append((self.begun, ended))


@pytest.fixture
def iterations():
    Iterations.seen = []
    return Iterations.seen


def hyperband(kind, folder, **options):
    return kind(
        searching.build,
        "val_loss",
        max_epochs=4,
        factor=4,
        seed=2,
        directory=str(folder),
        **options,
    )


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_hyperband_carries_the_optimizer_over_its_rungs(
    tmp_path, tracking_uri, iterations
):
    tuner = hyperband(
        tuners.Hyperband,
        tmp_path,
        tracking_uri=tracking_uri,
        experiment=str(tmp_path),
    )
    searching.search(tuner, callbacks=[Iterations()], verbose=0)
    trials = [tuner.oracle.trials[i] for i in tuner.oracle.start_order]
    first = {}
    promoted = 0
    for trial, (begun, ended) in zip(trials, iterations, strict=True):
        values = trial.hyperparameters.values
        past = values.get("tuner/trial_id")
        assert begun == (first[past] if past else 0)
        first[trial.trial_id] = ended
        promoted += past is not None
        assert values["tuner/initial_epoch"] <= trial.best_step
        assert trial.best_step < values["tuner/epochs"]
    assert promoted
    for run in children(tuner):
        points = tuner.client.get_metric_history(run.info.run_id, "val_loss")
        values = tuner.oracle.trials[
            run.data.tags["trial_id"]
        ].hyperparameters.values
        assert [p.step for p in points] == list(
            range(values["tuner/initial_epoch"], values["tuner/epochs"])
        )


@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_keras_tuners_hyperband_begins_a_new_optimizer(
    tmp_path, iterations, capsys
):
    tuner = hyperband(keras_tuner.Hyperband, tmp_path)
    searching.search(tuner, callbacks=[Iterations()], verbose=0)
    assert {begun for begun, _ in iterations} == {0}


def test_grid_search_logs_the_model_of_each_trial(tmp_path, tracking_uri):
    def build(hp):
        rate = hp.Choice("rate", [0.1, 0.01])
        model = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(2, "softmax")]
        )
        model.compile(
            keras.optimizers.SGD(rate), "sparse_categorical_crossentropy"
        )
        return model

    tuner = tuners.GridSearch(
        build,
        "val_loss",
        directory=str(tmp_path),
        tracking_uri=tracking_uri,
        experiment=str(tmp_path),
        log_models="all",
    )
    searching.search(tuner, epochs=1, verbose=0)
    assert parent(tuner).info.status == "FINISHED"
    runs = children(tuner)
    assert sorted(r.data.params["rate"] for r in runs) == ["0.01", "0.1"]
    x, _ = searching.images()
    for run in runs:
        trial = tuner.oracle.trials[run.data.tags["trial_id"]]
        logged = tuner.client.get_logged_model(run.data.tags["model"])
        assert logged.status == "READY"
        with _store(tracking_uri):
            model = mlflow.keras.load_model(f"models:/{logged.model_id}")
        np.testing.assert_allclose(
            model.predict(x, verbose=0),
            tuner.load_model(trial).predict(x, verbose=0),
            rtol=1e-5,
        )


class _store:
    """MLflow loads models from its global store alone."""

    def __init__(self, uri):
        self.uri = uri

    def __enter__(self):
        mlflow.set_tracking_uri(self.uri)

    def __exit__(self, *error):
        mlflow.set_tracking_uri(None)


def test_no_model_is_logged_if_none_is_wanted(tmp_path, tracking_uri):
    tuner = searching.tuner(
        tmp_path, tracking_uri, max_trials=1, log_models=None
    )
    searching.search(tuner, epochs=1, verbose=0)
    assert "best_model" not in parent(tuner).data.tags


def test_bayesian_optimization_is_tracked(tmp_path, tracking_uri):
    tuner = tuners.BayesianOptimization(
        searching.build,
        "val_loss",
        4,
        3,
        seed=0,
        directory=str(tmp_path),
        tracking_uri=tracking_uri,
        experiment=str(tmp_path),
    )
    searching.search(tuner, epochs=1, verbose=0)
    assert parent(tuner).data.params["num_initial_points"] == "3"
    assert len(children(tuner)) == 4


def test_seed_0_is_a_seed_wherever_it_stands(tmp_path, capsys):
    def drawn(kind, *args, **options):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        tuner = kind(
            searching.build, "val_loss", *args, directory=str(folder), **options
        )
        return tuner.oracle.create_trial("tuner0").hyperparameters.values

    ours = [
        drawn(tuners.RandomSearch, 5, seed=0),
        drawn(tuners.RandomSearch, 5, 0),
        drawn(tuners.Hyperband, seed=0),
    ]
    assert ours[0] == ours[1]
    assert ours[2].items() >= ours[0].items()
    theirs = [drawn(keras_tuner.RandomSearch, 5, seed=0) for _ in range(5)]
    assert any(values != theirs[0] for values in theirs)
