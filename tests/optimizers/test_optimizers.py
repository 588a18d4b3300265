"""Tests of every optimizer; each optimizer also has its own file."""

import contextlib
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import optimizers
from tests.fresh_process import run_in_loader, run_python
from tests.numerics import EXAMPLES, float64, numpy64

BACKEND = keras.config.backend()
# In float32, 1 - beta_2 has an error of about 1e-5: in the bias correction of
# Adam's formula and of the built-in, and in the second moment of the kernel.
TOLERANCE = 2e-5


def reference(name, weights, gradients, **options):
    """The lectures' algorithms in float64; one gradient per step."""
    w = np.asarray(weights, "float64")
    zero = np.zeros_like(w)
    lr = options.get("learning_rate", 0.01 if name == "SGD" else 0.001)
    epsilon = options.get("epsilon", 1e-7)
    momentum = options.get("momentum", 0.0)
    m, v, v_max = zero, zero, zero
    s = zero + options.get("initial_accumulator_value", 0.1)
    decay = options.get("weight_decay", 0.004 if name == "AdamW" else 0)
    for t, g in enumerate(np.asarray(gradients, "float64"), start=1):
        w = w - lr * decay * w
        if name == "SGD":
            v = momentum * v - lr * g
            look_ahead = momentum * v - lr * g
            w = w + (look_ahead if options.get("nesterov") else v)
        elif name == "Adagrad":
            s = s + g**2
            if options.get("epsilon_inside_root", True):
                w = w - lr * g / np.sqrt(s + epsilon)
            else:
                w = w - lr * g / (np.sqrt(s) + epsilon)
        elif name == "RMSprop":
            rho = options.get("rho", 0.9)
            v = rho * v + (1 - rho) * g**2
            m = rho * m + (1 - rho) * g
            variance = v - m**2 if options.get("centered") else v
            variance = np.maximum(variance, 0)
            v_max = momentum * v_max + lr * g / np.sqrt(variance + epsilon)
            w = w - v_max
        else:
            b1, b2 = options.get("beta_1", 0.9), options.get("beta_2", 0.999)
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            v_max = np.maximum(v, v_max)
            second = v_max if options.get("amsgrad") else v
            if options.get("epsilon_hat", True):
                alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
                w = w - alpha * m / (np.sqrt(second) + epsilon)
            else:
                m_hat, v_hat = m / (1 - b1**t), second / (1 - b2**t)
                w = w - lr * m_hat / (np.sqrt(v_hat) + epsilon)
    return w


# All branches of all formulas.
KINDS = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "adagrad_from_0": ("Adagrad", {"initial_accumulator_value": 0.0}),
    "adagrad_no_epsilon": ("Adagrad", {"epsilon": 0.0}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_rho": ("RMSprop", {"rho": 0.5, "epsilon": 0.01}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.5}),
    "rmsprop_centered": ("RMSprop", {"centered": True}),
    "rmsprop_all": ("RMSprop", {"centered": True, "momentum": 0.5}),
    "adam": ("Adam", {}),
    "adam_betas": ("Adam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.01}),
    "adam_amsgrad": ("Adam", {"amsgrad": True}),
    "adamw": ("AdamW", {}),
    "adamw_amsgrad": ("AdamW", {"amsgrad": True, "weight_decay": 0.5}),
}
LECTURE_KINDS = {
    "adagrad_outside": (
        "Adagrad",
        {"epsilon": 0.1, "epsilon_inside_root": False},
    ),
    "adam_algorithm_1": ("Adam", {"epsilon": 0.1, "epsilon_hat": False}),
    "adamw_algorithm_2": (
        "AdamW",
        {"epsilon": 0.1, "epsilon_hat": False, "weight_decay": 0.5},
    ),
    "sgd_decay": ("SGD", {"weight_decay": 0.5}),
}
# One of each, for tests of the base class.
ONE_OF_EACH = ("momentum", "adagrad", "rmsprop", "adam", "adamw")
# Options of the base class.
BASE = {
    "weight_decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "ema": {"use_ema": True, "ema_momentum": 0.5},
    "ema_overwrite": {"use_ema": True, "ema_overwrite_frequency": 3},
    "loss_scale": {"loss_scale_factor": 8.0},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation_clip_ema": {
        "gradient_accumulation_steps": 2,
        "clipnorm": 0.5,
        "use_ema": True,
        "ema_overwrite_frequency": 2,
        "weight_decay": 0.1,
    },
    "schedule": {
        "learning_rate": keras.optimizers.schedules.ExponentialDecay(
            0.1, 2, 0.5
        )
    },
    "callable": {"learning_rate": lambda: 0.02},
}

