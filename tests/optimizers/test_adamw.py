"""Tests of AdamW and weight decay; test_optimizers.py tests all optimizers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext import optimizers
from keras_ext.optimizers import AdamW
from tests.numerics import numpy64


def step(optimizer, variables, g=0.0):
    gradients = [g * ops.ones_like(v.value) for v in variables]
    optimizer.apply(gradients, variables)
    return [numpy64(v) for v in variables]


def test_by_hand():
    # The decay leaves 0.75 * w; the first step of Adam is 0.5 * sign(g).
    w = keras.Variable([4.0, -8.0])
    optimizer = AdamW(0.5, weight_decay=0.5, epsilon=0.0)
    (result,) = step(optimizer, [w], 3.0)
    np.testing.assert_allclose(result, [2.5, -6.5], rtol=1e-5)
    # sqrt(v_hat) + epsilon is 1 + 1.
    w = keras.Variable([4.0])
    optimizer = AdamW(0.5, 0.5, epsilon=1.0, epsilon_hat=False)
    (result,) = step(optimizer, [w], 1.0)
    np.testing.assert_allclose(result, [2.75], rtol=1e-5)


@pytest.mark.parametrize(
    ("epsilon_hat", "trajectory"),
    [
        (True, [0.911257411, 0.819751578, 0.72927155, 0.641472059]),
        (False, [0.854761905, 0.717800761, 0.589286765, 0.469469098]),
    ],
)
def test_golden_trajectory(epsilon_hat, trajectory):
    # The slope of w**2 from w = 1, with an epsilon for which the forms differ.
    optimizer = AdamW(0.1, 0.5, epsilon=0.1, epsilon_hat=epsilon_hat)
    w = keras.Variable(1.0)
    for expected in trajectory:
        optimizer.apply([2 * ops.convert_to_tensor(w)], [w])
        assert float(numpy64(w)) == pytest.approx(expected, rel=1e-5)


def test_default_decay_is_that_of_keras():
    assert AdamW().weight_decay == keras.optimizers.AdamW().weight_decay


@pytest.mark.parametrize("how", ["var_list", "var_names", "all"])
def test_exclusions(how):
    kernel = keras.Variable(np.ones(4, "float32"), name="kernel")
    bias = keras.Variable(np.ones(3, "float32"), name="bias")
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(
        var_list={"var_list": [bias], "all": [kernel, bias]}.get(how),
        var_names=["bias"] if how == "var_names" else None,
    )
    decayed, kept = step(optimizer, [kernel, bias])
    expected = 1.0 if how == "all" else 0.95
    np.testing.assert_allclose(decayed, expected, rtol=1e-6)
    np.testing.assert_array_equal(kept, 1)


def test_frozen_variables_do_not_decay():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    )
    model.layers[0].trainable = False
    model.compile(AdamW(0.1, weight_decay=1.0), "mse")
    before = model.get_weights()
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert abs(before[2] - after[2]).max() > 0.01


def test_decay_only_when_accumulated_gradients_are_applied():
    w = keras.Variable([1.0])
    optimizer = AdamW(0.1, 0.5, gradient_accumulation_steps=3)
    results = [float(step(optimizer, [w])[0][0]) for _ in range(6)]
    expected = [1.0, 1.0, 0.95, 0.95, 0.95, 0.95**2]
    np.testing.assert_allclose(results, expected, rtol=1e-6)


def test_decay_follows_the_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [0], [0.1, 0.0]
    )
    w = keras.Variable([1.0])
    optimizer = AdamW(schedule, weight_decay=0.5)
    results = [float(step(optimizer, [w])[0][0]) for _ in range(3)]
    np.testing.assert_allclose(results, 0.95, rtol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_small_decays_do_not_round(name):
    # Next to 1, float32 has a spacing of 6e-8: no factor is 1 - 1.1e-7.
    w = keras.Variable(np.linspace(1, 2, 10_001)[:-1], dtype="float32")
    optimizer = getattr(optimizers, name)(1.1e-5, weight_decay=0.01)
    before = numpy64(w)
    (after,) = step(optimizer, [w])
    share = np.mean(before - after) / np.mean(before)
    # Weights round, but not all to the same side.
    assert share == pytest.approx(1.1e-7, rel=0.08)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_decay_of_half_precision_is_computed_in_float32(rng, dtype):
    w = keras.Variable(rng.normal(size=1000), dtype=dtype)
    before = numpy64(w)
    (after,) = step(AdamW(0.03, weight_decay=0.1), [w])
    exact = ops.cast(ops.convert_to_tensor(before * (1 - 0.003)), dtype)
    same = after == numpy64(ops.cast(exact, "float32"))
    assert same.mean() > 0.99


@pytest.mark.backend("tensorflow")
def test_tensorflow_takes_two_kernels_for_the_decay():
    import tensorflow as tf

    variables = [keras.Variable(np.ones(9000)) for _ in range(4)]
    optimizer = AdamW()
    optimizer.build(variables)
    update = tf.function(lambda grads: optimizer.apply(grads, variables))
    graph = update.get_concrete_function([tf.ones(9000)] * 4).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("AssignSubVariableOp") == 4
    large = [
        operation
        for operation in graph.get_operations()
        if operation.type == "Mul" and operation.outputs[0].shape == (9000,)
    ]
    assert len(large) == 4


@pytest.mark.backend("torch")
def test_torch_compiles_the_decay(rng):
    import torch

    w, halves = rng.normal(size=(2, 50))
    variables = [
        keras.Variable(w, dtype="float32"),
        keras.Variable(halves, dtype="bfloat16"),
    ]
    optimizer = AdamW(0.5, weight_decay=0.5)
    optimizer.build(variables)

    @torch.compile(backend="aot_eager")
    def update():
        with torch.no_grad():
            optimizer._apply_weight_decay(variables)

    update()
    np.testing.assert_allclose(numpy64(variables[0]), w * 0.75, 1e-6)
    np.testing.assert_allclose(numpy64(variables[1]), halves * 0.75, 2e-2)
