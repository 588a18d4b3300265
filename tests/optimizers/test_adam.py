import contextlib
import warnings

import keras
import numpy as np
import pytest
from fresh_process import run_in_loader, run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numerics import EXAMPLES, float64, numpy64

from keras_ext.optimizers import Adam

# 1 - beta_2 is some 1e-5 off in float32: in the bias correction of the formula
# and of the built-in, and in the second moment of TensorFlow's kernel.
TOLERANCE = 2e-5


def reference(weights, gradients, **options):
    """Kingma and Ba's algorithm in float64; one gradient per step."""
    lr = options.get("learning_rate", 0.001)
    b1, b2 = options.get("beta_1", 0.9), options.get("beta_2", 0.999)
    epsilon = options.get("epsilon", 1e-7)
    w = np.asarray(weights, "float64")
    m, v, v_max = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(np.asarray(gradients, "float64"), start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        v_max = np.maximum(v, v_max)
        second = v_max if options.get("amsgrad") else v
        if options.get("epsilon_hat", True):
            alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
            w = w - alpha * m / (np.sqrt(second) + epsilon)
        else:
            m_hat = m / (1 - b1**t)
            v_hat = second / (1 - b2**t)
            w = w - lr * m_hat / (np.sqrt(v_hat) + epsilon)
    return w


def train(optimizer, weights, gradients, dtype="float32"):
    """Applies each row of gradients; returns variables and state."""
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
    """Compares variables to a share of their steps, and then the state."""
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


def test_by_hand():
    # In the first step m_hat = g and v_hat = g**2.
    variables, _ = train(
        Adam(0.1, epsilon=1.0, epsilon_hat=False), [[1.0, 2.0]], [[[1.0, -4.0]]]
    )
    np.testing.assert_allclose(numpy64(variables[0]), [0.95, 2.08], rtol=1e-6)
    # With epsilon hat: alpha = 0.1 * sqrt(0.001) / 0.1.
    variables, _ = train(Adam(0.1, epsilon=1.0), [[1.0]], [[[1.0]]])
    alpha = np.sqrt(0.001)
    expected = 1 - alpha * 0.1 / (np.sqrt(0.001) + 1)
    np.testing.assert_allclose(numpy64(variables[0]), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("epsilon_hat", "trajectory"),
    [
        (True, [0.961257411, 0.914589887, 0.863556992, 0.809784054]),
        (False, [0.904761905, 0.810110156, 0.716362193, 0.623886368]),
    ],
)
def test_golden_trajectory(epsilon_hat, trajectory):
    # The slope of w**2 from w = 1, with an epsilon that tells the forms apart.
    optimizer = Adam(0.1, epsilon=0.1, epsilon_hat=epsilon_hat)
    w = keras.Variable(1.0)
    for expected in trajectory:
        optimizer.apply([2 * ops.convert_to_tensor(w)], [w])
        assert float(numpy64(w)) == pytest.approx(expected, rel=1e-5)


options = st.fixed_dictionaries(
    {
        # Exact in float32, in which the optimizer keeps it.
        "learning_rate": st.sampled_from([2.0**-10, 0.125]),
        "beta_1": st.sampled_from([0.0, 0.5, 0.9]),
        "beta_2": st.sampled_from([0.5, 0.9, 0.999]),
        "epsilon": st.sampled_from([1e-8, 1e-7, 0.1]),
        "amsgrad": st.booleans(),
        "epsilon_hat": st.booleans(),
    }
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    steps=st.integers(1, 6),
    seed=st.integers(0, 2**16),
    options=options,
)
def test_reference(shape, steps, seed, options):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=shape)
    gradients = rng.normal(size=(steps, *shape))
    expected = reference(w, gradients, **options)
    variables, _ = train(Adam(**options), [w], gradients[:, None])
    np.testing.assert_allclose(
        numpy64(variables[0]),
        expected,
        rtol=1e-6,
        atol=10 * TOLERANCE * options["learning_rate"],
    )
    with float64():
        variables, _ = train(
            Adam(**options), [w], gradients[:, None], "float64"
        )
        assert variables[0].dtype == "float64"
        result = ops.convert_to_numpy(variables[0].value)
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-12)


# The built-in