each_kind = pytest.mark.parametrize("kind", KINDS)
one_of_each = pytest.mark.parametrize("kind", ONE_OF_EACH)
# Conditions in eager JAX are slow, and all optimizers share their code.
for_base_options = pytest.mark.parametrize(
    "kind", ("adagrad",) if BACKEND == "jax" else ONE_OF_EACH
)


def ours_and_builtin(kind, **options):
    name, own = KINDS[kind]
    options = {"learning_rate": 0.01} | own | options
    ours = getattr(optimizers, name)(**options)
    builtin = getattr(keras.optimizers, name)(**options)
    assert isinstance(ours, getattr(keras.optimizers, name))
    return ours, builtin


def train(optimizer, weights, gradients, dtype="float32"):
    """Apply each row of gradients; returns variables and state."""
    variables = [
        keras.Variable(w, dtype=dtype, name=f"w{i}")
        for i, w in enumerate(weights)
    ]
    optimizer.build(variables)
    for row in gradients:
        row = [ops.convert_to_tensor(g, dtype) for g in row]
        optimizer.apply(row, variables)
    return variables, optimizer.variables


def problem(rng, steps=7, shapes=((5, 3), (3,), (), (2, 2, 3))):
    weights = [rng.normal(size=shape) for shape in shapes]
    gradients = [
        [
            rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2)
            for shape in shapes
        ]
        for _ in range(steps)
    ]
    return weights, gradients


def assert_same(ours, builtin, learning_rate=0.01):
    """Compare variables relative to their steps, and then the state."""
    for a, b in zip(ours[0], builtin[0], strict=True):
        atol = 10 * TOLERANCE * learning_rate
        np.testing.assert_allclose(numpy64(a), numpy64(b), 1e-6, atol)
    for a, b in zip(ours[1], builtin[1], strict=True):
        np.testing.assert_allclose(numpy64(a), numpy64(b), TOLERANCE, 1e-6)


def small_model(optimizer, dtype=None, **compile_options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="tanh", dtype=dtype, name="a"),
            keras.layers.Dense(2, dtype=dtype, name="b"),
        ]
    )
    model.compile(optimizer, "mse", **compile_options)
    return model


def data(rng, n=32):
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, np.stack([x.sum(1), x[:, 0] * x[:, 1]], 1)


# The formula

ALL_KINDS = KINDS | LECTURE_KINDS


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(
    kind=st.sampled_from(sorted(ALL_KINDS)),
    shape=st.sampled_from([(), (3,), (0, 2), (2, 3), (2, 1, 3)]),
    steps=st.integers(1, 6),
    # Exact in float32, the dtype in which the optimizer keeps it.
    learning_rate=st.sampled_from([2.0**-10, 0.125]),
    seed=st.integers(0, 2**16),
)
def test_reference(kind, shape, steps, learning_rate, seed):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=shape)
    gradients = rng.normal(size=(steps, *shape))
    name, options = ALL_KINDS[kind]
    options = options | {"learning_rate": learning_rate}
    if name == "Adagrad":  # Keras's initializer also uses float32.
        options = {"initial_accumulator_value": 0.125} | options
    expected = reference(name, w, gradients, **options)
    make = getattr(optimizers, name)
    variables, _ = train(make(**options), [w], gradients[:, None])
    # A variance that is a small difference loses digits.
    loss = 100 if options.get("centered") else 1
    np.testing.assert_allclose(
        numpy64(variables[0]),
        expected,
        rtol=1e-6 * loss,
        atol=10 * TOLERANCE * learning_rate * loss,
    )
    with float64():
        variables, _ = train(
            make(**options), [w], gradients[:, None], "float64"
        )
        assert variables[0].dtype == "float64"
        result = ops.convert_to_numpy(variables[0].value)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-11)


