"""Bugs of keras-tuner's oracles that ours fix."""

import json

import keras_tuner
import numpy as np
import pytest

from keras_ext import tuners
from keras_ext.tuners import oracles
from keras_ext.tuners.crash_safety import CrashSafe
from tests.tuners import oracle_runs
from tests.tuners.oracle_runs import begun, end, run, space

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

KERAS_TUNERS = keras_tuner.oracles


def hyperband(folder, is_patched=True, **options):
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    options = {"max_epochs": 9, "seed": 1, **options}
    oracle = KERAS_TUNERS.HyperbandOracle(
        keras_tuner.Objective("loss", "min"),
        hyperparameters=hp,
        max_consecutive_failed_trials=100,
        **options,
    )
    return begun(oracle, folder, is_patched)


def rungs(trials):
    """Count the trials of each rung of each bracket."""
    counts = {}
    for trial in trials:
        values = trial.hyperparameters.values
        key = values["tuner/bracket"], values["tuner/round"]
        counts[key] = counts.get(key, 0) + 1
    return counts


def x_of(trial):
    return trial.hyperparameters.values["x"]


def failing(how_often):
    """A score that fails at some of the first trials of a bracket."""
    seen = []

    def score(trial):
        if trial.hyperparameters.values["tuner/round"] == 0:
            seen.append(trial)
            if len(seen) <= how_often:
                return None
        return x_of(trial)

    return score


def test_hyperband_without_failures_is_keras_tuners(tmp_path):
    theirs = run(hyperband(tmp_path / "theirs", is_patched=False), x_of)
    ours = run(hyperband(tmp_path / "ours"), x_of)
    assert [t.hyperparameters.values for t in ours] == [
        t.hyperparameters.values for t in theirs
    ]


@pytest.mark.parametrize("failures", [1, 5, 7])
def test_failures_cost_hyperband_no_promotion(tmp_path, failures):
    trials = run(hyperband(tmp_path / "ours"), failing(failures))
    full = {(2, 0): 9, (2, 1): 3, (2, 2): 1, (1, 0): 5, (1, 1): 2, (0, 0): 3}
    counts = rungs(trials)
    assert counts == full | {(2, 1): min(3, 9 - failures)}
    promoted = [
        x_of(t)
        for t in trials
        if t.hyperparameters.values["tuner/bracket"] == 2
        and t.hyperparameters.values["tuner/round"] == 1
    ]
    survivors = sorted(x_of(t) for t in trials[failures:9])
    assert sorted(promoted) == survivors[: len(promoted)]


def test_failures_cost_keras_tuners_hyperband_promotions(tmp_path):
    oracle = hyperband(tmp_path, is_patched=False)
    counts = rungs(run(oracle, failing(7)))
    assert (2, 1) not in counts


def test_hyperband_ends_if_all_trials_fail(tmp_path):
    counts = rungs(run(hyperband(tmp_path), lambda trial: None))
    assert counts == {(2, 0): 9, (1, 0): 5, (0, 0): 3}


def test_hyperband_promotes_in_a_space_that_is_used_up(tmp_path):
    oracle = hyperband(tmp_path)
    small = keras_tuner.HyperParameters()
    small.Choice("x", [0.1, 0.2, 0.3, 0.4])
    oracle.hyperparameters = small
    trials = run(oracle, x_of)
    promoted = [t for t in trials if "tuner/trial_id" in t.hyperparameters]
    assert x_of(min(trials, key=x_of)) in {x_of(t) for t in promoted}
    assert len(trials) < 20


def test_best_step_counts_from_the_first_epoch(tmp_path):
    for is_patched, expected in ((True, 3 + 2), (False, 2)):
        oracle = hyperband(tmp_path / str(is_patched), is_patched)
        promoted = None
        while promoted is None:
            trial = oracle.create_trial("tuner0")
            values = trial.hyperparameters.values
            if values["tuner/initial_epoch"] == 3:
                promoted = trial
            end(oracle, trial, x_of(trial), step=2)
        assert oracle.trials[promoted.trial_id].best_step == expected


def test_more_iterations_may_be_asked_for_later(tmp_path):
    first = run(hyperband(tmp_path), x_of)
    again = run(hyperband(tmp_path, hyperband_iterations=2), x_of)
    assert len(again) == len(first)


def grid(folder, is_patched=True, **options):
    oracle = KERAS_TUNERS.GridSearchOracle(
        "val_loss", hyperparameters=space("a", "b", values=(1, 2, 3)), **options
    )
    return begun(oracle, folder, is_patched)


def product(trial):
    return float(np.prod(list(trial.hyperparameters.values.values())))


