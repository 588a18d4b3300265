import math

import keras
import numpy as np
import pytest
from fresh_process import predict_after_reload
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numerics import EXAMPLES, float64, numpy64

from keras_ext.initializers import HeNormal

SHAPES = [(), (7,), (784, 512), (3, 3, 8, 16), (2, 3, 4, 5, 6)]


def fan_in(shape):
    """The inputs of one output: all axes of the kernel but the last."""
    if len(shape) < 2:
        return shape[0] if shape else 1
    return np.prod(shape[:-1])


def test_by_hand():
    # A 3x3 convolution over 8 channels: 72 inputs, so a variance of 1/36.
    kernel = numpy64(HeNormal(seed=1)((3, 3, 8, 2000)))
    assert np.std(kernel) == pytest.approx(1 / 6, rel=0.01)
    assert np.mean(kernel) == pytest.approx(0, abs=0.002)


def test_truncation():
    # 1 / 0.8796: the standard deviation before two of them are cut off.
    cut = 2 / 0.87962566 * math.sqrt(2 / 100)
    truncated = np.abs(numpy64(HeNormal(seed=1)((100, 1000))))
    assert 0.99 * cut < truncated.max() <= cut
    plain = numpy64(HeNormal(seed=1, truncated=False)((100, 1000)))
    assert plain.std() == pytest.approx(math.sqrt(2 / 100), rel=0.01)
    outside_two = np.mean(np.abs(plain) > 2 * math.sqrt(2 / 100))
    assert outside_two == pytest.approx(0.0455, abs=0.003)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), max_size=5).map(tuple),
    seed=st.integers(0, 2**31 - 1),
    truncated=st.booleans(),
)
def test_reference(shape, seed, truncated):
    draw = keras.random.truncated_normal if truncated else keras.random.normal
    standard = numpy64(draw(shape, seed=seed))
    stddev = np.sqrt(2 / fan_in(shape)) / (0.879625661034 if truncated else 1)
    np.testing.assert_allclose(
        numpy64(HeNormal(seed, truncated=truncated)(shape)),
        stddev * standard,
        rtol=1e-5,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_builtin(shape):
    ours, builtin = HeNormal(seed=42), keras.initializers.HeNormal(seed=42)
    assert isinstance(ours, keras.initializers.HeNormal)
    np.testing.assert_array_equal(numpy64(ours(shape)), numpy64(builtin(shape)))


def test_plain_normal_is_the_variance_scaling_of_keras():
    builtin = keras.initializers.VarianceScaling(
        2.0, "fan_in", "untruncated_normal", seed=3
    )
    np.testing.assert_array_equal(
        numpy64(HeNormal(3, truncated=False)((6, 5))), numpy64(builtin((6, 5)))
    )


def test_empty_weights():
    assert tuple(HeNormal()((0, 4)).shape) == (0, 4)


def test_axes():
    kernel = HeNormal(seed=0, input_axes=[1, 2], output_axes=[0])
    kernel = numpy64(kernel((1000, 4, 8)))
    assert kernel.std() == pytest.approx(math.sqrt(2 / 32), rel=0.02)


@pytest.mark.parametrize("truncated", [True, False])
def test_inside_einsum_dense(truncated):
    # The layer makes a copy of the initializer, with the axes of its equation.
    layer = keras.layers.EinsumDense(
        "abc,dec->abde",
        output_shape=(None, 40, 50),
        kernel_initializer=HeNormal(seed=0, truncated=truncated),
    )
    builtin = keras.initializers.VarianceScaling(
        2.0,
        "fan_in",
        "truncated_normal" if truncated else "untruncated_normal",
        seed=0,
    )
    same = keras.layers.EinsumDense(
        "abc,dec->abde",
        output_shape=(None, 40, 50),
        kernel_initializer=builtin,
    )
    layer.build((None, 3, 20))
    same.build((None, 3, 20))
    np.testing.assert_array_equal(numpy64(layer.kernel), numpy64(same.kernel))


@pytest.mark.parametrize("seed", [None, 0, 42])
def test_every_call_of_one_instance_draws_the_same(seed):
    initializer = HeNormal(seed)
    np.testing.assert_array_equal(
        numpy64(initializer((4, 3))), numpy64(initializer((4, 3)))
    )


def test_a_seed_generator_draws_anew():
    ours = HeNormal(keras.random.SeedGenerator(5))
    builtin = keras.initializers.HeNormal(keras.random.SeedGenerator(5))
    draws = [numpy64(ours((4, 3))) for _ in range(3)]
    assert not np.array_equal(draws[0], draws[1])
    for draw in draws:
        np.testing.assert_array_equal(draw, numpy64(builtin((4, 3))))


@pytest.mark.parametrize("truncated", [True, False])
def test_config_round_trip(truncated):
    initializer = HeNormal(seed=7, truncated=truncated)
    config = keras.initializers.serialize(initializer)
    for again in (
        keras.initializers.deserialize(config),
        HeNormal.from_config(initializer.get_config()),
        initializer.clone(),
    ):
        assert type(again) is HeNormal
        assert again.get_config() == initializer.get_config()
        np.testing.assert_array_equal(
            numpy64(again((4, 3))), numpy64(initializer((4, 3)))
        )


def test_config_round_trip_of_a_seed_generator():
    initializer = HeNormal(keras.random.SeedGenerator(5))
    again = HeNormal.from_config(initializer.get_config())
    np.testing.assert_array_equal(
        numpy64(again((4, 3))), numpy64(initializer((4, 3)))
    )


def test_save_and_load(tmp_path, rng):
    layer = keras.layers.Dense(
        2, kernel_initializer=HeNormal(seed=3, truncated=False)
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("truncated", [True, False])
def test_dtypes(dtype, truncated):
    with float64():
        kernel = HeNormal(seed=1, truncated=truncated)((50, 400), dtype=dtype)
        assert keras.backend.standardize_dtype(kernel.dtype) == dtype
        assert numpy64(kernel).std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = keras.layers.Dense(
        3, kernel_initializer=HeNormal(seed=1), dtype=policy
    )
    layer.build((None, 4))
    np.testing.assert_array_equal(
        numpy64(layer.kernel), numpy64(HeNormal(seed=1)((4, 3)))
    )


def test_bad_argument():
    with pytest.raises(ValueError, match="`truncated` must be .*=yes"):
        HeNormal(truncated="yes")
    with pytest.raises(ValueError, match="`seed`"):
        HeNormal(seed="one")


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