@pytest.fixture(autouse=True)
def fused_and_other_kernels(monkeypatch):
    """Let PyTorch update small tensors in one way, others in the other."""
    if keras.config.backend() == "torch":
        from keras_ext.optimizers import _torch_groups

        monkeypatch.setattr(_torch_groups, "_LARGE", 6)


@pytest.mark.parametrize(
    ("kind", "trajectory"),
    [
        ("sgd", [0.8, 0.64, 0.512, 0.4096]),
        ("momentum", [0.8, 0.46, 0.062, -0.3086]),
        ("nesterov", [0.62, 0.2224, -0.108352, -0.324823]),
    ],
)
def test_by_hand(kind, trajectory):
    # The slope of w**2 from w = 1.
    optimizer, _ = ours_and_builtin(kind, learning_rate=0.1)
    w = keras.Variable(1.0)
    for expected in trajectory:
        optimizer.apply([2 * ops.convert_to_tensor(w)], [w])
        assert float(numpy64(w)) == pytest.approx(expected, abs=1e-5)


LEARNING_RATES = {
    "sgd": 0.1,
    "momentum": 0.05,
    "nesterov": 0.05,
    "adagrad": 1.0,
    "adagrad_from_0": 1.0,
    "adagrad_outside": 1.0,
    "rmsprop": 0.02,
    "rmsprop_momentum": 0.01,
    "adam": 0.1,
    "adam_amsgrad": 0.1,
    "adamw": 0.1,
    "adam_algorithm_1": 0.1,
}


@pytest.mark.parametrize("kind", LEARNING_RATES)
def test_convergence(kind):
    # A bowl that is ten times steeper in one direction.
    steep = ops.convert_to_tensor([1.0, 10.0])
    target = ops.convert_to_tensor([1.0, -2.0])
    name, options = ALL_KINDS[kind]
    options = options | {"learning_rate": LEARNING_RATES[kind]}
    optimizer = getattr(optimizers, name)(**options)
    w = keras.Variable([4.0, 3.0], dtype="float32")
    optimizer.build([w])

    def step():
        slope = steep * (ops.stop_gradient(w.value) - target)
        optimizer.apply([slope], [w])

    if BACKEND == "tensorflow":
        import tensorflow as tf

        step = tf.function(step)
    for _ in range(300):
        step()
    np.testing.assert_allclose(numpy64(w), numpy64(target), atol=0.05)


# The built-in


@each_kind
def test_builtin(rng, kind):
    ours, builtin = ours_and_builtin(kind)
    setting = problem(rng)
    results = train(ours, *setting), train(builtin, *setting)
    assert_same(*results)
    names = [[v.name for v in o.variables] for o in (ours, builtin)]
    assert names[0] == names[1]


@pytest.mark.parametrize("options", BASE.values(), ids=BASE)
@for_base_options
def test_base_options(rng, kind, options):
    ours, builtin = ours_and_builtin(kind, **options)
    setting = problem(rng, shapes=((5, 3), (3,)))
    results = train(ours, *setting), train(builtin, *setting)
    assert_same(*results)
    names = [[v.name for v in o.variables] for o in (ours, builtin)]
    assert names[0] == names[1]
    # `fit` does this at its end.
    ours.finalize_variable_values(results[0][0])
    builtin.finalize_variable_values(results[1][0])
    assert_same(*results)