@pytest.mark.parametrize("before", [0, 1, 4, 8])
def test_a_grid_is_gone_through_after_a_restart(tmp_path, before):
    first = run(grid(tmp_path), product, most=before)
    rest = run(grid(tmp_path), product)
    tried = [tuple(t.hyperparameters.values.values()) for t in first + rest]
    assert len(tried) == len(set(tried)) == 9
    whole = run(grid(tmp_path / "undisturbed"), product)
    assert tried == [tuple(t.hyperparameters.values.values()) for t in whole]


def test_keras_tuners_grid_ends_after_a_restart(tmp_path):
    oracle = grid(tmp_path, is_patched=False)
    run(oracle, product, most=4)
    oracle.save()  # as its tuner does
    assert run(grid(tmp_path, is_patched=False), product) == []


def bayesian(folder, hp, is_patched=True, **options):
    oracle = KERAS_TUNERS.BayesianOptimizationOracle(
        "val_loss",
        hyperparameters=hp,
        num_initial_points=3,
        **{"max_trials": 6, "seed": 3, **options},
    )
    return begun(oracle, folder, is_patched)


def line():
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return hp


def test_bayesian_optimization_continues_like_an_undisturbed_one(tmp_path):
    whole = run(bayesian(tmp_path / "whole", line()), x_of)
    parts = run(bayesian(tmp_path / "parts", line()), x_of, most=4)
    parts += run(bayesian(tmp_path / "parts", line()), x_of)
    assert [x_of(t) for t in parts] == [x_of(t) for t in whole]


def test_bayesian_optimization_tries_nothing_twice(tmp_path):
    def tried(is_patched):
        oracle = bayesian(
            tmp_path / str(is_patched),
            space("a", "b"),
            is_patched,
            max_trials=14,
        )
        trials = run(oracle, product)
        return [tuple(t.hyperparameters.values.values()) for t in trials]

    theirs, ours = tried(False), tried(True)
    assert len(set(theirs)) < len(theirs)
    assert len(set(ours)) == len(ours) == 14


def random_search(folder, is_patched=True, **options):
    oracle = KERAS_TUNERS.RandomSearchOracle(
        "val_loss",
        hyperparameters=space("a", "b", values=range(10)),
        **{"max_trials": 6, "seed": 5, **options},
    )
    return begun(oracle, folder, is_patched)


def test_an_oracle_of_any_class_is_patched():
    class Own(KERAS_TUNERS.RandomSearchOracle):
        pass

    oracle = Own("val_loss")
    oracles.make_crash_safe(oracle)
    assert isinstance(oracle, Own) and isinstance(oracle, CrashSafe)
    kind = type(oracle)
    oracles.make_crash_safe(oracle)
    assert type(oracle) is kind


@pytest.mark.parametrize("is_patched", [True, False])
def test_trial_that_ended_just_before_the_crash_is_not_repeated(
    tmp_path, is_patched
):
    """The process dies after the trial's file and before the oracle's."""
    oracle = random_search(tmp_path, is_patched)
    run(oracle, product, most=2)
    trial = oracle.create_trial("tuner0")
    trial_id = trial.trial_id
    saved = (tmp_path / "search" / "oracle.json").read_text()
    end(oracle, trial, product(trial))
    (tmp_path / "search" / "oracle.json").write_text(saved)

    again = random_search(tmp_path, is_patched)
    following = again.create_trial("tuner0").trial_id
    assert (following == trial_id) is not is_patched
    if is_patched:
        assert again.trials[trial_id].score is not None
        assert again.end_order == ["0", "1", trial_id]


@pytest.mark.parametrize("is_patched", [True, False])
def test_trial_that_had_only_just_begun_is_not_lost(tmp_path, is_patched):
    """The process dies with the trial's file written, the oracle's not."""
    oracle = random_search(tmp_path, is_patched)
    run(oracle, product, most=2)
    oracle.save()  # as the tuner does
    saved = (tmp_path / "search" / "oracle.json").read_text()
    values = oracle.create_trial("tuner0").hyperparameters.values
    (tmp_path / "search" / "oracle.json").write_text(saved)

    again = random_search(tmp_path, is_patched)
    trials = run(again, product)
    assert len(trials) == (4 if is_patched else 3)
    if is_patched:
        assert trials[0].hyperparameters.values == values
    assert len(again.end_order) == (6 if is_patched else 5)


