import keras
import numpy as np
import pytest
from fresh_process import predict_after_reload
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics import EXAMPLES, float64, gradient, numpy64

from keras_ext.layers import LeakyReLU

Z = np.array([-10.0, -5.0, -0.0, 0.0, 0.5, 5.0, 10.0], "float32")


def test_by_hand():
    z = np.array([-10.0, -5.0, 0.0, 5.0, 10.0], "float32")
    result = numpy64(LeakyReLU(negative_slope=0.5)(z))
    assert result.tolist() == [-5, -2.5, 0, 5, 10]


def test_gradient():
    z = np.array([-3.0, -1.0, 1.0, 3.0], "float32")
    slopes = gradient(LeakyReLU(0.25), z)
    assert slopes.tolist() == [0.25, 0.25, 1, 1]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
    negative_slope=st.sampled_from([0.0, 0.01, 0.1, 1.0, 1.5]),
)
def test_reference(shape, seed, negative_slope):
    z = np.random.default_rng(seed).normal(size=shape).astype("float32")
    result = LeakyReLU(negative_slope)(z)
    assert tuple(result.shape) == z.shape
    z = z.astype("float64")
    expected = np.where(z > 0, z, negative_slope * z)
    np.testing.assert_allclose(numpy64(result), expected, rtol=1e-6)


@pytest.mark.parametrize("slope", [{}, {"negative_slope": 0.01}])
def test_builtin(slope):
    ours, builtin = LeakyReLU(**slope), keras.layers.LeakyReLU(**slope)
    assert isinstance(ours, keras.layers.LeakyReLU)
    assert ours.compute_output_shape((None, 3)) == (None, 3)
    np.testing.assert_array_equal(numpy64(ours(Z)), numpy64(builtin(Z)))
    np.testing.assert_array_equal(gradient(ours, Z), gradient(builtin, Z))


def test_alpha_is_still_taken():
    with pytest.warns(UserWarning, match="`alpha` is deprecated"):
        layer = LeakyReLU(alpha=0.1)
    assert layer.negative_slope == 0.1
    assert "alpha" not in layer.get_config()


def test_masks_are_passed_on():
    # The masked second step is left out of the mean.
    x = np.array([[[2.0], [0.0], [-4.0]]], "float32")
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            LeakyReLU(0.5),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    assert numpy64(model(x)).tolist() == [[0]]
    x[0, 1] = 3.0
    assert numpy64(model(x)).tolist() == [[1]]
    x[0, 1] = 0.0
    x[0, 0] = 5.0
    assert numpy64(model(x)).tolist() == [[1.5]]


def test_config_round_trip():
    layer = LeakyReLU(negative_slope=0.05, name="leaky")
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>LeakyReLU"
    again = keras.layers.deserialize(config)
    assert type(again) is LeakyReLU
    assert again.get_config() == layer.get_config()


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), LeakyReLU(0.05)]
    )
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [
        ("mixed_float16", "float16"),
        ("mixed_bfloat16", "bfloat16"),
        ("float64", "float64"),
    ],
)
def test_dtypes(policy, dtype):
    with float64():
        ours = LeakyReLU(dtype=policy)(Z)
        builtin = keras.layers.LeakyReLU(dtype=policy)(Z)
        assert keras.backend.standardize_dtype(ours.dtype) == dtype
        np.testing.assert_array_equal(numpy64(ours), numpy64(builtin))


@pytest.mark.parametrize("slope", [-0.1, None])
def test_bad_argument(slope):
    message = f"`negative_slope` must be .*negative_slope={slope}"
    with pytest.raises(ValueError, match=message):
        LeakyReLU(negative_slope=slope)


def test_fit(rng):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Dense(8), LeakyReLU(0.1), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = rng.normal(size=(64, 2)).astype("float32")
    loss = model.fit(x, np.abs(x[:, :1]), epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]