@one_of_each
def test_weight_decay_with_exclusions(kind):
    def run(optimizer):
        weights, gradients = problem(np.random.default_rng(3))
        variables = [
            keras.Variable(w, dtype="float32", name=name)
            for w, name in zip(weights, ["k", "bias", "s", "c"], strict=True)
        ]
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(variables)
        for row in gradients:
            optimizer.apply(
                [ops.convert_to_tensor(g, "float32") for g in row], variables
            )
        return variables, optimizer.variables

    assert_same(*map(run, ours_and_builtin(kind, weight_decay=0.1)))


@one_of_each
def test_learning_rate_that_is_set_from_outside(rng, kind):
    setting = problem(rng)

    def run(optimizer):
        variables, state = train(optimizer, *setting)
        optimizer.learning_rate = 0.02
        row = [ops.convert_to_tensor(g, "float32") for g in setting[1][0]]
        optimizer.apply(row, variables)
        return variables, state

    assert_same(*map(run, ours_and_builtin(kind)))


@one_of_each
def test_variables_without_a_gradient(rng, kind):
    weights, gradients = problem(rng)
    gradients = [[*row[:2], None, row[3]] for row in gradients]

    def run(optimizer):
        variables = [keras.Variable(w, dtype="float32") for w in weights]
        optimizer.build(variables)
        for row in gradients:
            row = [
                g if g is None else ops.convert_to_tensor(g, "float32")
                for g in row
            ]
            with pytest.warns(UserWarning, match="Gradients do not exist"):
                optimizer.apply(row, variables)
        return variables, optimizer.variables

    assert_same(*map(run, ours_and_builtin(kind)))


