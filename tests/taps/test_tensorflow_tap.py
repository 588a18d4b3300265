"""What is TensorFlow's own in measuring: kernels, graphs and strategies."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from tests.fresh_process import run_python
from tests.monitored_models import LAYERS, compiled, data, mlp

pytestmark = pytest.mark.backend("tensorflow")

MODES = ["eagerly", "graph", "xla"]


@pytest.fixture(scope="module")
def kernels():
    from keras_ext.taps import tensorflow_kernels

    return tensorflow_kernels


def run(kernel, mode, points):
    """Call a kernel on arrays of an unknown number of examples."""
    import tensorflow as tf

    if mode == "eagerly":
        points = tf.nest.map_structure(tensor, points)
        return tf.nest.map_structure(np.array, kernel(points))
    function = tf.function(
        lambda *xs: kernel(tf.nest.pack_sequence_as(points, list(xs))),
        jit_compile=mode == "xla",
    )
    flat = [tensor(x) for x in tf.nest.flatten(points)]
    return tf.nest.map_structure(np.array, function(*flat))


def tensor(x):
    import tensorflow as tf

    return tf.constant(x) if isinstance(x, np.ndarray) else x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [1e-25, 1.0, 1e25])
def test_norms_of_tensors_large_and_small(kernels, mode, factor, rng):
    shapes = [(3,), (70, 9), (3,), (4, 2), (3,), (3,), (3,), ()]
    arrays = [rng.normal(size=shape) * factor for shape in shapes]
    arrays[2][:] = 0.0
    import tensorflow as tf

    def measure(gradients):
        points = [(g, None) for g in gradients]
        points.insert(1, (None, None))
        points[3] = points[3][0], tf.constant(2.0)
        return kernels.norms(points)

    result = run(measure, mode, [x.astype("float32") for x in arrays])
    expected = [np.linalg.norm(x) for x in arrays]
    expected[2] /= 2.0
    np.testing.assert_allclose(result, np.insert(expected, 1, 0.0), rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_norms_of_many_tensors_stand_in_their_order(kernels, mode, rng):
    arrays = [
        # The norm of one of them has to be taken anew.
        (rng.normal(size=shape) * (1e-25 if i == 80 else 1.0)).astype("float32")
        for i, shape in enumerate([(30, 30), (7,), (200, 100)] * 50)
    ]

    def measure(gradients):
        return kernels.norms([(g, None) for g in gradients])

    result = run(measure, mode, arrays)
    expected = [np.linalg.norm(x.astype("float64")) for x in arrays]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_norms_that_are_not_finite(kernels, mode):
    def measure(gradients):
        return kernels.norms([(g, None) for g in gradients])

    ones = np.ones(4, "float32")
    result = run(measure, mode, [ones, ones * np.nan, ones * np.inf])
    np.testing.assert_array_equal(result, [2.0, np.nan, np.inf])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "shapes",
    [
        [(6, 5), (6, 5)],
        [(6, 5), (6, 3), (4, 2, 5)],
        [(11, 20, 30, 4), (11, 3)],
    ],
    ids=["equal", "unequal", "large"],
)
def test_activity(kernels, mode, shapes, rng):
    arrays = []
    for shape in shapes:
        x = np.maximum(rng.normal(size=shape), 0.0).astype("float32")
        x[..., 1] = 0.0  # a dead unit
        x[:-1, ..., 2] = 0.0  # one that fires for the last example alone
        arrays.append(x)

    def measure(outputs):
        points = [([x], len(x.shape) - 1) for x in outputs]
        return kernels.activity(points)

    row = run(measure, mode, arrays)
    expected = np.concatenate(
        [(x != 0).mean(tuple(range(x.ndim - 1))) for x in arrays]
    )
    np.testing.assert_array_equal(row == 0, expected == 0)
    np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_all_zeros_of_a_large_layer_are_counted(kernels):
    x = np.ones((10, 128, 128, 1), "float32")
    x[:2] = 0.0
    row = run(lambda xs: kernels.activity([(xs, 3)]), "graph", [x])
    np.testing.assert_allclose(row, [0.8], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_channels_first_and_several_uses(kernels, mode):
    x = np.zeros((2, 3, 4, 4), "float32")
    x[0, 0], x[1, 2, 0, 0] = 1.0, 2.0
    y = np.zeros((5, 3, 2, 2), "float32")
    y[4, 1] = 1.0

    def measure(outputs):
        points = [(outputs, 1), (outputs[:1], 1)]
        return kernels.activity(points)

    row = run(measure, mode, [x, y])
    expected = [16 / 52, 4 / 52, 1 / 52, 16 / 32, 0, 1 / 32]
    np.testing.assert_allclose(row, expected, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_update_norms(kernels, mode):
    before = np.array([3.0, 4.0], "float32")
    row = run(
        lambda ws: kernels.update_norms([tuple(ws)]),
        mode,
        [before, before + np.float32(1.0)],
    )
    np.testing.assert_allclose(row, [np.sqrt(2.0), 5.0], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_moments(kernels, mode, dtype, rng):
    x = rng.uniform(-1, 1, (7, 3)).astype(dtype)
    y = rng.uniform(-1, 1, (2, 3)).astype(dtype)

    def measure(outputs):
        points = [(outputs, -0.5, 0.5), (outputs[:1], None, None)]
        return kernels.moments(points)

    row = run(measure, mode, [x, y])
    both = np.concatenate([x, y]).astype("float64")
    one = x.astype("float64")
    means, deviations = [both.mean(), one.mean()], [both.std(), one.std()]
    shares = [(np.abs(both) >= 0.5).mean(), 0.0]
    expected = means + deviations + shares
    np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)


def test_weights_before_a_step_are_those_before_it():
    # The optimizer overwrites the memory in which the weights lie.
    x, y = data(samples=32)
    model = compiled(mlp, keras.optimizers.SGD(0.5))
    before = {w.path: w.numpy() for w in model.trainable_weights}
    updates = callbacks.UpdateRatioLogger(every_n_steps=1)
    model.fit(x, y, batch_size=32, callbacks=[updates], verbose=0)
    layer = model.get_layer("out")
    old = [before[w.path] for w in layer.trainable_weights]
    moved = [
        w.numpy() - o for w, o in zip(layer.trainable_weights, old, strict=True)
    ]
    length, distance = (
        np.sqrt(sum(np.sum(np.square(w)) for w in ws)) for ws in (old, moved)
    )
    np.testing.assert_allclose(
        updates.steps["update_ratio/out"], [distance / length], rtol=1e-4
    )


class Counts(LAYERS.Dense):
    calls = 0

    def call(self, x):
        Counts.calls += 1
        return super().call(x)


def test_a_model_is_traced_once():
    def calls(chain):
        model = keras.Sequential([keras.Input((6,)), Counts(3)])
        model.compile("adam", "mse")
        Counts.calls = 0
        x, y = np.ones((32, 6)), np.ones((32, 3))
        model.fit(x, y, batch_size=8, callbacks=chain, verbose=0)
        return Counts.calls

    monitors = [
        callbacks.GradientNormLogger(every_n_steps=2),
        callbacks.DeadReLULogger(every_n_steps=3),
    ]
    assert calls(monitors) == 1 <= calls([])


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(use_ema=True),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
    ],
    ids=["adam", "scaled"],
)
def test_the_optimizer_has_the_variables_it_would_have(optimizer):
    def variables(chain):
        keras.utils.clear_session()  # names count from zero again
        x, y = data(samples=8)
        model = compiled(mlp, optimizer())
        model.fit(x, y, callbacks=chain, verbose=0)
        return [(v.path, v.dtype, v.shape) for v in model.optimizer.variables]

    assert variables([callbacks.GradientNormLogger()]) == variables([])


class TwoOptimizers(keras.Model):
    """Each of two layers has an optimizer of its own."""

    def __init__(self):
        super().__init__()
        self.a = LAYERS.Dense(4, activation="relu", name="a")
        self.b = LAYERS.Dense(1, name="b")
        self.second = keras.optimizers.SGD(0.0)

    def call(self, x):
        return self.b(self.a(x))

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
        for optimizer, layer in (
            (self.optimizer, self.a),
            (self.second, self.b),
        ):
            weights = layer.trainable_weights
            gradients = tape.gradient(loss, [w.value for w in weights])
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": loss}


def test_two_optimizers():
    import tensorflow as tf

    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    keras.utils.set_random_seed(1)
    model = TwoOptimizers()
    model.compile(keras.optimizers.Adam(0.0))
    norms = callbacks.GradientNormLogger()
    model.fit(x, y, callbacks=[norms], verbose=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(y - model(x)))
    weights = [w.value for w in model.trainable_weights]
    expected = tf.linalg.global_norm(tape.gradient(loss, weights))
    assert len(norms.steps["grad_norm/a"]) == 1
    np.testing.assert_allclose(
        norms.steps["grad_norm/global"], [expected], rtol=1e-4
    )
    # What it was built for is what its `train_step` gave it.
    assert len(model.second.variables) == len(keras.optimizers.SGD().variables)


MIRRORED = """
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, devices)
import contextlib
import keras, numpy as np
from keras_ext import callbacks

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rng = np.random.default_rng(0)
# The last batch is smaller. Keras weights replicas alike, so that unequal
# shares of a batch would train another model than one replica does.
x, y = rng.normal(size=(46, 4)), rng.normal(size=(46, 1))

