"""Searches that end trials early, and what their trials then are worth."""

import warnings

import keras
import keras_tuner
import numpy as np
import pytest

from keras_ext import tuners
from keras_ext.tuners import ASHAPruner, MedianPruner
from tests.tuners import scripted, searching
from tests.tuners.scripted import NAN, InOrder, endings, scores

pytestmark = pytest.mark.backend("torch")

# For what does not depend on the backend.
ONCE = pytest.mark.backend("torch")

EAGER = MedianPruner(startup_trials=1, warmup_epochs=1)


@pytest.fixture
def make(tmp_path, tracking_uri):
    def make(kinds="abc", **options):
        return scripted.tuner(tmp_path, tracking_uri, kinds, **options)

    return make


def history(tuner, run, key):
    points = tuner.client.get_metric_history(run.info.run_id, key)
    return [point.value for point in points]


@pytest.mark.parametrize(("direction", "sign"), [("max", 1), ("min", -1)])
def test_what_falls_behind_is_ended(make, direction, sign):
    tuner = make(direction=direction, pruner=EAGER)
    script = {
        "a": [sign * 0.4, sign * 0.5, sign * 0.6, sign * 0.7],
        "b": [sign * 0.3, sign * 0.2, sign * 0.9, sign * 0.9],
        "c": [sign * 0.1, sign * 0.5, sign * 0.8, sign * 0.8],
    }
    scripted.search(tuner, script)
    than = "(0.3 < 0.5)" if direction == "max" else "(-0.3 > -0.5)"
    assert endings(tuner) == [
        ("FINISHED", None),
        ("KILLED", f"pruned: behind the median at epoch 1 {than}"),
        ("FINISHED", None),
    ]
    # Its best value so far, and all that is known of it.
    assert scores(tuner) == [
        ("COMPLETED", sign * 0.7, 3),
        ("COMPLETED", sign * 0.3, 0),
        ("COMPLETED", sign * 0.8, 2),
    ]
    pruned = searching.children(tuner)[1]
    assert pruned.data.metrics["score"] == pytest.approx(sign * 0.3)
    assert len(history(tuner, pruned, "loss")) == 2
    assert searching.parent(tuner).info.status == "FINISHED"
    assert searching.parent(tuner).data.tags["best_trial"] == "2"
    assert searching.parent(tuner).data.params["pruner"] == repr(EAGER)


@ONCE
def test_halving(make):
    tuner = make("abcd", pruner=ASHAPruner(min_epochs=1, factor=2))
    script = {"a": [0.5] * 4, "b": [0.4] * 4, "c": [0.6] * 4, "d": [0.1] * 4}
    scripted.search(tuner, script)
    assert endings(tuner) == [
        ("FINISHED", None),
        ("KILLED", "pruned: behind the best of 2 at epoch 0 (0.4 < 0.5)"),
        ("FINISHED", None),
        ("KILLED", "pruned: behind the best 2 of 4 at epoch 0 (0.1 < 0.5)"),
    ]


@ONCE
def test_executions_are_judged_one_by_one(make):
    tuner = make("abc", pruner=EAGER, executions_per_trial=3)
    script = {
        "a": [[0.5] * 4] * 3,
        # The mean of the first two is behind, though the first was not.
        "b": [[0.6] * 4, [0.2, 0.3, 0.9, 0.9], [0.9] * 4],
        "c": [[0.6] * 4, [0.2] * 3 + [0.9], [0.9] * 4],
    }
    seen = scripted.search(tuner, script)
    assert seen.times == {"a": 2, "b": 1, "c": 1}
    runs = searching.children(tuner)
    reason = "pruned: behind the median at epoch 1 (0.45 < 0.5)"
    assert endings(tuner)[1] == ("KILLED", reason)
    statuses = [status for status, _ in endings(tuner, runs[1].info.run_id)]
    assert statuses == ["FINISHED", "KILLED"]
    assert scores(tuner)[0] == ("COMPLETED", 0.5, 0)
    assert scores(tuner)[1] == ("COMPLETED", 0.45, 0)


@ONCE
def test_what_broke_gets_the_worst_score(make):
    tuner = make(["a", "broken", "b"], stop_unhealthy=True)
    script = {"a": [0.5] * 4, "broken": [0.9] * 4, "b": [0.2] * 4}
    scripted.search(tuner, script)
    # Not its own 0.9, which is that of a model of NaN; and b is still worse.
    assert scores(tuner) == [
        ("COMPLETED", 0.5, 0),
        ("COMPLETED", 0.2, 0),
        ("COMPLETED", 0.2, 0),
    ]
    status, reason = endings(tuner)[1]
    assert status == "KILLED"
    assert reason.startswith("pruned: numerical_instability")
    run = searching.children(tuner)[1]
    assert run.data.tags["doctor.problem"] == "numerical_instability"
    assert "score" not in run.data.metrics
    assert searching.parent(tuner).data.tags["best_trial"] == "0"
    # The files hold the same.
    again = make(["a", "broken", "b"], stop_unhealthy=True)
    assert again.oracle.trials["1"].score == pytest.approx(0.2)