@one_of_each
def test_variables_of_several_dtypes(rng, kind):
    weights, gradients = problem(rng)
    dtypes = ["float32", "float16", "float32", "bfloat16"]
    ours, _ = ours_and_builtin(kind)
    variables = [
        keras.Variable(w, dtype=dtype)
        for w, dtype in zip(weights, dtypes, strict=True)
    ]
    ours.build(variables)
    for row in gradients:
        ours.apply(
            [
                ops.convert_to_tensor(g, dtype)
                for g, dtype in zip(row, dtypes, strict=True)
            ],
            variables,
        )
    name, options = KINDS[kind]
    for variable, w, *g in zip(variables, weights, *gradients, strict=True):
        expected = reference(name, w, g, **options, learning_rate=0.01)
        tolerance = 1e-5 if variable.dtype == "float32" else 3e-2
        np.testing.assert_allclose(
            numpy64(variable), expected, tolerance, tolerance
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_half_precision_variables_learn(rng, dtype, kind):
    w = rng.normal(size=(4, 3))
    gradients = rng.normal(size=(5, 4, 3)) + 0.5
    name, options = ALL_KINDS[kind]
    options = options | {"learning_rate": 0.1}
    if options.get("centered"):
        options["epsilon"] = 0.1  # Else the variance of one step is rounding.
    variables, _ = train(
        getattr(optimizers, name)(**options), [w], gradients[:, None], dtype
    )
    assert variables[0].dtype == dtype
    expected = reference(name, w, gradients, **options)
    tolerance = 0.01 if dtype == "float16" else 0.06
    np.testing.assert_allclose(
        numpy64(variables[0]), expected, tolerance, tolerance
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@one_of_each
def test_fit_as_the_builtin(rng, kind, jit_compile):
    if jit_compile and BACKEND == "torch":
        pytest.skip("compiles for a minute; see test_torch_compile")
    if not jit_compile and BACKEND == "jax" and kind != "adam":
        pytest.skip("eager JAX is slow, and the formula is the same")
    x, y = data(rng)
    models = [
        small_model(optimizer, jit_compile=jit_compile)
        for optimizer in ours_and_builtin(kind)
    ]
    for model in models:
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@one_of_each
def test_mixed_float16(rng, kind):
    # `compile` wraps the optimizer in one that scales the loss.
    x, y = data(rng)
    models = [small_model(o, "mixed_float16") for o in ours_and_builtin(kind)]
    wrapped = models[0].optimizer
    if isinstance(wrapped, keras.optimizers.LossScaleOptimizer):
        wrapped = wrapped.inner_optimizer
    assert type(wrapped).__module__.startswith("keras_ext.")
    for model in models:
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)


@pytest.mark.backend("tensorflow", "torch")  # JAX has it only within `fit`.
@one_of_each
def test_loss_scaling_skips_what_is_not_finite(kind):
    ours, _ = ours_and_builtin(kind, learning_rate=0.1)
    optimizer = keras.optimizers.LossScaleOptimizer(ours, initial_scale=4.0)
    w = keras.Variable([1.0])
    optimizer.build([w])
    optimizer.apply([ops.convert_to_tensor([np.inf])], [w])
    assert numpy64(w).tolist() == [1]
    optimizer.apply([ops.convert_to_tensor([4.0])], [w])
    assert numpy64(w)[0] < 0.99


# Use as a drop-in


@one_of_each
def test_subclass_with_its_own_update_step(kind):
    name, options = KINDS[kind]

    class PerLayerRate(getattr(optimizers, name)):
        """A user's subclass: the first variable learns ten times faster."""

        def update_step(self, gradient, variable, learning_rate):
            if self._get_variable_index(variable) == 0:
                learning_rate = learning_rate * 10
            super().update_step(gradient, variable, learning_rate)

    variables, _ = train(
        PerLayerRate(0.01, **options), [[0.0]] * 3, [[[1.0]] * 3]
    )
    first, *others = [-float(numpy64(v)[0]) for v in variables]
    assert others == pytest.approx([first / 10] * 2, rel=1e-3)
    assert first > 0


@one_of_each
def test_nothing_is_left_after_a_step(kind):
    optimizer, _ = ours_and_builtin(kind)
    before = None
    variables = [keras.Variable([1.0])]
    for _ in range(2):
        optimizer.apply([ops.convert_to_tensor([1.0])], variables)
        after = set(vars(optimizer)), len(optimizer.variables)
        assert before in (None, after)
        before = after


@pytest.mark.backend("jax", "torch")
@one_of_each
def test_stateless_apply(rng, kind):
    weights, gradients = problem(rng, steps=1)

    def run(optimizer):
        variables = [keras.Variable(w, dtype="float32") for w in weights]
        optimizer.build(variables)
        row = [ops.convert_to_tensor(g, "float32") for g in gradients[0]]
        return optimizer.stateless_apply(
            [ops.copy(v.value) for v in optimizer.variables],
            row,
            [ops.copy(v.value) for v in variables],
        )

    no_gradient = contextlib.nullcontext()
    if BACKEND == "torch":
        import torch

        no_gradient = torch.no_grad()
    with no_gradient:
        assert_same(*map(run, ours_and_builtin(kind)))


# State


def continue_training(model, x, y):
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize(
    "kind", ["momentum", "adagrad", "rmsprop_all", "adam_amsgrad", "adamw"]
)
def test_state_goes_on_in_the_other(rng, tmp_path, kind, ours_first):
    x, y = data(rng)
    pair, again = ours_and_builtin(kind), ours_and_builtin(kind)
    first = small_model(pair[not ours_first])
    continue_training(first, x, y)
    first.save_weights(tmp_path / "all.weights.h5")
    expected = continue_training(first, x, y)

    second = small_model(again[ours_first])
    second.optimizer.build(second.trainable_variables)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Skipped state would warn.
        second.load_weights(tmp_path / "all.weights.h5")
    assert int(numpy64(second.optimizer.iterations)) == 4
    for a, b in zip(continue_training(second, x, y), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


GO_ON = """
import sys
import keras
import numpy as np

model_path, data_path, out_path, config_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
data = np.load(data_path)
model.fit(
    data["x"], data["y"], batch_size=8, epochs=1, shuffle=False, verbose=0
)
np.savez(out_path, *model.get_weights())
assert type(model.optimizer).__module__.startswith("keras_ext.optimizers.")
assert str(model.optimizer.get_config()) == open(config_path).read()
"""


@pytest.mark.parametrize(
    "kind",
    ["nesterov", "rmsprop_all", "adagrad_outside", "adamw_algorithm_2"],
)
def test_save_load_and_go_on_in_a_new_process(rng, tmp_path, kind):
    x, y = data(rng)
    name, options = ALL_KINDS[kind]
    model = small_model(getattr(optimizers, name)(0.01, **options))
    continue_training(model, x, y)
    names = ("model.keras", "data.npz", "w.npz", "config.txt")
    paths = [tmp_path / n for n in names]
    model.save(paths[0])
    np.savez(paths[1], x=x, y=y)
    paths[3].write_text(str(model.optimizer.get_config()))
    run_in_loader(GO_ON, *paths)
    expected = continue_training(model, x, y)
    again = np.load(paths[2])
    for i, weight in enumerate(expected):
        np.testing.assert_allclose(again[f"arr_{i}"], weight, rtol=1e-5)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_config_round_trip(kind):
    name, options = ALL_KINDS[kind]
    options = options | BASE["accumulation_clip_ema"] | {"name": "mine"}
    optimizer = getattr(optimizers, name)(0.01, **options)
    config = keras.optimizers.serialize(optimizer)
    assert config["registered_name"] == f"keras_ext>{name}"
    again = keras.optimizers.deserialize(config)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    for key, value in options.items():
        assert optimizer.get_config()[key] == value
    builtin = getattr(keras.optimizers, name)().get_config()
    assert set(builtin) <= set(optimizer.get_config())


def test_schedule_in_the_config():
    for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW"):
        optimizer = getattr(optimizers, name)(**BASE["schedule"])
        again = type(optimizer).from_config(optimizer.get_config())
        assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 1.5}),
        ("SGD", {"momentum": -0.1}),
        ("SGD", {"momentum": 1}),  # Also an error in the built-in.
        ("Adagrad", {"initial_accumulator_value": -0.1}),
        ("Adagrad", {"epsilon": -1e-7}),
        ("Adagrad", {"epsilon_inside_root": "no"}),
        ("RMSprop", {"rho": 1.5}),
        ("RMSprop", {"momentum": -0.5}),
        ("RMSprop", {"epsilon": -1e-7}),
        ("Adam", {"beta_1": 1.0}),
        ("Adam", {"beta_2": -0.1}),
        ("Adam", {"epsilon": -1e-7}),
        ("Adam", {"epsilon_hat": "no"}),
        ("Adam", {"gradient_accumulation_steps": 1}),
        ("AdamW", {"beta_1": 1.0}),
        ("AdamW", {"weight_decay": None}),
    ],
    ids=str,
)
def test_bad_argument(name, options):
    ((argument, value),) = options.items()
    message = rf"`{argument}` must be .* Received: {argument}={value}"
    with pytest.raises(ValueError, match=message):
        getattr(optimizers, name)(**options)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_unknown_argument(name):
    with pytest.raises(ValueError, match="speed"):
        getattr(optimizers, name)(speed=0.9)


