"""Each kind of hyperparameter, to Optuna and back."""

import math
import random

import keras_tuner
import optuna
import pytest

from keras_ext.tuners.optuna_space import (
    Axis,
    optuna_parameters,
    suggest,
    untried,
)

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

optuna.logging.set_verbosity(optuna.logging.WARNING)

KINDS = {
    "Int": lambda hp: hp.Int("a", -3, 7),
    "Int with a step": lambda hp: hp.Int("a", 6, 13, step=3),
    "Int, log": lambda hp: hp.Int("a", 1, 1000, sampling="log"),
    "Int, log with a step": lambda hp: hp.Int(
        "a", 2, 40, step=2, sampling="log"
    ),
    "Int, reverse log": lambda hp: hp.Int("a", 1, 50, sampling="reverse_log"),
    "Float": lambda hp: hp.Float("a", -1, 1),
    "Float with a step": lambda hp: hp.Float("a", 0, 1, step=0.1),
    "Float, log": lambda hp: hp.Float("a", 1e-5, 1e-1, sampling="log"),
    "Float, log with a step": lambda hp: hp.Float(
        "a", 1e-3, 10, step=10, sampling="log"
    ),
    "Float, reverse log": lambda hp: hp.Float(
        "a", 0.9, 0.9999, sampling="reverse_log"
    ),
    "Float, reverse log with a step": lambda hp: hp.Float(
        "a", 1, 9, step=2, sampling="reverse_log"
    ),
    "ordered Choice": lambda hp: hp.Choice("a", [64, 16, 32, 16]),
    "unordered Choice": lambda hp: hp.Choice("a", [3, 1, 2], ordered=False),
    "Choice of words": lambda hp: hp.Choice("a", ["x", "y", "z"]),
    "Boolean": lambda hp: hp.Boolean("a"),
    "Fixed": lambda hp: hp.Fixed("a", 1.5),
    "a single Int": lambda hp: hp.Int("a", 4, 4),
    "a single Float": lambda hp: hp.Float("a", 0.5, 0.5),
}


def space_of(kind):
    hp = keras_tuner.HyperParameters()
    KINDS[kind](hp)
    return hp.space


def study(seed=0):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))


def drawn(space, count=300):
    asking = study()
    return [suggest(asking.ask(), space)["a"] for _ in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_keras_tuner(kind):
    space = space_of(kind)
    values = drawn(space)
    theirs = [space[0].random_sample(seed) for seed in range(300)]
    assert {type(v) for v in values} == {type(v) for v in theirs}
    if len(set(theirs)) < 20:  # as many as 300 draws will find
        assert set(values) == set(theirs)
    else:
        low, high = space[0].min_value, space[0].max_value
        assert all(low <= value <= high for value in values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_comes_back(kind):
    space = space_of(kind)
    asking = study()
    for value in drawn(space, 30):
        parameters, distributions = optuna_parameters(space, {"a": value})
        asking.enqueue_trial(parameters)
        asked = asking.ask(distributions)
        back = suggest(asked, space)["a"]
        assert type(back) is type(value)
        is_float = isinstance(value, float)
        assert back == (pytest.approx(value, rel=1e-12) if is_float else value)


def test_scales():
    def median(kind):
        return sorted(drawn(space_of(kind)))[150]

    assert 1e-4 < median("Float, log") < 1e-2
    assert 15 < median("Int, log") < 70
    assert median("Int") in (1, 2, 3)
    # Most values near the top: in the mirrored range [1, 50] half of the
    # logarithmic scale lies below 7.
    assert 40 < median("Int, reverse log") < 47
    low, high = 0.9, 0.9999
    middle = low + high - math.sqrt(low * high)
    assert median("Float, reverse log") == pytest.approx(middle, abs=0.02)


def test_ordered_levels_are_numbered_in_order():
    axis = Axis(space_of("ordered Choice")[0])
    assert axis.levels == [16, 32, 64]
    assert axis.distribution == optuna.distributions.IntDistribution(0, 2)
    assert axis.to_optuna(64) == 2


def test_a_value_outside_the_space_becomes_the_nearest():
    hp = keras_tuner.HyperParameters()
    hp.Float("step", 0, 1, step=0.25, default=0.3)
    hp.Float("high", 0, 1, default=7.0)
    parameters, _ = optuna_parameters(hp.space, hp.values)
    assert parameters == {"step": 1, "high": 1.0}


def conditional():
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["mlp", "cnn", "linear"])
    with hp.conditional_scope("kind", ["mlp"]):
        hp.Int("units", 1, 2)
        hp.Boolean("norm")
        with hp.conditional_scope("norm", [True]):
            hp.Choice("momentum", [0.9, 0.99])
    with hp.conditional_scope("kind", ["cnn"]):
        hp.Int("units", 10, 12)
    return hp.space


def test_conditional_values_are_the_active_ones():
    asking = study()
    seen = {}
    for _ in range(100):
        values = suggest(asking.ask(), conditional())
        seen.setdefault(values["kind"], []).append(values)
    assert all(set(values) == {"kind"} for values in seen["linear"])
    assert {values["units"] for values in seen["cnn"]} == {10, 11, 12}
    assert all("norm" not in values for values in seen["cnn"])
    assert {values["units"] for values in seen["mlp"]} == {1, 2}
    for values in seen["mlp"]:
        assert ("momentum" in values) == values["norm"]


def test_inactive_values_are_left_out():
    values = {"kind": "cnn", "units": 11, "norm": True, "momentum": 0.9}
    parameters, distributions = optuna_parameters(conditional(), values)
    assert parameters == {"kind": "cnn", "units | kind in ['cnn']": 11}
    assert parameters.keys() == distributions.keys()
    # A trial has no value of what the space grew by later.
    assert optuna_parameters(conditional(), {"kind": "mlp"})[0] == {
        "kind": "mlp"
    }


def test_the_untried_are_found_to_the_last():
    tried = []
    rng = random.Random(0)
    for _ in range(10):
        values = untried(
            conditional(), lambda v: dict(v) in tried, len(tried), rng
        )
        assert values not in tried
        tried.append(values)
    # 2 units, each without norm or with one of 2 momenta; 3 units; linear.
    assert len(tried) == 2 * 3 + 3 + 1
    assert (
        untried(conditional(), lambda v: dict(v) in tried, len(tried), rng)
        is None
    )


def test_a_large_space_is_not_walked_through():
    hp = keras_tuner.HyperParameters()
    for name in "abcdefgh":
        hp.Int(name, 0, 10**9)
    asked = []

    def is_tried(values):
        asked.append(values)
        return len(asked) < 20

    assert untried(hp.space, is_tried, 30, random.Random(0)) is not None
    assert len(asked) == 20
