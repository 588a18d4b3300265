"""Batch normalization: by hand, by formula, as the built-in, edge cases."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext.layers import BatchNormalization
from tests.numerics import EXAMPLES, float64, gradient, numpy64

BACKEND = keras.config.backend()
# Large enough for the kernels of large inputs; other tests use small ones.
LARGE = (64, 520)
SHAPES = [
    ((8, 6), -1),
    ((1, 6), -1),
    ((1, 1, 1, 4), -1),
    ((5, 3, 4), 1),
    ((3, 4, 5, 2), -1),
    ((4, 5), 0),
]
SIZES = [(6, 4)]
# JAX computes the same for all sizes, but compiles for each size.
if BACKEND != "jax":
    SHAPES += [(LARGE, -1), ((16, 8, 8, 40), -1), ((16, 40, 8, 8), 1)]
    SIZES += [LARGE]


def reference(x, axis=-1, epsilon=1e-3, gamma=1.0, beta=0.0):
    """Return the output, the mean and the variance in float64."""
    x = np.moveaxis(x.astype("float64"), axis, -1)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    return np.moveaxis(y, -1, axis), mean, variance


def call(layer, x, weights=None, **arguments):
    """Call the layer in training; JAX must not see it change."""
    if BACKEND != "jax":
        return layer(x, training=True, **arguments)
    if weights is None:
        weights = [w.value for w in layer.trainable_variables]
    state = [w.value for w in layer.non_trainable_variables]
    return layer.stateless_call(weights, state, x, training=True, **arguments)[
        0
    ]


def run(layer, x, dy, **arguments):
    """Return the output, its gradients and the moving averages."""
    layer.build(x.shape)
    for i, weight in enumerate(layer.trainable_variables):
        weight.assign(np.linspace(0.5, 1.5, weight.shape[0]) - i)
    dy = ops.convert_to_tensor(dy)
    slope = gradient(lambda x: call(layer, x, **arguments) * dy, x)
    y = layer(x, training=True, **arguments)
    moving = [numpy64(w) for w in layer.non_trainable_variables]
    return [numpy64(y), np.asarray(slope, "float64"), *moving]


def both(x, dy, dtype=None, **arguments):
    classes = BatchNormalization, keras.layers.BatchNormalization
    return [run(c(dtype=dtype, **arguments), x, dy) for c in classes]


def draw(rng, shape, mean=1.0):
    x = rng.normal(size=shape) * 2 + mean
    return x.astype("float32"), rng.normal(size=shape).astype("float32")


def assert_close(ours, builtin, tolerance):
    for a, b in zip(ours, builtin, strict=True):
        scale = max(np.abs(b).max(initial=0), 1e-2)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def test_by_hand():
    layer = BatchNormalization(momentum=0.9, epsilon=0.0)
    x = np.array([[1.0, 10.0], [3.0, 50.0]], "float32")
    y = numpy64(layer(x, training=True))
    np.testing.assert_allclose(y, [[-1, -1], [1, 1]], rtol=1e-6)
    # Variances of 1 and 400: divided by n.
    mean, variance = numpy64(layer.moving_mean), layer.moving_variance
    np.testing.assert_allclose(mean, [0.2, 3], rtol=1e-6)
    np.testing.assert_allclose(numpy64(variance), [1, 40.9], rtol=1e-6)
    y = numpy64(layer(np.array([[0.2, 3.0]], "float32"), training=False))
    np.testing.assert_allclose(y, [[0, 0]], atol=1e-6)


def test_128_features_have_128_means():
    layer = BatchNormalization()
    assert layer(np.ones((64, 128), "float32")).shape == (64, 128)
    assert {w.name: tuple(w.shape) for w in layer.weights} == {
        "gamma": (128,),
        "beta": (128,),
        "moving_mean": (128,),
        "moving_variance": (128,),
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    seed=st.integers(0, 2**16),
    axis=st.sampled_from([-1, 1]),
    mean=st.sampled_from([0.0, 1.0, -30.0]),
)
def test_reference(shape, seed, axis, mean):
    x, _ = draw(np.random.default_rng(seed), shape, mean)
    layer = BatchNormalization(axis, momentum=0.0)
    y = numpy64(layer(x, training=True))
    expected, mean, variance = reference(x, axis)
    np.testing.assert_allclose(y, expected, atol=2e-4)
    # A mean near 0 is a difference of larger numbers.
    np.testing.assert_allclose(
        numpy64(layer.moving_mean), mean, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        numpy64(layer.moving_variance), variance, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_builtin(rng, shape, axis):
    x, dy = draw(rng, shape)
    assert_close(*both(x, dy, axis=axis, momentum=0.7), 2e-5)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"center": False},
        {"scale": False},
        {"center": False, "scale": False},
        {"epsilon": 0.1, "momentum": 0.5},
    ],
)
def test_options_as_the_builtin(rng, shape, arguments):
    x, dy = draw(rng, shape)
    assert_close(*both(x, dy, **arguments), 2e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("mixed_float16", 2e-3), ("bfloat16", 2e-2), ("float64", 2e-5)],
)
@pytest.mark.parametrize("shape", SIZES)
def test_dtypes(rng, shape, dtype, tolerance):
    x, dy = draw(rng, shape)
    with float64():
        policy = keras.dtype_policies.get(dtype)
        dtypes = []
        for cls in (BatchNormalization, keras.layers.BatchNormalization):
            layer = cls(dtype=dtype)
            y = layer(ops.cast(x, policy.compute_dtype), training=True)
            dtypes.append([str(v.dtype) for v in (y, *layer.weights)])
            expected = reference(x)[0]
            np.testing.assert_allclose(numpy64(y), expected, atol=5 * tolerance)
        assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("shape", SIZES)
def test_gradients_of_the_weights(rng, shape):
    # dL/dbeta is the sum of dL/dy, dL/dgamma the sum of dL/dy * x_hat.
    x, dy = draw(rng, shape)
    layer = BatchNormalization()
    layer.build(shape)
    weights = [w.value for w in layer.trainable_variables]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            y = layer(x, training=True)
        slopes = [s.numpy() for s in tape.gradient(y, weights, dy)]
    elif BACKEND == "jax":
        import jax

        slopes = jax.grad(lambda w: (call(layer, x, w) * dy).sum())(weights)
    else:
        layer(x, training=True).backward(ops.convert_to_tensor(dy))
        slopes = [w.grad for w in weights]
    x_hat = reference(x)[0]
    expected = np.stack([(dy * x_hat).sum(0), dy.sum(0)])
    np.testing.assert_allclose(np.stack(slopes), expected, atol=2e-4)


@pytest.mark.parametrize("shape", [*SIZES, (8, 8, 8, 64)])
@pytest.mark.parametrize("mean", [1e3, 1e5])
def test_large_means(rng, shape, mean):
    # Not less accurate than the built-in.
    x, _ = draw(rng, shape, mean)
    expected, _, variance = reference(x)
    errors = []
    for cls in (BatchNormalization, keras.layers.BatchNormalization):
        layer = cls(momentum=0.0)
        y = numpy64(layer(x, training=True))
        error = np.abs(numpy64(layer.moving_variance) / variance - 1).max()
        errors.append((np.abs(y - expected).max(), error))
    ours, builtin = np.nan_to_num(errors, nan=np.inf)
    assert (ours <= 1.5 * builtin + 1e-5).all()
    assert (ours < 1e-6 * mean).all()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_constant_features(shape, value):
    layer = BatchNormalization()
    layer.build(shape)
    x = np.full(shape, value, "float32")
    y = numpy64(layer(x, training=True))
    np.testing.assert_allclose(y, 0, atol=3e-5 * abs(value))
    slope = gradient(lambda x: call(layer, x) ** 2, x)
    assert np.isfinite(slope).all()
    # Only the first feature varies slightly.
    layer = BatchNormalization(epsilon=1e-12)
    x[: shape[0] // 2, 0] += 1
    y = numpy64(layer(x, training=True))[:, 0]
    np.testing.assert_allclose(np.abs(y), 1, atol=1e-2)


@pytest.mark.parametrize("shape", [(0, 4), (0, 3, 3, 600)])
def test_empty_batch_leaves_the_averages(shape):
    layer = BatchNormalization()
    layer.build((None, *shape[1:]))
    x = np.zeros(shape, "float32")
    assert tuple(layer(x, training=True).shape) == shape
    assert not numpy64(layer.moving_mean).any()
    assert (numpy64(layer.moving_variance) == 1).all()


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", [(6, 5), (16, 24, 8, 24)])
def test_compiled(rng, shape, axis, jit_compile):
    # An unknown batch size and an empty batch.
    import tensorflow as tf

    x, dy = draw(rng, shape)
    results = []
    for cls in (BatchNormalization, keras.layers.BatchNormalization):
        layer = cls(axis)
        layer.build(shape)
        spec = tf.TensorSpec((None, *shape[1:]))

        @tf.function(jit_compile=jit_compile, input_signature=[spec] * 2)
        def step(x, dy, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
            weights = [w.value for w in layer.trainable_variables]
            return [y, *tape.gradient(y, [x, *weights], dy)]

        # Under XLA the formula computes channels first.
        if cls is BatchNormalization and not (jit_compile and axis == 1):
            for result in step(x[:0], dy[:0])[1:]:
                assert np.isfinite(result).all()
        result = [v.numpy() for v in step(x, dy)]
        results.append(result + [w.numpy() for w in layer.weights])
    assert_close(*results, 2e-5)


@pytest.mark.parametrize("shape", SIZES)
def test_second_derivatives(rng, shape):
    # As in a gradient penalty, compared with differences of first derivatives.
    # TensorFlow's built-in is wrong here.
    x, v = rng.normal(size=shape), rng.normal(size=shape)
    with float64():
        layer = BatchNormalization(dtype="float64")
        layer.build(shape)
        direction = ops.convert_to_tensor(v, "float64")

        def slope(x):
            return derive(lambda x: call(layer, x) ** 3, x)

        exact = derive(lambda x: slope(x) * direction, x)
        h = 1e-5
        up, down = (ops.convert_to_numpy(slope(x + d * v)) for d in (h, -h))
        differences = (up - down) / (2 * h)
        exact = ops.convert_to_numpy(exact)
        np.testing.assert_allclose(exact, differences, rtol=1e-5, atol=1e-5)


def derive(function, x):
    """Return a gradient that can be differentiated again."""
    x = ops.convert_to_tensor(x, "float64")
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    if BACKEND == "jax":
        import jax

        return jax.grad(lambda x: function(x).sum())(x)
    import torch

    x.requires_grad_()
    return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]


@pytest.mark.parametrize("kept", [0.6, 0.0, 1.0])
def test_masks(rng, kept):
    x, dy = draw(rng, (6, 5, 3))
    mask = rng.random((6, 5)) < kept
    ours, builtin = (
        run(c(), x, dy, mask=mask)
        for c in (BatchNormalization, keras.layers.BatchNormalization)
    )
    assert_close(ours, builtin, 1e-6)
    if kept == 0.6:
        layer = BatchNormalization(momentum=0.0)
        layer(x, training=True, mask=mask)
        mean = x[mask].mean(0)
        np.testing.assert_allclose(numpy64(layer.moving_mean), mean, rtol=1e-5)


def test_mask_of_one_channel(rng):
    # The built-in squeezes the channel axis, and fails on two backends.
    x, _ = draw(rng, (4, 5, 1))
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=np.ones((4, 5), bool))
    assert numpy64(layer.moving_mean) == pytest.approx([x.mean()], rel=1e-5)


def test_masks_are_passed_on():
    x = np.array([[[2.0], [0.0], [-4.0]]], "float32")
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            BatchNormalization(epsilon=0.0),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    assert numpy64(model(x)).tolist() == [[-1]]


def test_frozen(rng):
    x, _ = draw(rng, (6, 4))
    layer = BatchNormalization(epsilon=0.0)
    layer.trainable = False
    np.testing.assert_array_equal(numpy64(layer(x, training=True)), x)
    assert not numpy64(layer.moving_mean).any()


@pytest.mark.skipif(
    not hasattr(keras.layers.BatchNormalization(), "renorm"),
    reason="Keras without renorm",
)
def test_renorm(rng):
    x, dy = draw(rng, (6, 4))
    clipping = {"rmax": 2.0, "dmax": 1.0}
    ours, builtin = both(x, dy, renorm=True, renorm_clipping=clipping)
    assert_close(ours, builtin, 1e-6)


@pytest.mark.backend("tensorflow")
def test_synchronized(rng):
    x, dy = draw(rng, (6, 4))
    assert_close(*both(x, dy, synchronized=True), 1e-6)


def test_config_round_trip():
    layer = BatchNormalization(
        axis=1,
        momentum=0.8,
        epsilon=1e-5,
        center=False,
        gamma_initializer="zeros",
        gamma_regularizer="l2",
        gamma_constraint="non_neg",
        name="bn",
    )
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>BatchNormalization"
    again = keras.layers.deserialize(config)
    assert type(again) is BatchNormalization
    assert isinstance(again, keras.layers.BatchNormalization)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.5}, "`momentum` must be .*momentum=1.5"),
        ({"epsilon": -1.0}, "`epsilon` must be .*epsilon=-1.0"),
        ({"axis": 4}, "`axis` must be .*axis=4"),
    ],
)
def test_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**arguments).build((None, 3))


def test_bad_mask(rng):
    with pytest.raises(ValueError, match="`mask` must have"):
        BatchNormalization()(np.ones((2, 3, 4)), mask=np.ones((2,), bool))