OPTIONS = {
    "default": {},
    "betas": {"beta_1": 0.5, "beta_2": 0.9},
    "epsilon": {"epsilon": 0.01},
    "amsgrad": {"amsgrad": True},
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
        "amsgrad": True,
    },
    "schedule": {
        "learning_rate": keras.optimizers.schedules.ExponentialDecay(
            0.1, 2, 0.5
        )
    },
    "callable": {"learning_rate": lambda: 0.02},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_builtin(rng, options):
    options = {"learning_rate": 0.01} | options
    ours, builtin = Adam(**options), keras.optimizers.Adam(**options)
    assert isinstance(ours, keras.optimizers.Adam)
    setting = problem(rng)
    results = train(ours, *setting), train(builtin, *setting)
    assert_same(*results)
    assert [v.name for v in ours.variables] == [
        v.name for v in builtin.variables
    ]
    # What `fit` does at its end.
    ours.finalize_variable_values(results[0][0])
    builtin.finalize_variable_values(results[1][0])
    assert_same(*results)


def test_weight_decay_with_exclusions(rng):
    def run(optimizer):
        weights, gradients = problem(rng_state())
        variables = [
            keras.Variable(w, name=name)
            for w, name in zip(weights, ["k", "bias", "s", "c"], strict=True)
        ]
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(variables)
        for row in gradients:
            optimizer.apply(
                [ops.convert_to_tensor(g, "float32") for g in row], variables
            )
        return variables, optimizer.variables

    def rng_state():
        return np.random.default_rng(3)

    assert_same(
        run(Adam(0.01, weight_decay=0.1)),
        run(keras.optimizers.Adam(0.01, weight_decay=0.1)),
    )


def test_learning_rate_that_is_set_from_outside(rng):
    setting = problem(rng)

    def run(optimizer):
        variables, state = train(optimizer, *setting)
        optimizer.learning_rate = 0.02
        row = [ops.convert_to_tensor(g, "float32") for g in setting[1][0]]
        optimizer.apply(row, variables)
        return variables, state

    assert_same(run(Adam(0.01)), run(keras.optimizers.Adam(0.01)))


def test_variables_without_a_gradient(rng):
    weights, gradients = problem(rng)
    gradients = [[*row[:2], None, row[3]] for row in gradients]

    def run(optimizer):
        variables = [keras.Variable(w) for w in weights]
        optimizer.build(variables)
        for row in gradients:
            row = [
                g if g is None else ops.convert_to_tensor(g, "float32")
                for g in row
            ]
            with pytest.warns(UserWarning, match="Gradients do not exist"):
                optimizer.apply(row, variables)
        return variables, optimizer.variables

    assert_same(run(Adam(0.01)), run(keras.optimizers.Adam(0.01)))


def test_variables_of_several_dtypes(rng):
    weights, gradients = problem(rng)
    dtypes = ["float32", "float16", "float32", "bfloat16"]

    def run(optimizer):
        variables = [
            keras.Variable(w, dtype=dtype)
            for w, dtype in zip(weights, dtypes, strict=True)
        ]
        optimizer.build(variables)
        for row in gradients:
            optimizer.apply(
                [
                    ops.convert_to_tensor(g, dtype)
                    for g, dtype in zip(row, dtypes, strict=True)
                ],
                variables,
            )
        return variables

    for variable, w, *g in zip(
        run(Adam(0.01)), weights, *gradients, strict=True
    ):
        rtol = 1e-5 if variable.dtype == "float32" else 3e-2
        np.testing.assert_allclose(
            numpy64(variable), reference(w, g, learning_rate=0.01), rtol, rtol
        )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("epsilon_hat", [True, False])
def test_fit_as_the_builtin(rng, jit_compile, epsilon_hat):
    if jit_compile and keras.config.backend() == "torch":
        pytest.skip("compiles for a minute; see test_torch_compile")
    x, y = data(rng)
    options = {"jit_compile": jit_compile}
    ours = small_model(Adam(0.01, epsilon_hat=epsilon_hat), **options)
    builtin = small_model(keras.optimizers.Adam(0.01), **options)
    for model in (ours, builtin):
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    # An epsilon of 1e-7 is too small to tell the forms apart.
    rtol = 1e-4 if epsilon_hat else 1e-2
    for a, b in zip(ours.get_weights(), builtin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10)