# TensorFlow


def sparse_training(optimizer, jit_compile=False):
    """Train an embedding; an index occurs twice in a batch."""
    import tensorflow as tf

    x = np.array([[0, 3, 3, 7], [1, 0, 0, 7]])
    table = keras.Variable(
        np.linspace(-1, 1, 24).reshape(8, 3), dtype="float32"
    )
    kernel = keras.Variable(np.ones((3, 1)), dtype="float32")
    variables = [table, kernel]
    optimizer.build(variables)
    kinds = []

    @tf.function(jit_compile=jit_compile)
    def step(indices):
        with tf.GradientTape() as tape:
            rows = tf.gather(table.value, indices)
            loss = tf.reduce_mean((rows @ kernel.value - 1.0) ** 2)
        grads = tape.gradient(loss, [v.value for v in variables])
        kinds.append(type(grads[0]))
        optimizer.apply(grads, variables)

    for indices in (x, x[:, ::-1], x):
        step(tf.constant(indices))
    assert set(kinds) == {tf.IndexedSlices}
    return variables, optimizer.variables


@pytest.mark.backend("tensorflow")
@each_kind
def test_sparse_gradients(kind):
    pair = ours_and_builtin(kind, learning_rate=0.1)
    assert_same(*map(sparse_training, pair), learning_rate=0.1)


