"""What a search that comes to its end leaves in MLflow."""

import json
import shlex
import time

import keras
import keras_tuner
import numpy as np
import pytest
from mlflow.models import Model

from keras_ext import callbacks, tuners
from tests.tuners import searching
from tests.tuners.searching import (
    EPOCHS,
    artifact,
    children,
    images,
    parent,
    table,
)

pytestmark = pytest.mark.backend("torch")


def trials(tuner):
    return {trial.trial_id: trial for trial in tuner.oracle.trials.values()}


def history(tuner, run, key):
    points = tuner.client.get_metric_history(run.info.run_id, key)
    return {point.step: point.value for point in points}


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_one_parent_and_one_child_per_trial(finished):
    run = parent(finished)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a small search"
    assert run.data.tags["team"] == "blue"
    assert run.data.tags["keras.version"] == keras.__version__
    names = [child.info.run_name for child in children(finished)]
    assert names == ["trial 0", "trial 1", "trial 2"]
    assert searching.statuses(finished) == [
        ("0", "FINISHED"),
        ("1", "FINISHED"),
        ("2", "FINISHED"),
    ]
    everything = finished.client.search_runs([run.info.experiment_id])
    assert len(everything) == 4


def test_settings_are_params_of_the_parent(finished):
    params = parent(finished).data.params
    assert params["objective"] == "val_loss"
    assert params["direction"] == "min"
    assert params["tuner"] == "RandomSearch"
    assert params["max_trials"] == "3"
    assert params["seed"] == "0"
    assert params["executions_per_trial"] == "1"
    assert params["fit/epochs"] == str(EPOCHS)


def test_active_hyperparameters_are_params_of_the_children(finished):
    seen = set()
    for child in children(finished):
        trial = trials(finished)[child.data.tags["trial_id"]]
        values = trial.hyperparameters.values
        assert child.data.params == {k: str(v) for k, v in values.items()}
        assert ("slope" in values) == (values["last"] == "tanh")
        seen.add(values["last"])
    assert seen == {"tanh", "linear"}


def test_search_space(finished, tmp_path):
    text = artifact(finished, finished.run_id, "search_space.json", tmp_path)
    width, last, slope = json.loads(text)
    assert (width["name"], width["type"]) == ("width", "Int")
    assert (width["min_value"], width["max_value"]) == (2, 8)
    assert width["default"] == 2
    assert last["values"] == ["tanh", "linear"]
    assert slope["sampling"] == "log"
    assert slope["conditions"] == [{"name": "last", "values": ["tanh"]}]


def test_epoch_metrics_have_the_epoch_as_step(finished):
    for child in children(finished):
        losses = history(finished, child, "val_loss")
        assert sorted(losses) == list(range(EPOCHS))
        trial = trials(finished)[child.data.tags["trial_id"]]
        assert child.data.metrics["score"] == pytest.approx(trial.score)
        assert min(losses.values()) == pytest.approx(trial.score)
        assert child.data.metrics["duration"] > 0


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_children_have_gradient_norms_and_dead_units(finished, tmp_path):
    for child in children(finished):
        for layer in ("hidden", "top", "output", "global"):
            norms = history(finished, child, f"grad_norm/{layer}")
            assert sorted(norms) == list(range(EPOCHS))
            assert all(norm >= 0 for norm in norms.values())
        dead = history(finished, child, "dead_relu/hidden")
        assert all(0 <= share <= 1 for share in dead.values())
        picture = artifact(
            finished, child.info.run_id, "gradient_norms.png", tmp_path
        )
        assert picture.startswith(b"\x89PNG\r\n") and len(picture) > 5000


def test_table_of_trials(finished, tmp_path):
    rows = table(finished, tmp_path)
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    for row, child in zip(rows, children(finished), strict=True):
        assert row["status"] == "FINISHED"
        assert float(row["score"]) == child.data.metrics["score"]
        assert row["width"] == child.data.params["width"]
        assert row["slope"] == child.data.params.get("slope", "")
        assert float(row["duration"]) > 0
        last = child.data.metrics
        layers = ("hidden", "top", "output")
        worst = min(last[f"grad_norm/{layer}"] for layer in layers)
        assert float(row["min_grad_norm"]) == pytest.approx(worst)
        assert float(row["dead_relu"]) == last["dead_relu/global"]
    assert finished.trial_rows()[0]["trial"] == "0"