class BreaksLater(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if self.model.name == "b" and epoch == 2:
            self.model.optimizer.learning_rate = NAN


@ONCE
def test_what_breaks_later_keeps_what_it_had(make):
    tuner = make("ab", stop_unhealthy=True)
    script = scripted.Script({"a": [0.5] * 6, "b": [0.3, 0.8] + [0.9] * 4})
    x, y = searching.images()
    tuner.search(x, y, epochs=6, verbose=0, callbacks=[script, BreaksLater()])
    assert scores(tuner)[1] == ("COMPLETED", 0.8, 1)
    run = searching.children(tuner)[1]
    assert run.info.status == "KILLED"
    assert 3 <= len(history(tuner, run, "loss")) <= 4


@ONCE
def test_breaking_is_no_failure(make):
    tuner = make(["broken"] * 5, stop_unhealthy=True)
    scripted.search(tuner, {"broken": [NAN] * 4})
    assert [status for status, _ in endings(tuner)] == ["KILLED"] * 5
    assert all(np.isfinite(score) for _, score, _ in scores(tuner))
    run = searching.parent(tuner)
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "no trial finished"


@ONCE
def test_a_gaussian_process_learns_from_what_broke(make):
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        keras_tuner.Objective("points", "max"),
        max_trials=6,
        num_initial_points=2,
        seed=3,
    )

    def build(hp):
        broken = hp.Float("x", 0.0, 1.0) > 0.5
        hp.Fixed("kind", "broken" if broken else "a")
        return scripted.build(hp)

    tuner = make(oracle=oracle, hypermodel=build, stop_unhealthy=True)
    with warnings.catch_warnings():
        # scikit-learn's, about the length of the process's kernel.
        warnings.filterwarnings("ignore", module="sklearn")
        scripted.search(tuner, {"a": [0.5] * 4, "broken": [0.9] * 4}, epochs=1)
    found = scores(tuner)
    assert len(found) == 6
    assert {status for status, _, _ in found} == {"COMPLETED"}
    assert all(np.isfinite(score) for _, score, _ in found)


@ONCE
def test_a_grid_is_walked_over_what_broke(make):
    oracle = keras_tuner.oracles.GridSearchOracle(
        keras_tuner.Objective("points", "max")
    )
    tuner = make(oracle=oracle, stop_unhealthy=True, pruner=EAGER)
    script = {kind: [0.1 * i] * 4 for i, kind in enumerate("abcde", 1)}
    scripted.search(tuner, {**script, "broken": [NAN] * 4}, epochs=2)
    kinds = [
        tuner.oracle.trials[i].hyperparameters.get("kind")
        for i in tuner.oracle.start_order
    ]
    assert kinds == ["a", "b", "c", "d", "e", "broken"]


@ONCE
def test_hyperband_promotes_beside_what_broke(make):
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("points", "max"), max_epochs=2, factor=2, seed=1
    )

    def build(hp):
        broken = hp.Int("x", 0, 100) > 30
        hp.Fixed("kind", "broken" if broken else "a")
        return scripted.build(hp)

    tuner = make(oracle=oracle, hypermodel=build, stop_unhealthy=True)
    scripted.search(tuner, {"a": [0.5] * 4, "broken": [0.9] * 4})
    promoted = [
        trial.hyperparameters.get("kind")
        for trial in tuner.oracle.trials.values()
        if trial.hyperparameters.values.get("tuner/round", 0) > 0
    ]
    assert promoted == ["a"] * len(promoted)
    assert len(promoted) > 0


@ONCE
def test_a_resumed_search_knows_the_trials_before(make):
    objective = keras_tuner.Objective("points", "max")
    kinds = list("abc")
    first = make(oracle=InOrder(kinds[:1], objective), pruner=EAGER)
    scripted.search(first, {"a": [0.5] * 4})
    second = make(oracle=InOrder(kinds, objective), pruner=EAGER)
    seen = scripted.search(
        second, {"b": [0.1] * 4, "c": [0.6] * 4, "a": [0.5] * 4}
    )
    assert seen.times == {"b": 0, "c": 0}
    assert endings(second) == [
        ("FINISHED", None),
        ("KILLED", "pruned: behind the median at epoch 1 (0.1 < 0.5)"),
        ("FINISHED", None),
    ]