def test_fit_with_everything(rng):
    x, y = data(rng)
    options = dict(
        learning_rate=keras.optimizers.schedules.CosineDecay(0.05, 30),
        gradient_accumulation_steps=2,
        global_clipnorm=1.0,
        weight_decay=0.01,
        use_ema=True,
        ema_overwrite_frequency=2,
    )
    ours = small_model(Adam(**options))
    builtin = small_model(keras.optimizers.Adam(**options))
    for model in (ours, builtin):
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), builtin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# Precision


def test_mixed_float16(rng):
    # `compile` wraps the optimizer into one that scales the loss.
    x, y = data(rng)
    ours = small_model(Adam(0.01), "mixed_float16")
    builtin = small_model(keras.optimizers.Adam(0.01), "mixed_float16")
    wrapped = ours.optimizer
    if isinstance(wrapped, keras.optimizers.LossScaleOptimizer):
        wrapped = wrapped.inner_optimizer
    assert isinstance(wrapped, Adam)
    for model in (ours, builtin):
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), builtin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)


@pytest.mark.backend("tensorflow", "torch")  # JAX has it only within `fit`.
def test_loss_scaling_skips_what_is_not_finite():
    optimizer = keras.optimizers.LossScaleOptimizer(
        Adam(0.1), initial_scale=4.0
    )
    w = keras.Variable([1.0])
    optimizer.build([w])
    optimizer.apply([ops.convert_to_tensor([np.inf])], [w])
    assert numpy64(w).tolist() == [1]
    optimizer.apply([ops.convert_to_tensor([4.0])], [w])
    assert numpy64(w)[0] == pytest.approx(0.9, rel=1e-5)