def test_torn_trial_is_tried_again_with_the_same_values(tmp_path):
    oracle = random_search(tmp_path)
    trial = oracle.create_trial("tuner0")
    # Killed between the report of the results and the end of the trial.
    oracle.update_trial(trial.trial_id, {"val_loss": 0.5})
    again = random_search(tmp_path)
    trials = run(again, lambda trial: 7.0)
    assert trials[0].hyperparameters.values == trial.hyperparameters.values
    assert trials[0].score == 7.0
    assert len(again.end_order) == len(trials) == 6


def test_trials_may_be_added_on_resume(tmp_path):
    assert len(run(random_search(tmp_path, max_trials=2), product)) == 2
    again = random_search(tmp_path, max_trials=12)
    assert len(run(again, product)) == 10
    assert len({product(t) for t in again.trials.values()}) > 5


def test_failed_trial_that_waits_for_its_retry_keeps_it(tmp_path):
    oracle = random_search(tmp_path, max_retries_per_trial=1)
    trial = oracle.create_trial("tuner0")
    end(oracle, trial, None)
    again = random_search(tmp_path, max_retries_per_trial=1)
    assert again.create_trial("tuner0").trial_id == trial.trial_id
    assert again._run_times[trial.trial_id] == 1


def test_files_are_never_half_written(tmp_path, monkeypatch):
    oracle = random_search(tmp_path)
    run(oracle, product, most=1)
    path = tmp_path / "search" / "oracle.json"
    before = path.read_text()

    def torn(state, file, **options):
        file.write('{"half": ')
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dump", torn)
    with pytest.raises(KeyboardInterrupt):
        oracle.save()
    assert path.read_text() == before
    assert not list(path.parent.glob(".oracle*"))


@pytest.mark.parametrize("moment", range(1, 12))
def test_killed_at_any_write(tmp_path, moment, monkeypatch):
    """Dies at the n-th write, before or after it; then goes on."""
    from keras_ext.tuners import crash_safety

    class Killed(BaseException):
        pass

    write, count = crash_safety.write_whole, 0

    def counted(path, state):
        nonlocal count
        count += 1
        if count == moment and moment % 2:
            raise Killed
        write(path, state)
        if count == moment:
            raise Killed

    whole = run(grid(tmp_path / "whole"), product)
    with monkeypatch.context() as patch:
        patch.setattr(crash_safety, "write_whole", counted)
        with pytest.raises(Killed):
            run(grid(tmp_path / "torn"), product)
    again = grid(tmp_path / "torn")
    run(again, product)
    assert [again.trials[i].score for i in again.end_order] == [
        trial.score for trial in whole
    ]
    assert oracle_runs.run(grid(tmp_path / "torn"), product) == []


SIZES = {"a": [1, 2], "b": [3, 4], "c": [5]}


def branches(hp):
    """Request the name `size` in three branches, with different values."""
    kind = hp.Choice("kind", list(SIZES))
    found = {}
    for branch in SIZES:
        with hp.conditional_scope("kind", [branch]):
            found[branch] = hp.Choice("size", SIZES[branch])
    assert found[kind] in SIZES[kind]
    return kind, found[kind]


ORACLES = {
    "random": (KERAS_TUNERS.RandomSearchOracle, {}),
    "grid": (KERAS_TUNERS.GridSearchOracle, {}),
    "bayesian": (
        KERAS_TUNERS.BayesianOptimizationOracle,
        {"num_initial_points": 2},
    ),
    "hyperband": (KERAS_TUNERS.HyperbandOracle, {}),
    "optuna": (tuners.OptunaOracle, {}),
}


@pytest.mark.parametrize("name", ORACLES)
def test_one_name_in_several_branches(tmp_path, name):
    """keras-tuner deletes the active value, and the trial fails."""

    def oracle():
        hp = keras_tuner.HyperParameters()
        branches(hp)
        kind, options = ORACLES[name]
        objective = keras_tuner.Objective("val_loss", "min")
        return begun(kind(objective, hyperparameters=hp, **options), tmp_path)

    def score(trial):
        trained.append(branches(trial.hyperparameters))
        return float(trained[-1][1])

    trained = []
    trials = run(oracle(), score, most=3) + run(oracle(), score, most=9)
    assert len({kind for kind, _ in trained}) > 1
    # A trial keeps the values that it was trained with.
    values = [trial.hyperparameters.values for trial in trials]
    assert trained == [(v["kind"], v["size"]) for v in values]
    if name == "grid":
        assert trained == [(k, size) for k in SIZES for size in SIZES[k]]


def test_a_tuner_explores_one_name_in_several_branches(tmp_path):
    tuner = tuners.RandomSearch(branches, "val_loss", directory=str(tmp_path))
    space = tuner.oracle.get_space().space
    assert [parameter.name for parameter in space] == ["kind"] + ["size"] * 3