def test_best_trial_and_figure(finished, tmp_path):
    best = finished.oracle.get_best_trials()[0]
    run = parent(finished)
    assert run.data.tags["best_trial"] == best.trial_id
    assert run.data.metrics["best/val_loss"] == pytest.approx(best.score)
    scores = history(finished, run, "best/val_loss")
    assert sorted(scores) == [1, 2, 3]
    picture = artifact(
        finished, finished.run_id, "parallel_coordinates.png", tmp_path
    )
    assert picture.startswith(b"\x89PNG\r\n") and len(picture) > 5000


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_the_best_model_is_logged_once(finished):
    run = parent(finished)
    logged = finished.client.search_logged_models([run.info.experiment_id])
    assert [model.source_run_id for model in logged] == [finished.run_id]
    assert run.data.tags["best_model"] == logged[0].model_id
    signature = Model.load(logged[0].artifact_location).signature
    assert signature.inputs.inputs[0].shape == (-1, 8)
    assert signature.outputs.inputs[0].shape == (-1, 2)


def test_the_best_model_loads_in_a_fresh_process(
    finished, tracking_uri, tmp_path
):
    from tests.fresh_process import run_python

    x, _ = images()
    np.save(tmp_path / "x.npy", x)
    model_id = parent(finished).data.tags["best_model"]
    run_python(
        "import mlflow, warnings, numpy as np\n"
        "warnings.filterwarnings('error', 'Skipping variable')\n"
        f"mlflow.set_tracking_uri({tracking_uri!r})\n"
        f"model = mlflow.keras.load_model('models:/{model_id}')\n"
        "assert int(model.optimizer.iterations) > 0\n"
        f"x = np.load({str(tmp_path / 'x.npy')!r})\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, model.predict(x, verbose=0))\n"
    )
    expected = finished.get_best_models()[0].predict(x, verbose=0)
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-6
    )


RESTORE = """
import sys, warnings, numpy as np, keras
warnings.filterwarnings("error", "Skipping variable")
checkpoint, width, last, x, y = sys.argv[1:]
model = keras.Sequential(
    [
        keras.Input((8,)),
        keras.layers.Dense(int(width), activation="relu", name="hidden"),
        keras.layers.Dense(4, activation=last, name="top"),
        keras.layers.Dense(2, activation="softmax", name="output"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.optimizer.build(model.trainable_variables)
model.load_weights(checkpoint)
assert "keras_ext" not in sys.modules
assert int(model.optimizer.iterations) in (3, 6), "end of an epoch"
momentum = keras.ops.convert_to_numpy(model.optimizer.variables[2])
assert abs(momentum).sum() > 0
np.save(y, model.predict(np.load(x), verbose=0))
"""


def test_the_tuner_s_checkpoint_restores_in_a_fresh_process(finished, tmp_path):
    from tests.fresh_process import run_python

    x, _ = images()
    np.save(tmp_path / "x.npy", x)
    best = finished.oracle.get_best_trials()[0]
    values = best.hyperparameters.values
    run_python(
        RESTORE,
        finished._get_checkpoint_fname(best.trial_id),
        values["width"],
        values["last"],
        tmp_path / "x.npy",
        tmp_path / "y.npy",
    )
    expected = finished.get_best_models()[0].predict(x, verbose=0)
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-6
    )


def test_searched_again_there_is_nothing_left_to_do(
    finished, tracking_uri, capsys
):
    again = searching.tuner(finished.directory, tracking_uri)
    capsys.readouterr()
    searching.search(again)
    best = again.oracle.get_best_trials()[0]
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Nothing is left to try after 3 trials. The best is trial "
        f"{best.trial_id}, {again.oracle.objective.name} {best.score:.4f}. "
        "Raise `max_trials` to continue. Pass `overwrite=True` to begin anew."
    )
    # A process that goes on for another one may find nothing to do.
    later = searching.tuner(finished.directory, tracking_uri)
    later.began = time.monotonic()
    capsys.readouterr()
    searching.search(later)
    assert capsys.readouterr().out == ""
    assert again.run_id == finished.run_id
    assert parent(again).info.status == "FINISHED"
    assert len(children(again)) == 3
    experiment = parent(again).info.experiment_id
    assert len(again.client.search_logged_models([experiment])) == 1


def test_executions_do_not_collide(tmp_path, tracking_uri):
    tuner = searching.tuner(
        tmp_path, tracking_uri, max_trials=1, executions_per_trial=2
    )
    searching.search(tuner)
    (trial,) = children(tuner)
    below = children(tuner, trial.info.run_id)
    assert [run.info.run_name for run in below] == [
        "execution 0",
        "execution 1",
    ]
    assert {run.info.status for run in below} == {"FINISHED"}
    first, second = (history(tuner, run, "loss") for run in below)
    mean = history(tuner, trial, "loss")
    assert first != second
    for epoch in range(EPOCHS):
        expected = (first[epoch] + second[epoch]) / 2
        assert mean[epoch] == pytest.approx(expected)