@pytest.mark.backend("tensorflow")
# Keras does not divide sparse gradients, so no `loss_scale`.
@pytest.mark.parametrize("base", sorted({*BASE} - {"loss_scale"}))
def test_sparse_gradients_and_base_options(base):
    for kind in ("adam", "adagrad"):
        options = {"learning_rate": 0.1} | BASE[base]
        pair = ours_and_builtin(kind, **options)
        assert_same(*map(sparse_training, pair), learning_rate=0.1)


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("kind", [*ONE_OF_EACH, "adam_amsgrad"])
def test_sparse_gradients_under_xla(kind):
    ours, builtin = (
        sparse_training(optimizer, jit_compile=True)
        for optimizer in ours_and_builtin(kind, learning_rate=0.1)
    )
    assert_same(ours, builtin, learning_rate=0.1)


# Large enough not to use the formula of small variables.
LARGE = ((300, 300), (70_000,), (7,))


@pytest.mark.backend("tensorflow", "torch")
@pytest.mark.parametrize("how", ["eager", "graph", "xla", "cond"])
@pytest.mark.parametrize(
    "kind", [*ONE_OF_EACH, "nesterov", "rmsprop_momentum", "adagrad_from_0"]
)
def test_large_variables(rng, kind, how):
    if BACKEND == "torch" and how != "eager":
        pytest.skip("PyTorch is eager")
    setting = problem(rng, steps=3, shapes=LARGE)
    options = {"gradient_accumulation_steps": 3} if how == "cond" else {}

    def run(optimizer):
        variables = [keras.Variable(w, dtype="float32") for w in setting[0]]
        optimizer.build(variables)

        def step(*grads):
            optimizer.apply(list(grads), variables)

        if how != "eager":
            import tensorflow as tf

            step = tf.function(step, jit_compile=how == "xla")
        for row in setting[1]:
            step(*[ops.convert_to_tensor(g, "float32") for g in row])
        return variables, optimizer.variables

    assert_same(*map(run, ours_and_builtin(kind, **options)))


