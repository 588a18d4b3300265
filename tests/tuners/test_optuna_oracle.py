"""OptunaOracle as keras-tuner uses it, without training anything."""

import math
import sys

import keras_tuner
import optuna
import pytest

from keras_ext.tuners import OptunaOracle
from tests.fresh_process import run_python

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

NAMED = ["tpe", "cmaes", "gp", "nsga2", "random"]
LOSS = keras_tuner.Objective("loss", "min")


def space():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-5, 1e-1, sampling="log")
    hp.Int("units", 8, 256, sampling="log")
    optimizer = hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0, 0.99)
    assert optimizer == "sgd"
    hp.Fixed("constant", 3)
    return hp


def small():
    hp = keras_tuner.HyperParameters()
    hp.Choice("a", [1, 2, 3])
    hp.Boolean("b")
    return hp


def loss(values):
    return (
        (math.log10(values["rate"]) + 3) ** 2
        + (math.log2(values["units"]) - 6) ** 2 / 4
        + (1 - values["momentum"] if "momentum" in values else 0.3)
    )


def oracle(folder, hyperparameters=None, objective=LOSS, **options):
    defaults = {"max_trials": 100, "seed": 0}
    made = OptunaOracle(
        objective,
        hyperparameters=hyperparameters or space(),
        **(defaults | options),
    )
    made.verbose = 0
    made._set_project_dir(str(folder), "search")
    return made


def end(oracle, trial, metrics=None, status="COMPLETED"):
    if status == "COMPLETED":
        values = trial.hyperparameters.values
        oracle.update_trial(trial.trial_id, metrics or {"loss": loss(values)})
    trial.status = status
    oracle.end_trial(trial)
    oracle.save()  # as keras-tuner's tuner does


def run(oracle, trials, **options):
    """Run trials; return their values."""
    seen = []
    for _ in range(trials):
        trial = oracle.create_trial("tuner")
        if trial.status == "STOPPED":
            break
        seen.append(dict(trial.hyperparameters.values))
        end(oracle, trial, **options)
    return seen


@pytest.mark.parametrize("sampler", NAMED)
def test_trials(sampler, tmp_path):
    searched = oracle(tmp_path, sampler=sampler, n_startup_trials=4)
    seen = run(searched, 14)
    assert len(seen) == 14
    for values in seen:
        assert values["constant"] == 3
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
        assert 8 <= values["units"] <= 256 and type(values["units"]) is int


def test_it_learns(tmp_path):
    def late(sampler):
        """Return the median score of the last 30 of 60 trials."""
        searched = oracle(tmp_path / sampler, sampler=sampler)
        run(searched, 60)
        scores = [trial.score for trial in searched.trials.values()]
        return sorted(scores[30:])[15]

    assert late("tpe") < 0.5 * late("random")


def test_max_is_the_other_way_round(tmp_path):
    searched = oracle(tmp_path, objective=keras_tuner.Objective("gain", "max"))
    for _ in range(40):
        trial = searched.create_trial("tuner")
        gain = -loss(trial.hyperparameters.values)
        end(searched, trial, {"gain": gain})
    assert searched.get_best_trials()[0].score > -0.6
    assert [t.score for t in searched.pareto_trials()] == [
        searched.get_best_trials()[0].score
    ]


@pytest.mark.parametrize("sampler", NAMED)
def test_seeds(sampler, tmp_path):
    def draw(name, seed):
        made = oracle(
            tmp_path / name, seed=seed, sampler=sampler, n_startup_trials=2
        )
        return run(made, 5)

    assert draw("a", 0) == draw("b", 0)
    assert draw("c", 1) != draw("d", 0)
    assert draw("e", None) != draw("f", None)


def test_seed_zero_is_kept(tmp_path):
    assert oracle(tmp_path).seed == 0


