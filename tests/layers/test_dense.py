"""Dense: by formula, as the built-in, with LoRA and quantized."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import activations
from keras_ext.layers import Dense
from tests.numerics import EXAMPLES, float64, gradient, numpy64


def twins(x, units=3, **arguments):
    """Return our layer and the built-in with the same weights."""
    layers = [c(units, **arguments) for c in (Dense, keras.layers.Dense)]
    for layer in layers:
        layer.build(x.shape)
    layers[0].set_weights(layers[1].get_weights())
    return layers


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    units=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    use_bias=st.booleans(),
)
def test_reference(shape, units, seed, use_bias):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype("float32")
    layer = Dense(units, "tanh", use_bias, bias_initializer="ones")
    y = numpy64(layer(x))
    kernel = numpy64(layer.kernel)
    expected = np.tanh(x.astype("float64") @ kernel + use_bias)
    assert y.shape == (*shape[:-1], units)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (6, 4), (2, 3, 2, 4)])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"activation": "relu"},
        {"activation": keras.ops.tanh, "use_bias": False},
        {"kernel_regularizer": "l2", "activity_regularizer": "l1"},
        {"lora_rank": 2, "lora_alpha": 3.0},
        {"dtype": "mixed_float16"},
        {"dtype": "bfloat16"},
    ],
)
def test_builtin(rng, shape, arguments):
    x = rng.normal(size=shape).astype("float32")
    ours, builtin = twins(x, **arguments)
    if "lora_rank" in arguments:
        for layer in ours, builtin:
            layer.lora_kernel_b.assign(np.full((2, 3), 0.5))
    y, expected = ours(x), builtin(x)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(numpy64(y), numpy64(expected))
    if shape[0]:
        assert [float(numpy64(loss)) for loss in ours.losses] == pytest.approx(
            [float(numpy64(loss)) for loss in builtin.losses]
        )
    x = ops.cast(x, ours.compute_dtype)
    if "dtype" not in arguments:
        np.testing.assert_array_equal(gradient(ours, x), gradient(builtin, x))
    assert ours.compute_output_shape((None, 5, 4)) == (None, 5, 3)


def test_float64(rng):
    x = rng.normal(size=(4, 5))
    with float64():
        layer = Dense(3, dtype="float64")
        y = layer(ops.convert_to_tensor(x, "float64"))
        assert keras.backend.standardize_dtype(y.dtype) == "float64"
        expected = x @ np.asarray(ops.convert_to_numpy(layer.kernel))
        np.testing.assert_allclose(numpy64(y), expected, rtol=1e-5, atol=1e-6)


def test_same_seed_same_weights():
    kernels = []
    for cls in (Dense, keras.layers.Dense):
        keras.utils.set_random_seed(3)
        layer = cls(4, kernel_initializer="he_normal")
        layer.build((None, 5))
        kernels.append(numpy64(layer.kernel))
    np.testing.assert_array_equal(*kernels)


def test_quantized(rng):
    x = rng.normal(size=(6, 8)).astype("float32")
    ours, builtin = twins(x)
    for layer in ours, builtin:
        layer.quantize("int8")
    np.testing.assert_array_equal(numpy64(ours(x)), numpy64(builtin(x)))
    assert keras.backend.standardize_dtype(ours._kernel.dtype) == "int8"


@pytest.mark.parametrize("saved", [Dense, keras.layers.Dense])
def test_either_loads_the_others_weights(saved, rng, tmp_path):
    x = rng.normal(size=(6, 4)).astype("float32")
    loaded = keras.layers.Dense if saved is Dense else Dense
    first, second = (
        keras.Sequential([keras.Input((4,)), cls(3, name="dense")])
        for cls in (saved, loaded)
    )
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(numpy64(first(x)), numpy64(second(x)))


def test_subclasses_say_how_they_are_quantized():
    class Other(Dense):
        pass

    layer = Other(3)
    layer.build((None, 4))
    with pytest.raises(NotImplementedError):
        layer.quantize("int8")


def test_names_of_activations():
    # Keras's own names keep their meaning.
    assert Dense(1, "relu").activation is keras.activations.relu
    assert Dense(1, "step").activation is activations.step
    assert Dense(1).activation is keras.activations.linear
    with pytest.raises(ValueError, match="no_such"):
        Dense(1, "no_such")


def test_config_round_trip():
    layer = Dense(
        4,
        activation="step",
        use_bias=False,
        kernel_initializer="he_uniform",
        kernel_regularizer="l1",
        bias_constraint="non_neg",
        lora_rank=2,
        lora_alpha=4,
        name="dense",
    )
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>Dense"
    again = keras.layers.deserialize(config)
    assert type(again) is Dense
    assert isinstance(again, keras.layers.Dense)
    assert again.activation is activations.step
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("units", [0, -1, 2.5, "4", None])
def test_bad_argument(units):
    message = f"`units` must be a positive integer. Received: units={units}"
    with pytest.raises(ValueError, match=message):
        Dense(units)
