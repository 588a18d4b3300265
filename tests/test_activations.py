import keras
import numpy as np
import pytest
from fresh_process import predict_after_reload
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numerics import EXAMPLES, float64, gradient, numpy64

from keras_ext.activations import relu

Z = np.array([-10.0, -5.0, -0.0, 0.0, 0.5, 5.0, 6.0, 10.0], "float32")

OPTIONS = [
    {},
    {"negative_slope": 0.3},
    {"negative_slope": -1.0},
    {"max_value": 6.0},
    {"max_value": 2.5},
    {"max_value": 0.0},
    {"threshold": 5.0},
    {"threshold": -2.0},
    {"negative_slope": 0.1, "max_value": 4.0},
    {"negative_slope": 0.1, "threshold": 1.0},
    {"negative_slope": 0.1, "max_value": 6, "threshold": 1},
]


def reference(z, negative_slope=0.0, max_value=None, threshold=0.0):
    z = z.astype("float64")
    above = z if max_value is None else np.clip(z, 0, max_value)
    return np.where(z > threshold, above, negative_slope * (z - threshold))


def test_by_hand():
    z = [-10.0, -5.0, 0.0, 5.0, 10.0]
    assert numpy64(relu(z)).tolist() == [0, 0, 0, 5, 10]
    assert numpy64(relu(z, 0.5)).tolist() == [-5, -2.5, 0, 5, 10]
    assert numpy64(relu(z, max_value=6.0)).tolist() == [0, 0, 0, 5, 6]
    assert numpy64(relu(z, threshold=5.0)).tolist() == [0, 0, 0, 0, 10]


def test_gradient_is_one_where_it_fires_and_zero_elsewhere():
    z = np.array([-3.0, 0.0, 3.0], "float32")
    assert gradient(relu, z).tolist() == [0, 0, 1]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    seed=st.integers(0, 2**16),
    negative_slope=st.sampled_from([0.0, 0.01, 0.3]),
    max_value=st.sampled_from([None, 0.5, 6.0]),
    threshold=st.sampled_from([0.0, 0.25, -1.0]),
)
def test_reference(shape, seed, **options):
    z = np.random.default_rng(seed).normal(size=shape).astype("float32")
    result = relu(z, **options)
    assert tuple(result.shape) == z.shape
    np.testing.assert_allclose(
        numpy64(result), reference(z, **options), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_builtin(options):
    def builtin(z):
        return keras.activations.relu(z, **options)

    def ours(z):
        return relu(z, **options)

    np.testing.assert_array_equal(numpy64(ours(Z)), numpy64(builtin(Z)))
    np.testing.assert_array_equal(gradient(ours, Z), gradient(builtin, Z))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_symbolic_inputs(options):
    inputs = keras.Input((len(Z),))
    outputs = relu(inputs, **options)
    assert outputs.shape == inputs.shape
    assert outputs.dtype == inputs.dtype
    model = keras.Model(inputs, outputs)
    np.testing.assert_array_equal(
        model.predict(Z[None], verbose=0)[0],
        ops.convert_to_numpy(relu(Z, **options)),
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_dtypes(dtype, options):
    with float64():
        z = ops.cast(Z, dtype)
        ours = relu(z, **options)
        builtin = keras.activations.relu(z, **options)
        assert keras.backend.standardize_dtype(ours.dtype) == dtype
        np.testing.assert_array_equal(numpy64(ours), numpy64(builtin))


def test_integers():
    assert numpy64(relu(np.array([-2, 3, 9]), max_value=4)).tolist() == [
        0,
        3,
        4,
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = keras.layers.Activation(relu, dtype=policy)
    half = policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(layer(Z).dtype) == half


def test_config_round_trip():
    config = keras.activations.serialize(relu)
    assert keras.activations.deserialize(config) is relu
    layer = keras.layers.Dense(2, activation=relu)
    again = keras.layers.Dense.from_config(layer.get_config())
    assert again.activation is relu


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, activation=relu)]
    )
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


def test_bad_argument():
    with pytest.raises(ValueError, match="`max_value` must be .*max_value=-1"):
        relu(Z, max_value=-1)


def test_fit(rng):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Dense(8, activation=relu), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = rng.normal(size=(64, 2)).astype("float32")
    loss = model.fit(x, np.abs(x[:, :1]), epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]