@pytest.mark.parametrize("sampler", NAMED)
@pytest.mark.parametrize("hyperparameters", [space, small])
def test_a_resumed_search_suggests_the_same(sampler, hyperparameters, tmp_path):
    """Ended after each trial, and killed in each; the third one fails."""

    def resumed(folder):
        made = oracle(
            folder, hyperparameters(), sampler=sampler, n_startup_trials=3
        )
        if (folder / "search" / "oracle.json").exists():
            made.reload()
        return made

    def finish(searched, trial):
        number = int(trial.trial_id)
        status = "FAILED" if number == 2 else "COMPLETED"
        end(searched, trial, {"loss": number * 0.37 % 1}, status)

    undisturbed = resumed(tmp_path / "a")
    for _ in range(12 if sampler != "gp" else 8):
        expected = undisturbed.create_trial("tuner")
        killed = resumed(tmp_path / "b").create_trial("tuner")
        assert killed.trial_id == expected.trial_id
        assert killed.status == expected.status
        assert killed.hyperparameters.values == expected.hyperparameters.values
        if expected.status == "STOPPED":
            assert len(undisturbed.trials) == 6
            break
        finish(undisturbed, expected)
        after = resumed(tmp_path / "b")
        again = after.create_trial("tuner")
        assert again.trial_id == killed.trial_id
        assert again.hyperparameters.values == killed.hyperparameters.values
        finish(after, again)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_an_exhausted_space_ends_the_search(sampler, tmp_path):
    searched = oracle(tmp_path, small(), sampler=sampler, n_startup_trials=2)
    seen = run(searched, 20, metrics={"loss": 1.0})
    assert len(seen) == 6
    assert len({(v["a"], v["b"]) for v in seen}) == 6
    assert searched.create_trial("tuner").status == "STOPPED"


def test_failed_values_are_not_tried_again(tmp_path):
    searched = oracle(tmp_path, small(), max_consecutive_failed_trials=50)
    seen = run(searched, 20, status="FAILED")
    assert len({(v["a"], v["b"]) for v in seen}) == len(seen) == 6


def test_duplicates_if_asked_for(tmp_path):
    searched = oracle(tmp_path, small(), avoid_duplicates=False)
    seen = run(searched, 20, metrics={"loss": 1.0})
    assert len(seen) == 20