class OwnFit(keras_tuner.HyperModel):
    def build(self, hp):
        return scripted.build(hp)

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        return {"points": {"a": 0.5, "b": 0.4}[model.name]}


@ONCE
def test_epochs_without_the_objective_are_not_judged(make):
    tuner = make("ab", hypermodel=OwnFit(), pruner=EAGER)
    script = {"a": [None, 0.5, None, 0.6], "b": [None, None, None, 0.1]}
    scripted.search(tuner, script)
    reason = "pruned: behind the median at epoch 3 (0.1 < 0.6)"
    assert endings(tuner)[1] == ("KILLED", reason)


@ONCE
def test_an_objective_that_no_epoch_reports(make):
    tuner = make("ab", hypermodel=OwnFit(), pruner=EAGER, stop_unhealthy=True)
    with pytest.warns(UserWarning, match="No epoch reports the objective 'po"):
        scripted.search(tuner, {"a": [None] * 4, "b": [None] * 4})
    assert scores(tuner) == [("COMPLETED", 0.5, 0), ("COMPLETED", 0.4, 0)]


@ONCE
def test_a_pruner_of_ones_own(make):
    class Impatient(tuners.Pruner):
        def judge(self, epoch, values, others, direction):
            seen.append((epoch, dict(values), len(others), direction))
            return "no more" if epoch == 1 else None

    seen = []
    tuner = make("ab", pruner=Impatient())
    scripted.search(tuner, {"a": [0.5, 0.4], "b": [0.1, 0.2]})
    assert endings(tuner) == [("KILLED", "pruned: no more")] * 2
    assert seen[1] == (1, {0: 0.5, 1: 0.5}, 0, "max")
    assert seen[3] == (1, {0: 0.1, 1: 0.2}, 1, "max")


@ONCE
def test_several_objectives(make, tmp_path, tracking_uri):
    options = {"tracking_uri": tracking_uri, "directory": tmp_path}
    objectives = ["val_loss", keras_tuner.Objective("val_accuracy", "max")]
    with pytest.raises(ValueError, match="`pruner` compares trials by one"):
        tuners.RandomSearch(
            scripted.build, objectives, pruner="asha", **options
        )
    # The doctor needs none.
    tuner = make(
        oracle=InOrder(["a", "broken"], ["loss", "val_loss"]),
        stop_unhealthy=True,
    )
    scripted.search(
        tuner, {"a": [None], "broken": [None]}, validation_split=0.5
    )
    assert [status for status, _ in endings(tuner)] == ["FINISHED", "KILLED"]
    found = scores(tuner)
    assert found[0][1] == found[1][1]


@ONCE
def test_unknown_pruners_raise_at_once(make):
    with pytest.raises(ValueError, match="`pruner` must be"):
        make(pruner="mean")


def build_symmetric(hp):
    kind = hp.Choice("kind", ["zeros", "he_normal"])
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(8, "relu", kernel_initializer=kind, name="one"),
            keras.layers.Dense(8, "relu", kernel_initializer=kind, name="two"),
            keras.layers.Dense(2, "softmax", kernel_initializer=kind),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def test_hopeless_trials_are_ended(make):
    # In which epoch it is sure depends on the order of the samples.
    keras.utils.set_random_seed(0)
    oracle = InOrder(["zeros", "he_normal"], "val_loss")
    tuner = make(oracle=oracle, hypermodel=build_symmetric, stop_unhealthy=True)
    searching.search(tuner, epochs=12, verbose=0)
    runs = searching.children(tuner)
    assert [run.info.status for run in runs] == ["KILLED", "FINISHED"]
    reason = runs[0].data.tags["reason"]
    assert reason.startswith("pruned: symmetric_units in one (epoch ")
    assert len(history(tuner, runs[0], "val_loss")) < 6
    assert runs[0].data.tags["doctor.problem"] == "symmetric_units"
    assert runs[0].data.tags["doctor.layer"] == "one"
    assert len(history(tuner, runs[1], "val_loss")) == 12
    assert np.isfinite(scores(tuner)[0][1])


@ONCE
def test_a_doctor_of_ones_own_is_the_one(make):
    from keras_ext.callbacks import TrainingDoctor

    found = []
    oracle = InOrder(["zeros"], "val_loss")
    tuner = make(oracle=oracle, hypermodel=build_symmetric, stop_unhealthy=True)
    doctor = TrainingDoctor(on_finding=found.append)
    searching.search(tuner, epochs=12, verbose=0, callbacks=[doctor])
    assert [status for status, _ in endings(tuner)] == ["KILLED"]
    assert len(found) > 0