def test_own_monitors_are_used(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    own = callbacks.GradientNormLogger(layers=["top"])
    searching.search(tuner, callbacks=[own])
    (trial,) = children(tuner)
    keys = {k for k in trial.data.metrics if k.startswith("grad_norm/")}
    assert keys == {"grad_norm/top", "grad_norm/global"}
    assert "dead_relu/hidden" in trial.data.metrics


def test_step_series_get_sparser(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    own = callbacks.GradientNormLogger(every_n_steps=1)
    searching.search(tuner, callbacks=[own], batch_size=1)  # 2 epochs of 72
    (trial,) = children(tuner)
    assert list(history(tuner, trial, "step/grad_norm/top")) == [
        *range(32),
        *range(32, 64, 2),
        *range(64, 128, 4),
        *range(128, 144, 8),
    ]
    assert len(history(tuner, trial, "grad_norm/top")) == 2


def test_a_generator_loses_no_batch(tmp_path, tracking_uri):
    x, y = images()
    taken = []

    def batches():
        for start in range(0, 96, 24):
            taken.append(start)
            yield x[start : start + 24], y[start : start + 24]

    tuner = searching.tuner(
        tmp_path, tracking_uri, max_trials=1, objective="loss"
    )
    tuner.search(batches(), epochs=1, steps_per_epoch=4, shuffle=False)
    assert taken == [0, 24, 48, 72]
    assert "best_model" in parent(tuner).data.tags


def values_of(tuner, trials=4):
    drawn = []
    for _ in range(trials):
        drawn.append(tuner.oracle.populate_space("0")["values"])
    return drawn


def test_seed_zero_is_a_seed(tmp_path):
    def draw(name, seed):
        return values_of(
            searching.tuner(tmp_path, None, project_name=name, seed=seed)
        )

    assert draw("a", 0) == draw("b", 0)
    assert draw("c", 0) != draw("d", 1)


def test_the_builtin_s_constructor_is_taken(tmp_path):
    tuner = tuners.RandomSearch(
        searching.build,
        keras_tuner.Objective("val_loss", "min"),
        5,
        directory=tmp_path,
        project_name="search",
    )
    assert isinstance(tuner, keras_tuner.RandomSearch)
    assert tuner.oracle.max_trials == 5
    assert tuner.experiment == "search"


def test_the_mixin_goes_before_other_tuners(tmp_path, tracking_uri, capsys):
    class Bayesian(tuners.TrackedTuner, keras_tuner.BayesianOptimization):
        pass

    tuner = Bayesian(
        searching.build,
        objective="val_loss",
        max_trials=1,
        directory=tmp_path,
        experiment=str(tmp_path),
        tracking_uri=tracking_uri,
    )
    searching.search(tuner, verbose=0)
    assert capsys.readouterr().out == ""
    assert parent(tuner).data.params["tuner"] == "Bayesian"
    assert "alpha" in parent(tuner).data.params
    assert len(children(tuner)) == 1


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`log_models` must be .*'some'"):
        searching.tuner(tmp_path, None, log_models="some")


def test_parallel_searches_are_refused(tmp_path, tracking_uri, monkeypatch):
    tuner = searching.tuner(tmp_path, tracking_uri)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(NotImplementedError, match="several workers"):
        searching.search(tuner)


def test_two_lines_per_trial(finished):
    lines = finished.printed.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("[1/3] trial 0  width=")
    assert lines[1].startswith("[1/3] trial 0  val_loss ")
    assert "best " in lines[1] and "left ~" in lines[1]
    assert "elapsed 0:" in lines[-2] and "left" not in lines[-2]
    best = finished.oracle.get_best_trials()[0]
    assert lines[-1] == (
        f"The best is trial {best.trial_id}, val_loss {best.score:.4f}. See "
        "the search in MLflow: keras-ext ui --tracking-uri "
        f"{shlex.quote(finished.client.tracking_uri)}"
    )


def test_what_is_missing_is_named():
    from tests.fresh_process import run_python

    run_python(
        "import sys\n"
        "import keras_ext\n"
        "assert not {'mlflow', 'keras_tuner'} & set(sys.modules)\n"
        "sys.modules['keras_tuner'] = None\n"
        "try:\n"
        "    keras_ext.tuners\n"
        "except ImportError as error:\n"
        "    assert 'keras-ext[tuner]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError\n"
    )
