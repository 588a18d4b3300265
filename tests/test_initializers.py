"""Initializers: distributions, fans, seeds, configs."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import initializers
from keras_ext.initializers import HeNormal
from tests.fresh_process import predict_after_reload
from tests.numerics import EXAMPLES, float64, numpy64

SHAPES = [(), (7,), (3, 2, 8, 4), (0, 4)]

# The variance of a weight with these fans.
VARIANCES = {
    "GlorotNormal": lambda n_in, n_out: 2 / max(1, n_in + n_out),
    "GlorotUniform": lambda n_in, n_out: 2 / max(1, n_in + n_out),
    "HeNormal": lambda n_in, n_out: 2 / max(1, n_in),
    "HeUniform": lambda n_in, n_out: 2 / max(1, n_in),
    "LecunNormal": lambda n_in, n_out: 1 / max(1, n_in),
    "LecunUniform": lambda n_in, n_out: 1 / max(1, n_in),
    "ScaledNormal": lambda n_in, n_out: 1 / max(1, n_in),
}
TRUNCATED = ["GlorotNormal", "HeNormal", "LecunNormal"]
# All, with arguments that are not the defaults.
CASES = [
    *((name, {}) for name in VARIANCES),
    *((name, {"truncated": False}) for name in TRUNCATED),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.2}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.2, "truncated": True}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("Zeros", {}),
]
RANDOM = [case for case in CASES if case[0] != "Zeros"]


def make(name, arguments, /, seed=None):
    if name != "Zeros":
        arguments = arguments | {"seed": seed}
    return getattr(initializers, name)(**arguments)


def make_builtin(name, arguments, /, seed=None):
    """Return the built-in, which may have another name."""
    arguments = dict(arguments)
    if name == "Zeros":
        return keras.initializers.Zeros()
    truncated = arguments.pop("truncated", name in TRUNCATED)
    if name == "RandomNormal" and truncated:
        return keras.initializers.TruncatedNormal(**arguments, seed=seed)
    if name == "ScaledNormal" or (name in TRUNCATED and not truncated):
        scale = 2.0 if name == "HeNormal" else 1.0
        mode = "fan_avg" if name == "GlorotNormal" else "fan_in"
        return keras.initializers.VarianceScaling(
            scale, mode, "untruncated_normal", seed
        )
    return getattr(keras.initializers, name)(**arguments, seed=seed)


def fans(shape):
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def variance_of(name, arguments, shape):
    if name == "RandomNormal":
        # Truncation at 2 reduces the variance of a standard normal to 0.774.
        left = 0.7737 if arguments.get("truncated") else 1.0
        return left * arguments.get("stddev", 0.05) ** 2
    if name == "RandomUniform":
        low = arguments.get("minval", -0.05)
        high = arguments.get("maxval", 0.05)
        return (high - low) ** 2 / 12
    return VARIANCES[name](*fans(shape))


def test_by_hand():
    # A 3x3 convolution over 8 channels: 72 inputs, so a variance of 1/36.
    kernel = numpy64(HeNormal(seed=1)((3, 3, 8, 2000)))
    assert np.std(kernel) == pytest.approx(1 / 6, rel=0.01)
    assert np.mean(kernel) == pytest.approx(0, abs=0.002)
    # sqrt(6 / (2 + 4)) = 1.
    kernel = np.abs(numpy64(initializers.GlorotUniform(seed=1)((2, 4))))
    assert 0.5 < kernel.max() <= 1
    assert numpy64(initializers.Zeros()((2, 2))).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_distribution(case):
    name, arguments = case
    shape = (200, 300)
    w = numpy64(make(*case, seed=1)(shape)).ravel()
    n = w.size
    mean = arguments.get("mean", 0.0)
    if name == "RandomUniform":
        mean = (arguments.get("minval", 0) + arguments.get("maxval", 0)) / 2
    stddev = math.sqrt(variance_of(name, arguments, shape))
    assert np.mean(w) == pytest.approx(mean, abs=4 * stddev / math.sqrt(n))
    assert np.std(w) == pytest.approx(stddev, rel=4 / math.sqrt(n))

    # Kolmogorov's statistic: the greatest difference of the distribution
    # functions, above 1.95 / sqrt(n) once in a thousand draws.
    truncated = arguments.get("truncated", name in TRUNCATED)
    if "Uniform" in name:
        bound = math.sqrt(3) * stddev
        assert np.abs(w - mean).max() <= bound * (1 + 1e-6)
        cdf = (np.sort(w) - mean) / (2 * bound) + 0.5
    else:
        whole = stddev / math.sqrt(0.7737) if truncated else stddev
        cdf = np.array(
            [math.erf(z / math.sqrt(2)) for z in (np.sort(w) - mean) / whole]
        )
        outside = np.mean(np.abs(w - mean) > 2.001 * whole)
        if truncated:
            cdf /= math.erf(math.sqrt(2))
            assert outside == 0
        else:
            assert outside == pytest.approx(0.0455, abs=0.004)
        cdf = (cdf + 1) / 2
    empirical = (np.arange(n) + 0.5) / n
    assert np.abs(cdf - empirical).max() < 1.95 / math.sqrt(n)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    name=st.sampled_from(sorted(VARIANCES)),
    shape=st.lists(st.integers(1, 5), max_size=5).map(tuple),
    seed=st.integers(0, 2**31 - 1),
    truncated=st.booleans(),
)
def test_reference(name, shape, seed, truncated):
    stddev = math.sqrt(VARIANCES[name](*fans(shape)))
    arguments = {"truncated": truncated} if name in TRUNCATED else {}
    if "Uniform" in name:
        # Of variance 1: U(-sqrt(3), sqrt(3)).
        standard = math.sqrt(3) * numpy64(
            keras.random.uniform(shape, -1.0, 1.0, seed=seed)
        )
    elif truncated and name in TRUNCATED:
        standard = keras.random.truncated_normal(shape, seed=seed)
        standard = numpy64(standard) / 0.879625661034
    else:
        standard = numpy64(keras.random.normal(shape, seed=seed))
    np.testing.assert_allclose(
        numpy64(make(name, arguments, seed=seed)(shape)),
        stddev * standard,
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_builtin(case):
    ours, builtin = make(*case, seed=42), make_builtin(*case, seed=42)
    if hasattr(keras.initializers, case[0]):
        assert isinstance(ours, getattr(keras.initializers, case[0]))
    assert isinstance(ours, keras.initializers.Initializer)
    for shape in SHAPES:
        drawn = numpy64(ours(shape))
        assert drawn.shape == shape
        np.testing.assert_array_equal(drawn, numpy64(builtin(shape)))


@pytest.mark.parametrize(
    "layer",
    [
        lambda init: keras.layers.Conv1D(5, 3, kernel_initializer=init),
        lambda init: keras.layers.DepthwiseConv1D(
            3, depth_multiplier=2, depthwise_initializer=init
        ),
        lambda init: keras.layers.EinsumDense(
            "abc,dec->abde",
            output_shape=(None, 4, 5),
            kernel_initializer=init,
        ),
    ],
    ids=["convolution", "depthwise", "einsum"],
)
@pytest.mark.parametrize("name", sorted(VARIANCES))
def test_inside_layers(layer, name):
    # EinsumDense copies the initializer, with the axes of its equation.
    draws = []
    for make_one in (make, make_builtin):
        built = layer(make_one(name, {}, seed=0))
        built.build((None, 6, 4))
        draws.append(numpy64(built.weights[0]))
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("name", sorted(VARIANCES))
def test_axes(name):
    kernel = getattr(initializers, name)(
        seed=0, input_axes=[1, 2], output_axes=[0]
    )
    # One of the two is ignored.
    same = getattr(initializers, name)(seed=0, input_axes=[1, 2])
    shape = (1000, 4, 8)
    stddev = math.sqrt(VARIANCES[name](32, 1000))
    assert numpy64(kernel(shape)).std() == pytest.approx(stddev, rel=0.02)
    np.testing.assert_array_equal(
        numpy64(same((4, 3))), numpy64(make(name, {}, seed=0)((4, 3)))
    )


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_seeds(case):
    # An integer, None: every call of one instance draws the same.
    for seed in (None, 0):
        initializer = make(*case, seed=seed)
        draw = numpy64(initializer((4, 3)))
        np.testing.assert_array_equal(draw, numpy64(initializer((4, 3))))
    other = numpy64(make(*case, seed=None)((4, 3)))
    assert not np.array_equal(other, numpy64(make(*case, seed=None)((4, 3))))

    # A generator: each call draws new values.
    ours = make(*case, seed=keras.random.SeedGenerator(5))
    builtin = make_builtin(*case, seed=keras.random.SeedGenerator(5))
    draws = [numpy64(ours((4, 3))) for _ in range(2)]
    assert not np.array_equal(*draws)
    for draw in draws:
        np.testing.assert_array_equal(draw, numpy64(builtin((4, 3))))

    # None follows Keras's own seed.
    keras.utils.set_random_seed(3)
    draw = numpy64(make(*case)((4, 3)))
    keras.utils.set_random_seed(3)
    builtin = make_builtin(*case)
    np.testing.assert_array_equal(draw, numpy64(builtin((4, 3))))


def test_aliases():
    assert initializers.XavierNormal is initializers.GlorotNormal
    assert initializers.XavierUniform is initializers.GlorotUniform
    snake = [name for name in dir(initializers) if name.islower()]
    classes = [
        value
        for value in (getattr(initializers, name) for name in snake)
        if isinstance(value, type)
    ]
    assert len(classes) == 9
    for name in snake:
        value = getattr(initializers, name)
        if isinstance(value, type) and not name.startswith("_"):
            assert isinstance(value(), getattr(keras.initializers, name))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_config_round_trip(case):
    initializer = make(*case, seed=7)
    config = keras.initializers.serialize(initializer)
    assert config["registered_name"] == f"keras_ext>{case[0]}"
    again = [
        keras.initializers.deserialize(config),
        type(initializer).from_config(initializer.get_config()),
        initializer.clone(),
    ]
    if case in RANDOM:
        generator = make(*case, seed=keras.random.SeedGenerator(5))
        other = type(generator).from_config(generator.get_config())
        np.testing.assert_array_equal(
            numpy64(other((4, 3))), numpy64(generator((4, 3)))
        )
    for other in again:
        assert type(other) is type(initializer)
        assert other.get_config() == initializer.get_config()
        for argument, value in case[1].items():
            assert other.get_config()[argument] == value
        np.testing.assert_array_equal(
            numpy64(other((4, 3))), numpy64(initializer((4, 3)))
        )


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential([keras.Input((3,))])
    for case in CASES:
        model.add(keras.layers.Dense(3, kernel_initializer=make(*case, seed=3)))
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    with float64():
        for name, arguments in CASES:
            kernel = make(name, arguments, seed=1)((50, 400), dtype=dtype)
            assert keras.backend.standardize_dtype(kernel.dtype) == dtype
            if name != "Zeros":
                stddev = math.sqrt(variance_of(name, arguments, (50, 400)))
                assert numpy64(kernel).std() == pytest.approx(stddev, rel=0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = keras.layers.Dense(
        3, kernel_initializer=HeNormal(seed=1), dtype=policy
    )
    layer.build((None, 4))
    np.testing.assert_array_equal(
        numpy64(layer.kernel), numpy64(HeNormal(seed=1)((4, 3)))
    )


def test_integer_zeros():
    zeros = initializers.Zeros()((3,), dtype="int32")
    assert keras.backend.standardize_dtype(zeros.dtype) == "int32"


@pytest.mark.parametrize("name", [*TRUNCATED, "RandomNormal"])
def test_bad_truncated(name):
    with pytest.raises(ValueError, match="`truncated` must be .*=yes"):
        getattr(initializers, name)(truncated="yes")


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_bad_seed(case):
    with pytest.raises(ValueError, match="`seed`"):
        make(*case, seed="one")


def test_bad_argument():
    for stddev in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="`stddev` must be .*stddev="):
            initializers.RandomNormal(stddev=stddev)
    with pytest.raises(ValueError, match="`minval` must .*maxval=0"):
        initializers.RandomUniform(1, 0)


def test_fit_keeps_the_signal_through_depth(rng):
    # He's claim: through many ReLU layers the signal keeps its size.
    layers = [
        keras.layers.Dense(
            256, activation="relu", kernel_initializer=HeNormal(seed=i)
        )
        for i in range(10)
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    x = rng.normal(size=(64, 256)).astype("float32")
    signal = x
    for layer in layers:
        signal = layer(signal)
    size = ops.convert_to_numpy(ops.mean(ops.square(signal)))
    assert 0.4 < size < 2.5

    model.compile(keras.optimizers.SGD(1e-3), "mse")
    loss = model.fit(x, x[:, :1], epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.8 * loss[0]