TWO_DEVICES = """
import keras
import numpy as np
import tensorflow as tf

import keras_ext

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2


def train(module, name, dtype=None, without=None, **options):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="int32"),
                keras.layers.Embedding(20, 100),
                keras.layers.Flatten(),
                keras.layers.Dense(300, dtype=dtype),
                keras.layers.Dense(1, dtype=dtype),
            ]
        )
        optimizer = getattr(module.optimizers, name)(0.01, **options)
        optimizer.exclude_from_weight_decay(var_names=without)
        model.compile(optimizer, "mse")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, (32, 3))
    y = x.sum(axis=1, keepdims=True) / 30
    model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


for name, options, tolerance in (
    ("SGD", {"momentum": 0.5, "nesterov": True}, 1e-5),
    ("Adagrad", {}, 1e-5),
    ("RMSprop", {}, 1e-4),
    ("Adam", {"clipnorm": 0.1, "weight_decay": 0.1, "use_ema": True}, 1e-4),
    ("AdamW", {"weight_decay": 1.0, "without": ["bias"]}, 1e-4),
    ("Adam", {"dtype": "mixed_float16"}, 1e-2),
):
    ours = train(keras_ext, name, **options)
    builtin = train(keras, name, **options)
    for a, b in zip(ours, builtin, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)
    print("same", name, options)
"""


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
def test_mirrored_strategy_on_two_devices():
    # An embedding's sparse gradients, a large kernel's and small dense ones.
    assert run_python(TWO_DEVICES).count("same") == 6


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(
    ("kind", "shape", "kernel"),
    [
        ("sgd", (3,), "GradientDescent"),
        ("nesterov", (3,), "KerasMomentum"),
        ("adagrad", (3,), "GradientDescent"),
        ("adagrad_no_epsilon", (3,), "AdagradV2"),
        ("rmsprop", (3,), "GradientDescent"),
        ("rmsprop", (5000,), "RMSProp"),
        ("rmsprop_momentum", (3,), "RMSProp"),
        ("adam", (9000,), "Adam"),
    ],
)
def test_tensorflow_takes_one_kernel_per_variable(kind, shape, kernel):
    import tensorflow as tf

    variables = [keras.Variable(np.ones(shape)) for _ in range(4)]
    optimizer, _ = ours_and_builtin(kind)
    optimizer.build(variables)
    step = tf.function(lambda grads: optimizer.apply(grads, variables))
    grads = [tf.ones(shape)] * 4
    graph = step.get_concrete_function(grads).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count(f"ResourceApply{kernel}") == 4


# PyTorch


@pytest.mark.backend("torch")
@pytest.mark.parametrize("kind", [*ONE_OF_EACH, "nesterov", "adam_amsgrad"])
@pytest.mark.parametrize("transposed", ["gradient", "variable", "both"])
def test_torch_memory_layouts(rng, kind, transposed):
    # Fused kernels ignore strides.
    import torch

    w, g = rng.normal(size=(2, 200, 150))
    w_tensor, g_tensor = torch.tensor(w).float(), torch.tensor(g).float()
    if transposed != "variable":
        g_tensor = g_tensor.t().contiguous().t()
    variable = keras.Variable(w_tensor)
    if transposed != "gradient":
        variable.value.data = w_tensor.t().contiguous().t()
        assert not variable.value.is_contiguous()
    optimizer, _ = ours_and_builtin(kind, learning_rate=0.1)
    optimizer.apply([g_tensor], [variable])
    name, options = KINDS[kind]
    expected = reference(name, w, [g], **options, learning_rate=0.1)
    np.testing.assert_allclose(numpy64(variable), expected, 1e-6, 4e-6)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("kind", [*ONE_OF_EACH, "sgd", "nesterov"])
def test_torch_compile(rng, kind):
    import torch

    setting = problem(rng, steps=1)
    variables = [keras.Variable(w, dtype="float32") for w in setting[0]]
    optimizer, builtin = ours_and_builtin(kind)
    optimizer.build(variables)
    grads = [ops.convert_to_tensor(g, "float32") for g in setting[1][0]]

    @torch.compile(backend="aot_eager")
    def step(grads):
        with torch.no_grad():
            optimizer.apply(grads, variables)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step(grads)
    assert_same((variables, optimizer.variables), train(builtin, *setting))


@pytest.mark.skipif(BACKEND != "jax", reason="XLA tells JAX what it does")
@pytest.mark.parametrize("kind", KINDS)
def test_xla_moves_no_more_than_for_the_builtin(kind):
    import jax

    name, options = KINDS[kind]
    moved = []
    for module in (optimizers, keras.optimizers):
        weights = [keras.Variable(np.ones(2000, "float32")) for _ in range(5)]
        optimizer = getattr(module, name)(**options)
        optimizer.build(weights)
        update = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
        state = [variable.value for variable in optimizer.variables]
        values = [weight.value for weight in weights]
        program = update.lower(state, values, values).compile()
        moved.append(program.cost_analysis()["bytes accessed"])
    assert 0 < moved[0] <= moved[1]
