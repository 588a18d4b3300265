"""What is particular to JAX: tracers, programs, state outside the model."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from tests.fresh_process import run_python
from tests.monitored_models import LAYERS, compiled, data, mlp, state

pytestmark = pytest.mark.backend("jax")


def monitors(n=1):
    return [
        callbacks.GradientNormLogger(every_n_steps=n),
        callbacks.DeadReLULogger(every_n_steps=n),
    ]


def fitted(build, chain, optimizer=None, **options):
    x, y = data(samples=24)
    model = compiled(build, optimizer, **options)
    model.fit(x, y, batch_size=8, shuffle=False, callbacks=chain, verbose=0)
    return model


def programs(first):
    """The number of steps that JAX compiled for the monitors of a fit."""
    return first._tap._functions._function._cache_size()


def relu_after(kernel, **kwargs):
    """A layer of one unit for each entry, all fed with the first input."""
    weights = np.zeros((6, len(kernel)))
    weights[0] = kernel
    return LAYERS.Dense(
        len(kernel),
        activation="relu",
        use_bias=False,
        kernel_initializer=lambda shape, dtype: keras.ops.cast(weights, dtype),
        **kwargs,
    )


def test_layers_that_nothing_is_differentiated_by_are_measured():
    x = np.abs(data(samples=8)[0])
    model = keras.Sequential(
        [
            keras.Input((6,)),
            relu_after([1, -1, -1, 1], name="frozen", trainable=False),
            LAYERS.Dense(2, "relu", kernel_initializer="ones", name="free"),
            LAYERS.Dense(3, "relu", kernel_initializer="ones", name="last"),
        ]
    )
    model.layers[-1].trainable = False
    model.compile("sgd", "mse")
    dead = callbacks.DeadReLULogger()
    model.fit(x, np.ones((8, 3)), callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/frozen"] == [0.5]
    assert {"dead_relu/free", "dead_relu/last"} < set(dead.epochs)


def test_a_gradient_in_the_loss_hides_nothing():
    import jax

    class Penalized(keras.Sequential):
        """With a penalty on the gradient by the inputs, as WGAN-GP has."""

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            def output(x):
                return keras.ops.sum(self(x))

            slope = jax.grad(output)(x)
            return keras.ops.mean(keras.ops.square(slope)) + 0 * y_pred[0, 0]

    model = Penalized(
        [keras.Input((6,)), relu_after([1, -1, 1], name="hidden")]
    )
    model.compile("sgd")
    dead = callbacks.DeadReLULogger()
    x = np.ones((8, 6))
    model.fit(x, np.ones((8, 3)), callbacks=[dead], verbose=0)
    np.testing.assert_allclose(dead.epochs["dead_relu/hidden"], [1 / 3])


@keras.saving.register_keras_serializable("test_jax_tap")
class Recomputed(LAYERS.Dense):
    def call(self, x):
        return keras.remat(super().call)(x)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: LAYERS.SimpleRNN(3, activation="relu", name="inner"),
        lambda: Recomputed(3, activation="relu", name="inner"),
    ],
    ids=["loop", "recomputed"],
)
def test_what_cannot_be_read_is_named_once_and_left_out(layer):
    x = np.ones((8, 5, 6))
    model = keras.Sequential(
        [
            keras.Input((5, 6)),
            LAYERS.Dense(6, activation="relu", name="outer"),
            layer(),
            LAYERS.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse")
    dead = callbacks.DeadReLULogger()
    y = np.ones(model.output_shape[1:])[None].repeat(8, 0)
    with pytest.warns(UserWarning, match="Not measured.*'inner'") as caught:
        model.fit(x, y, epochs=2, callbacks=[dead], verbose=0)
    assert len(caught) == 1
    assert "dead_relu/outer" in dead.epochs
    assert "dead_relu/inner" not in dead.epochs


def test_a_train_function_of_ones_own_is_left_alone():
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            super().make_train_function(force)

    model = compiled(lambda: Own(mlp().layers))
    x, y = data(samples=24)
    with pytest.warns(UserWarning, match="`make_train_function` of the model"):
        history = model.fit(x, y, callbacks=monitors(), verbose=0).history
    assert set(history) == {"loss", "accuracy"}


def test_one_trace_serves_every_step_and_every_fit():
    traces = []

    class Counted(keras.Sequential):
        def train_step(self, state, data):
            traces.append(1)
            return super().train_step(state, data)

    x, y = data(samples=24)
    model = compiled(lambda: Counted(mlp().layers))
    chain = monitors(n=2)
    for epochs in (1, 2):
        model.fit(x, y, batch_size=8, epochs=epochs, callbacks=chain, verbose=0)
    assert len(traces) == 1
    # The model's own function was not traced, and now it can be.
    model.fit(x, y, batch_size=8, verbose=0)
    model.fit(x, y, batch_size=8, callbacks=chain, verbose=0)
    assert len(traces) == 2


def test_gauges_of_different_rhythm():
    x, y = data(samples=48)
    chain = [
        callbacks.GradientNormLogger(every_n_steps=2),
        callbacks.DeadReLULogger(every_n_steps=3),
    ]
    compiled(mlp).fit(x, y, batch_size=8, callbacks=chain, verbose=0)
    norms, dead = chain
    assert norms.steps["step"].tolist() == [0, 2, 4]
    assert dead.steps["step"].tolist() == [0, 3]
    assert (norms.steps["grad_norm/out"] > 0).all()
    assert programs(norms) == 2


@pytest.mark.parametrize(
    "rhythms, number", [((1, 1), 1), ((1, 4), 2), ((2, 3), 2), ((4, 4), 2)]
)
def test_there_are_two_programs_at_most(rhythms, number):
    x, y = data(samples=64)
    chain = [
        callbacks.GradientNormLogger(every_n_steps=rhythms[0]),
        callbacks.DeadReLULogger(every_n_steps=rhythms[1]),
    ]
    compiled(mlp).fit(x, y, batch_size=8, callbacks=chain, verbose=0)
    assert programs(chain[0]) == number
    for monitor, n in zip(chain, rhythms, strict=True):
        assert monitor.steps["step"].tolist() == list(range(0, 8, n))


@pytest.mark.parametrize(
    "patience, soon, number",
    [(1000, 0, 1), (18, 0, 1), (17, 3, 2), (17, 50, 2), (5, 50, 2), (8, 50, 2)],
)
def test_the_second_program_waits(monkeypatch, patience, soon, number):
    from keras_ext.taps import jax as taps

    def fit(chain):
        x, y = data(samples=48)
        model = compiled(mlp)
        # 18 steps
        model.fit(x, y, batch_size=8, epochs=3, callbacks=chain, verbose=0)
        return chain, state(model)

    (at_once, _), wanted = fit(monitors(4))
    monkeypatch.setattr(taps, "PATIENCE", patience)
    monkeypatch.setattr(taps, "SOON", soon)
    monkeypatch.setattr(taps, "AHEAD", 2)
    (norms, dead), found = fit(monitors(4))
    assert programs(norms) == number
    assert norms.steps["step"].tolist() == [0, 4, 6, 10, 12, 16]
    for key, values in at_once.steps.items():
        np.testing.assert_allclose(norms.steps[key], values, rtol=1e-5)
    assert len(dead.epochs["dead_relu/global"]) == 3
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_second_program_comes_sooner_where_there_is_more_to_measure():
    from keras_ext.taps import jax as taps

    patience = [taps._patience(10**n) for n in range(10)]
    assert patience == sorted(patience, reverse=True)
    assert patience[0] > 3000 > patience[6] > patience[9]
    assert patience[9] > taps.AHEAD


def test_a_step_that_is_not_sampled_is_the_program_of_a_bare_one():
    import jax

    model = fitted(mlp, chain := monitors(n=4))
    functions = chain[0]._tap._functions
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
    )
    batch = tuple(array[:8] for array in data(samples=24))
    bare = jax.jit(model.train_step, donate_argnums=0).lower(state, batch)
    cost = bare.compile().cost_analysis()

    def cost_of(which):
        lowered = functions._function.lower(state, (batch, which))
        return lowered.compile().cost_analysis()

    assert cost_of(functions._always) == cost
    assert cost_of(functions._all)["flops"] > cost["flops"]


def test_a_tapped_function_sees_no_more_than_the_models_own():
    bare, chain = fitted(mlp, []), monitors()
    model = fitted(mlp, chain)
    for a, b in zip(state(bare), state(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert set(vars(model)) == set(vars(bare))
    assert set(vars(model.optimizer)) == set(vars(bare.optimizer))
    for owner in (model, model.optimizer, *model.layers):
        patched = {"train_step", "apply", "stateless_apply", "call"}
        assert not patched & set(vars(owner))


def test_a_loss_scale_is_divided_out_and_skipped_steps_are_seen():
    # The first of the scales overflows: 1e35 · 32768 is no float32.
    model = keras.Sequential([keras.Input((1,)), LAYERS.Dense(1)])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0))
    model.compile(optimizer, lambda y, p: y * p)
    y = np.array([[1e35], [1.0], [1.0]])
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    model.fit(
        np.ones((3, 1)),
        y,
        batch_size=1,
        shuffle=False,
        callbacks=[norms],
        verbose=0,
    )
    steps = norms.steps["grad_norm/global"]
    assert not np.isfinite(steps[0])
    np.testing.assert_allclose(steps[1:], np.sqrt(2), rtol=1e-6)
    assert "stateless_apply" not in vars(optimizer)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_norms_and_updates_at_every_magnitude(scale):
    from keras_ext.taps import jax_kernels as kernels

    rng = np.random.default_rng(0)
    shapes = [(3, 4), (3, 4), (200, 100), (200, 100), (), (0,)]
    arrays = [scale * rng.normal(size=s).astype("float32") for s in shapes]
    tensors = [keras.ops.convert_to_tensor(a) for a in arrays]
    exact = [np.linalg.norm(np.float64(a)) for a in arrays]

    pairs = [(t, None) for t in tensors] + [(None, None), (tensors[0], 4.0)]
    found = kernels.norms(pairs)
    np.testing.assert_allclose(found, [*exact, 0.0, exact[0] / 4], rtol=1e-5)
    assert kernels.norms([(None, None)]).tolist() == [0.0]

    moved = [(t, t * 1.5) for t in tensors]
    np.testing.assert_allclose(
        kernels.update_norms(moved),
        [*(0.5 * n for n in exact), *exact],
        rtol=1e-4,
    )


@pytest.mark.parametrize("entries", [4, 20_000])
def test_norms_of_every_magnitude_at_once(entries):
    from keras_ext.taps import jax_kernels as kernels

    values = [1e-40, 3e-30, 1e-13, 1e-3, 2.0, 1e15, 1e25, 1e36, 0.0, np.inf]
    arrays = [np.full(entries, value, "float32") for value in values]
    arrays[2][0] = 1e-20
    pairs = [(keras.ops.convert_to_tensor(a), None) for a in arrays]
    exact = [np.linalg.norm(np.float64(a)) for a in arrays]
    found = kernels.norms(pairs)
    # XLA takes for zero what is no normal number.
    np.testing.assert_allclose(found[1:], exact[1:], rtol=1e-5)
    assert found[0] in (0.0, np.float32(exact[0]))


def test_not_a_number_and_infinity_are_passed_on():
    from keras_ext.taps import jax_kernels as kernels

    entries = [[1.0, np.nan], [1.0, np.inf], [3.0, 4.0]]
    tensors = [keras.ops.convert_to_tensor(e, "float32") for e in entries]
    found = kernels.norms([(t, None) for t in tensors])
    np.testing.assert_allclose(found, [np.nan, np.inf, 5.0])
    fired = kernels.activity([([tensors[0][None]], 1)])
    assert fired.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("axis", [1, 3])
def test_activity_and_moments_over_all_uses(axis):
    from keras_ext.taps import jax_kernels as kernels

    rng = np.random.default_rng(0)
    uses = [rng.normal(size=s) for s in [(2, 4, 5, 4), (3, 4, 6, 4)]]
    uses = [np.float32(np.maximum(x, 0.0)) for x in uses]
    for x in uses:
        np.moveaxis(x, axis, 0)[2] = 0.0
    tensors = [keras.ops.convert_to_tensor(x) for x in uses]
    points = [(tensors, axis), (tensors[:1], axis), (tensors[1:], axis)]
    row = kernels.activity(points)
    last = [np.moveaxis(x, axis, -1).reshape(-1, 4) for x in uses]
    expected = [(x != 0).mean(0) for x in (np.concatenate(last), *last)]
    np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-5)
    assert (row == 0).tolist() == 3 * [False, False, True, False]
    entries = np.concatenate([x.ravel() for x in uses])
    zero = [(x == 0).mean() for x in (entries, *uses)]

    limits = [(tensors, None, None), (tensors, 0.0, None), (tensors, 0.0, 1.0)]
    row = kernels.moments(limits)
    means, deviations, saturated = np.split(np.array(row), 3)
    np.testing.assert_allclose(means, 3 * [entries.mean()], rtol=1e-5)
    np.testing.assert_allclose(deviations, 3 * [entries.std()], rtol=1e-5)
    high = (entries >= 1).mean()
    np.testing.assert_allclose(
        saturated, [0, zero[0], zero[0] + high], rtol=1e-5
    )


def test_rows_are_taken_in_blocks():
    from keras_ext.taps import Sampling
    from keras_ext.taps.jax import Store

    store = Store(Sampling(1), 1)
    assert not store.is_full(1) and not len(store.take()[0])
    store.write(np.zeros(50_000))
    assert not store.is_full(1)
    store.write(np.ones(50_000))
    assert store.is_full(2)
    index, rows = store.take()
    assert (index.tolist(), rows[:, 0].tolist()) == ([0, 1], [0.0, 1.0])
    assert not store.is_full(2) and not len(store.take()[0])


def test_the_state_of_a_step_is_not_looked_through():
    from keras_ext.taps.jax_state import Untracked, hidden, shown

    seen = []

    class Reader(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            state = vars(self._model)["_jax_state"]
            seen.append(type(state["trainable_variables"]))
            weight = self.model.trainable_weights[0]  # waits for the step
            seen.append(keras.ops.convert_to_numpy(weight))

    fitted(mlp, [*monitors(), Reader()])
    read, seen = seen, []
    fitted(mlp, [Reader()])
    assert set(read[::2]) == {Untracked}
    np.testing.assert_allclose(read[1::2], seen[1::2], rtol=1e-5)

    state = [1, 2], (3,), [], {"own": 4}
    arrays = hidden(state)
    assert [len(part) for part in arrays] == [2, 1, 0, 1]
    assert (list(arrays[0]), arrays[0][1], arrays[0][1:]) == ([1, 2], 2, [2])
    assert arrays[1] is state[1] and arrays[3] is state[3]
    assert shown(arrays) == state


SHARDED = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import keras, numpy as np
from keras_ext import callbacks

def logged():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6,)),
        keras.layers.Dense(8, activation="relu", name="hidden"),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6)), rng.integers(0, 3, 32)
    chain = [
        callbacks.GradientNormLogger(every_n_steps=2),
        callbacks.DeadReLULogger(every_n_steps=1),
    ]
    model.fit(x, y, batch_size=8, shuffle=False, callbacks=chain, verbose=0)
    kernel = model.trainable_variables[0].value
    return chain[0].steps | chain[1].steps, len(kernel.sharding.device_set)

alone, devices = logged()
assert devices == 1
keras.distribution.set_distribution(keras.distribution.DataParallel())
shared, devices = logged()
assert devices == 2
for key, values in alone.items():
    np.testing.assert_allclose(shared[key], values, rtol=1e-3, err_msg=key)
"""


def test_two_devices_give_the_norm_of_the_whole_gradient():
    run_python(SHARDED)