def test_no_hyperparameter_is_one_trial(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("constant", 1)
    searched = oracle(tmp_path, hp)
    assert run(searched, 5, metrics={"loss": 1.0}) == [{"constant": 1}]


@pytest.mark.filterwarnings("ignore:All-NaN axis:RuntimeWarning")
def test_failed_and_retried_trials(tmp_path):
    searched = oracle(tmp_path, max_retries_per_trial=1)
    first = searched.create_trial("tuner")
    end(searched, first, status="INVALID")
    again = searched.create_trial("tuner")
    assert again.trial_id == first.trial_id
    end(searched, again, {"loss": float("nan")})
    run(searched, 2)
    states = [trial.state.name for trial in searched._updated_study().trials]
    assert states == ["FAIL", "COMPLETE", "COMPLETE"]


def test_scores_are_reported_truthfully(tmp_path):
    searched = oracle(tmp_path)
    run(searched, 5)
    for asked, trial in zip(
        searched._updated_study().trials, searched.trials.values(), strict=True
    ):
        assert asked.values == [trial.score]
        values = trial.hyperparameters.values
        assert asked.params["rate"] == values["rate"]
        assert ("momentum | optimizer in ['sgd']" in asked.params) == (
            "momentum" in values
        )


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_space_that_grows(sampler, tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0, 1)
    searched = oracle(tmp_path, hp, sampler=sampler, n_startup_trials=2)
    for _ in range(6):
        trial = searched.create_trial("tuner")
        trial.hyperparameters.Int("late", 1, 1000, default=5)
        end(searched, trial, {"loss": trial.hyperparameters.values["rate"]})
    late = [t.hyperparameters.values["late"] for t in searched.trials.values()]
    assert late[0] == 5 and len(set(late)) > 3
    done = [
        trial.params["late"]
        for trial in searched._updated_study().trials
        if trial.state.name == "COMPLETE"
    ]
    assert done == late


def test_new_entries_may_stay_at_their_defaults(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0, 1)
    searched = oracle(tmp_path, hp, tune_new_entries=False)
    for _ in range(4):
        trial = searched.create_trial("tuner")
        assert trial.hyperparameters.Int("late", 1, 1000, default=5) == 5
        end(searched, trial, {"loss": 1.0})


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_several_objectives(sampler, tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0, 1)
    hp.Float("waste", 0, 1)
    objectives = [
        keras_tuner.Objective("error", "min"),
        keras_tuner.Objective("speed", "max"),
    ]
    searched = oracle(
        tmp_path, hp, objectives, sampler=sampler, n_startup_trials=8
    )
    for _ in range(80):
        trial = searched.create_trial("tuner")
        x, waste = (trial.hyperparameters.get(n) for n in ("x", "waste"))
        error, speed = x + waste, x**0.5 - waste
        end(
            searched,
            trial,
            {"error": error, "speed": speed, "multi_objective": error - speed},
        )
        assert searched.trials[trial.trial_id].score == error - speed
    front = searched.pareto_trials()
    assert 3 <= len(front) < 60
    points = [
        [trial.metrics.get_best_value(n) for n in ("error", "speed")]
        for trial in searched.trials.values()
    ]
    for trial in front:
        error, speed = (
            trial.metrics.get_best_value(n) for n in ("error", "speed")
        )
        assert not any(
            e <= error and s >= speed and (e, s) != (error, speed)
            for e, s in points
        )
    late = [
        trial.hyperparameters.get("waste")
        for trial in list(searched.trials.values())[40:]
    ]
    assert sum(late) / len(late) < 0.4


def test_several_objectives_are_those_of_the_best_step(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0, 1)
    objectives = [
        keras_tuner.Objective("a", "min"),
        keras_tuner.Objective("b", "min"),
    ]
    searched = oracle(tmp_path, hp, objectives)
    trial = searched.create_trial("tuner")
    for step, (a, b) in enumerate([(1.0, 9.0), (3.0, 3.0), (9.0, 1.0)]):
        searched.update_trial(
            trial.trial_id, {"a": a, "b": b, "multi_objective": a + b}, step
        )
    trial.status = "COMPLETED"
    searched.end_trial(trial)
    assert searched._updated_study().trials[0].values == [3.0, 3.0]


def test_a_sampler_of_one_s_own(tmp_path):
    own = optuna.samplers.TPESampler(seed=1, n_startup_trials=2)
    searched = oracle(tmp_path, sampler=own)
    assert len(run(searched, 6)) == 6
    resumed = oracle(tmp_path, sampler=optuna.samplers.TPESampler(seed=2))
    resumed.reload()
    assert len(run(resumed, 6)) == 6
    assert len(resumed._updated_study().trials) >= 12


def test_optuna_s_own_settings_stay(tmp_path, capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        run(oracle(tmp_path, n_startup_trials=2), 4)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr().err == ""


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`sampler` must be one of 'tpe'"):
        oracle(tmp_path, sampler="tpee")
    with pytest.raises(ValueError, match="`n_startup_trials` must be"):
        oracle(tmp_path, n_startup_trials=0)
    with pytest.raises(ValueError, match="Received: 'cmaes' and 2 objectives"):
        oracle(tmp_path, objective=[LOSS, LOSS], sampler="cmaes")


@pytest.mark.parametrize(
    "module, sampler, hint",
    [
        ("optuna", "tpe", 'pip install "keras-ext[optuna]"'),
        ("cmaes", "cmaes", 'pip install "keras-ext[optuna]"'),
        ("torch", "gp", "pip install torch"),
    ],
)
def test_what_is_missing_is_named(module, sampler, hint, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"needs {module}, which") as caught:
        OptunaOracle(LOSS, sampler=sampler)
    assert hint in str(caught.value)


@pytest.mark.slow
def test_optuna_is_imported_when_it_is_used():
    code = (
        "import sys, keras_ext.tuners\n"
        "assert 'optuna' not in sys.modules\n"
        "keras_ext.tuners.OptunaOracle('val_loss')\n"
        "assert 'optuna' in sys.modules\n"
    )
    run_python(code)