@pytest.mark.parametrize("epsilon_hat", [True, False])
@pytest.mark.parametrize("amsgrad", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_variables_learn(rng, dtype, amsgrad, epsilon_hat):
    w = rng.normal(size=(4, 3))
    gradients = rng.normal(size=(5, 4, 3)) + 0.5
    settings = {"learning_rate": 0.1, "amsgrad": amsgrad}
    settings["epsilon_hat"] = epsilon_hat
    variables, _ = train(Adam(**settings), [w], gradients[:, None], dtype)
    assert variables[0].dtype == dtype
    rtol = 0.01 if dtype == "float16" else 0.05
    np.testing.assert_allclose(
        numpy64(variables[0]), reference(w, gradients, **settings), rtol, rtol
    )


# What a drop-in has to survive


class PerLayerRate(Adam):
    """A person's subclass: the first variable learns ten times as fast."""

    def update_step(self, gradient, variable, learning_rate):
        if self._get_variable_index(variable) == 0:
            learning_rate = learning_rate * 10
        super().update_step(gradient, variable, learning_rate)


def test_subclass_with_its_own_update_step():
    variables, _ = train(
        PerLayerRate(0.01), [[1.0], [1.0], [1.0]], [[[1.0], [1.0], [1.0]]]
    )
    values = [float(numpy64(v)[0]) for v in variables]
    assert values == pytest.approx([0.9, 0.99, 0.99], abs=1e-5)


def test_nothing_is_left_after_a_step(rng):
    optimizer = Adam()
    before = None
    variables = [keras.Variable([1.0])]
    for _ in range(2):
        optimizer.apply([ops.convert_to_tensor([1.0])], variables)
        after = set(vars(optimizer)), len(optimizer.variables)
        assert before in (None, after)
        before = after


@pytest.mark.backend("jax", "torch")
def test_stateless_apply(rng):
    weights, gradients = problem(rng, steps=1)

    def run(optimizer):
        variables = [keras.Variable(w) for w in weights]
        optimizer.build(variables)
        row = [ops.convert_to_tensor(g, "float32") for g in gradients[0]]
        return optimizer.stateless_apply(
            [ops.copy(v.value) for v in optimizer.variables],
            row,
            [ops.copy(v.value) for v in variables],
        )

    no_gradient = contextlib.nullcontext()
    if keras.config.backend() == "torch":
        import torch

        no_gradient = torch.no_grad()
    with no_gradient:
        assert_same(run(Adam(0.1)), run(keras.optimizers.Adam(0.1)), 0.1)


# State


def continue_training(model, x, y):
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("ours_first", [True, False])
def test_state_goes_on_in_the_other(rng, tmp_path, ours_first, amsgrad):
    x, y = data(rng)
    classes = [Adam, keras.optimizers.Adam]
    if not ours_first:
        classes.reverse()
    first = small_model(classes[0](0.01, amsgrad=amsgrad))
    continue_training(first, x, y)
    first.save_weights(tmp_path / "all.weights.h5")
    store = {}
    first.optimizer.save_own_variables(store)
    expected = continue_training(first, x, y)

    by_file = small_model(classes[1](0.01, amsgrad=amsgrad))
    by_file.optimizer.build(by_file.trainable_variables)
    by_file.load_weights(tmp_path / "all.weights.h5")
    by_store = small_model(classes[1](0.01, amsgrad=amsgrad))
    by_store.optimizer.build(by_store.trainable_variables)
    by_store.load_weights(tmp_path / "all.weights.h5")
    by_store.optimizer.load_own_variables(store)
    for second in (by_file, by_store):
        assert int(numpy64(second.optimizer.iterations)) == 8
        for a, b in zip(continue_training(second, x, y), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


GO_ON = """
import sys
import keras
import numpy as np

model_path, data_path, out_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
data = np.load(data_path)
model.fit(
    data["x"], data["y"], batch_size=8, epochs=2, shuffle=False, verbose=0
)
np.savez(out_path, *model.get_weights())
optimizer = model.optimizer
assert type(optimizer).__module__ == "keras_ext.optimizers.adam"
assert optimizer.epsilon_hat is False
"""


def test_save_load_and_go_on_in_a_new_process(rng, tmp_path):
    x, y = data(rng)
    model = small_model(Adam(0.01, epsilon=0.1, epsilon_hat=False))
    continue_training(model, x, y)
    paths = [tmp_path / n for n in ("model.keras", "data.npz", "w.npz")]
    model.save(paths[0])
    np.savez(paths[1], x=x, y=y)
    run_in_loader(GO_ON, *paths)
    expected = continue_training(model, x, y)
    again = np.load(paths[2])
    for i, weight in enumerate(expected):
        np.testing.assert_allclose(again[f"arr_{i}"], weight, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_config_round_trip(options):
    if callable(options.get("learning_rate")) and not isinstance(
        options["learning_rate"],
        keras.optimizers.schedules.LearningRateSchedule,
    ):
        pytest.skip("Keras cannot serialize a lambda")
    optimizer = Adam(**options, epsilon_hat=False, name="mine")
    config = keras.optimizers.serialize(optimizer)
    assert config["registered_name"] == "keras_ext>Adam"
    again = keras.optimizers.deserialize(config)
    assert type(again) is Adam
    assert again.get_config() == optimizer.get_config()
    builtin = keras.optimizers.Adam(**options, name="mine").get_config()
    assert optimizer.get_config() == builtin | {"epsilon_hat": False}


@pytest.mark.parametrize(
    "options",
    [
        {"beta_1": 1.0},
        {"beta_2": -0.1},
        {"epsilon": -1e-7},
        {"epsilon_hat": "no"},
        {"gradient_accumulation_steps": 1},
    ],
    ids=str,
)
def test_bad_argument(options):
    ((name, value),) = options.items()
    message = rf"`{name}` must be .* Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        Adam(**options)


def test_unknown_argument():
    with pytest.raises(ValueError, match="momentum"):
        Adam(momentum=0.9)


# TensorFlow


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(
    ("name", "jit_compile"),
    # Keras divides no sparse gradients, so no `loss_scale`.
    [(name, False) for name in OPTIONS if name != "loss_scale"]
    + [("default", True), ("amsgrad", True)],
)
def test_sparse_gradients(name, jit_compile):
    import tensorflow as tf

    options = {"learning_rate": 0.1} | OPTIONS[name]
    x = np.array([[0, 3, 3, 7], [1, 0, 0, 7]])

    def run(optimizer):
        table = keras.Variable(np.linspace(-1, 1, 24).reshape(8, 3))
        kernel = keras.Variable(np.ones((3, 1)))
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

        for indices in (x, x[:, :2], x[:, ::-1]):
            step(tf.constant(indices))
        assert set(kinds) == {tf.IndexedSlices}
        return variables, optimizer.variables

    ours = run(Adam(**options))
    builtin = run(keras.optimizers.Adam(**options))
    assert_same(ours, builtin, learning_rate=0.1)


TWO_DEVICES = """
import sys
import keras
import numpy as np
import tensorflow as tf

import keras_ext

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2


def train(optimizer_class, dtype=None, **options):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="int32"),
                keras.layers.Embedding(20, 4),
                keras.layers.Flatten(),
                keras.layers.Dense(1, dtype=dtype),
            ]
        )
        model.compile(optimizer_class(0.01, **options), "mse")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, (64, 3))
    y = x.sum(axis=1, keepdims=True) / 30
    model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


for options, tolerance in (
    ({}, 1e-5),
    ({"clipnorm": 0.1, "weight_decay": 0.1, "use_ema": True}, 1e-5),
    ({"dtype": "mixed_float16"}, 1e-2),
):
    ours = train(keras_ext.optimizers.Adam, **options)
    builtin = train(keras.optimizers.Adam, **options)
    for a, b in zip(ours, builtin, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)
    print("same", options)
"""


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
def test_mirrored_strategy_on_two_devices():
    # An embedding's sparse gradients and a kernel's dense ones.
    assert run_python(TWO_DEVICES).count("same") == 3


@pytest.mark.backend("tensorflow")
def test_tensorflow_takes_one_kernel_per_variable():
    import tensorflow as tf

    variables = [keras.Variable(np.ones(3)) for _ in range(4)]
    optimizer = Adam()
    optimizer.build(variables)
    step = tf.function(lambda grads: optimizer.apply(grads, variables))
    grads = [tf.ones(3)] * 4
    graph = step.get_concrete_function(grads).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 4
    # The iteration, for the powers and for counting on, and the rate.
    assert kinds.count("ReadVariableOp") <= 4


# PyTorch


@pytest.mark.backend("torch")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_torch_without_the_fused_kernel(rng, monkeypatch, options):
    from keras_ext.optimizers import _torch

    options = {"learning_rate": 0.01} | options
    setting = problem(rng)
    for epsilon_hat in (True, False):
        fused = train(Adam(**options, epsilon_hat=epsilon_hat), *setting)
        with monkeypatch.context() as patch:
            patch.setattr(_torch, "_suits_fused", lambda *lists: False)
            each = train(Adam(**options, epsilon_hat=epsilon_hat), *setting)
        assert_same(fused, each)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("transposed", ["gradient", "variable", "both"])
def test_torch_memory_layouts(rng, transposed):
    # The fused kernel takes no notice of strides.
    import torch

    w, g = rng.normal(size=(2, 4, 3))
    w_tensor, g_tensor = torch.tensor(w).float(), torch.tensor(g).float()
    if transposed != "variable":
        g_tensor = g_tensor.t().contiguous().t()
    variable = keras.Variable(w_tensor)
    if transposed != "gradient":
        variable.value.data = w_tensor.t().contiguous().t()
        assert not variable.value.is_contiguous()
    Adam(0.1).apply([g_tensor], [variable])
    expected = reference(w, [g], learning_rate=0.1)
    np.testing.assert_allclose(numpy64(variable), expected, 1e-6, 2e-6)


@pytest.mark.backend("torch")
def test_torch_compile(rng):
    import torch

    setting = problem(rng, steps=1)
    variables = [keras.Variable(w) for w in setting[0]]
    optimizer = Adam(0.1)
    optimizer.build(variables)
    grads = [ops.convert_to_tensor(g, "float32") for g in setting[1][0]]

    @torch.compile(backend="aot_eager")
    def step(grads):
        with torch.no_grad():
            optimizer.apply(grads, variables)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step(grads)
    builtin = train(keras.optimizers.Adam(0.1), *setting)
    assert_same((variables, optimizer.variables), builtin, 0.1)


def test_fit(rng):
    x, y = data(rng, 128)
    model = small_model(Adam(0.05))
    loss = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]