def trained(scope, chain, optimizer=None, fit_in=None, **options):
    keras.utils.set_random_seed(0)
    with scope or contextlib.nullcontext():
        model = keras.Sequential([
            keras.Input((4,)),
            keras.layers.Dense(9, activation="relu", name="a"),
            keras.layers.Dense(1, name="b"),
        ])
        optimizer = optimizer or keras.optimizers.SGD(0.1)
        model.compile(optimizer, "mse", **options)
    with fit_in or contextlib.nullcontext():
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False,
                  callbacks=chain, verbose=0)
    assert "apply" not in vars(model.optimizer)
    relu = vars(model.layers[0])["activation"]
    assert relu is keras.activations.relu
    return [v.numpy() for v in model.variables]

def monitors():
    return [
        callbacks.GradientNormLogger(2),
        callbacks.DeadReLULogger(2),
        callbacks.UpdateRatioLogger(3),
    ]

alone = monitors()
trained(None, alone)
bare = trained(strategy.scope(), [])
for fit_in, options in (
    (None, {}), (strategy.scope(), {}), (None, {"run_eagerly": True})
):
    both = monitors()
    weights = trained(strategy.scope(), both, fit_in=fit_in, **options)
    for a, b in zip(bare, weights):
        np.testing.assert_array_equal(a, b)
    for one, two in zip(alone, both):
        assert one.steps.keys() == two.steps.keys() > {"step"}
        for key in one.steps:
            np.testing.assert_allclose(
                two.steps[key], one.steps[key], rtol=1e-4, err_msg=key
            )
        for key in one.epochs:
            np.testing.assert_allclose(
                two.epochs[key], one.epochs[key], rtol=1e-4, err_msg=key
            )
"""


def test_the_replicas_of_a_strategy_are_measured_as_one():
    run_python(MIRRORED)
