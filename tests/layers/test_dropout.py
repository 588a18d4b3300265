"""Dropout: both forms, the built-in's masks, drop rates of 0 and 1."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext.layers import Dropout
from tests.fresh_process import run_in_loader
from tests.numerics import EXAMPLES, float64, gradient, numpy64

TRAIN_ONCE = """
import sys
import keras
import numpy as np

model_path, x_path, out_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
y = model(np.load(x_path), training=True)
np.save(out_path, keras.ops.convert_to_numpy(y))
"""


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
    rate=st.sampled_from([0.0, 0.25, 0.9, 1.0]),
)
def test_both_forms_drop_what_the_builtin_drops(shape, seed, rate):
    x = np.random.default_rng(seed).normal(size=shape).astype("float32")
    expected = np.zeros_like(x)  # Not all versions of Keras draw 1.
    if rate < 1:
        expected = keras.layers.Dropout(rate, seed=seed)(x, training=True)
    ours = Dropout(rate, seed=seed)(x, training=True)
    np.testing.assert_array_equal(numpy64(ours), numpy64(expected))
    classic = Dropout(rate, seed=seed, inverted=False)
    kept = numpy64(expected) != 0
    np.testing.assert_array_equal(
        numpy64(classic(x, training=True)), np.where(kept, x, 0)
    )
    np.testing.assert_allclose(
        numpy64(classic(x, training=False)),
        (1 - rate) * x.astype("float64"),
        rtol=1e-6,
    )


@pytest.mark.parametrize("inverted", [True, False])
def test_noise_shape(inverted):
    x = np.ones((8, 5, 6), "float32")
    layer = Dropout(0.5, (None, 1, 6), seed=3, inverted=inverted)
    builtin = keras.layers.Dropout(0.5, (None, 1, 6), seed=3)
    y = numpy64(layer(x, training=True))
    assert (y == y[:, :1]).all()
    assert set(y.ravel()) == {0, 2 if inverted else 1}
    expected = numpy64(builtin(x, training=True))
    np.testing.assert_array_equal(y > 0, expected > 0)


@pytest.mark.parametrize("inverted", [True, False])
def test_expectation_is_that_of_inference(inverted):
    x = np.full((200, 200), 3.0, "float32")
    layer = Dropout(0.2, seed=0, inverted=inverted)
    trained = numpy64(layer(x, training=True))
    assert (trained == 0).mean() == pytest.approx(0.2, abs=0.01)
    inferred = numpy64(layer(x, training=False))
    assert trained.mean() == pytest.approx(inferred.mean(), rel=0.02)


def test_every_step_draws_anew():
    layer = Dropout(0.5, seed=0, inverted=False)
    x = np.ones((20, 20), "float32")
    first, second = (numpy64(layer(x, training=True)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize(("inverted", "scale"), [(True, 2), (False, 1)])
def test_gradient_is_the_mask(inverted, scale):
    layer = Dropout(0.5, seed=5, inverted=inverted)
    x = np.linspace(-1, 1, 50, dtype="float32")
    if keras.config.backend() == "jax":
        state = [v.value for v in layer.variables]
        slope = gradient(
            lambda x: layer.stateless_call([], state, x, training=True)[0], x
        )
    else:
        slope = gradient(lambda x: layer(x, training=True), x)
    assert set(slope.tolist()) == {0, scale}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("inverted", [True, False])
def test_dtypes(dtype, inverted):
    with float64():
        layer = Dropout(0.5, seed=1, inverted=inverted, dtype=dtype)
        x = ops.ones((6, 6), dtype)
        for training, scale in ((True, 1 + inverted), (False, None)):
            y = layer(x, training=training)
            assert keras.backend.standardize_dtype(y.dtype) == dtype
            if scale:
                assert set(numpy64(y).ravel()) == {0, scale}


def test_masks_are_passed_on():
    mask = np.array([[True, False]])
    assert Dropout(0.5).compute_mask(np.ones((1, 2, 3)), mask) is mask


def test_config_round_trip():
    layer = Dropout(0.3, (None, 1), seed=4, inverted=False, name="classic")
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>Dropout"
    again = keras.layers.deserialize(config)
    assert type(again) is Dropout
    assert isinstance(again, keras.layers.Dropout)
    assert again.get_config() == layer.get_config()


def test_state_is_saved(tmp_path):
    # A loaded model continues the draw of the saved one.
    model = keras.Sequential(
        [keras.Input((30,)), Dropout(0.5, seed=1, inverted=False)]
    )
    x = np.ones((4, 30), "float32")
    model(x, training=True)
    paths = [tmp_path / name for name in ("model.keras", "x.npy", "y.npy")]
    model.save(paths[0])
    np.save(paths[1], x)
    run_in_loader(TRAIN_ONCE, *paths)
    expected = numpy64(model(x, training=True))
    np.testing.assert_array_equal(np.load(paths[2]), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.5}, "`rate` must be in .*rate=1.5"),
        ({"rate": -0.1}, "`rate` must be in .*rate=-0.1"),
        ({"rate": float("nan")}, "`rate` must be in .*rate=nan"),
        ({"rate": None}, "`rate` must be in .*rate=None"),
        ({"rate": 0.5, "inverted": None}, "`inverted` must be .*=None"),
        ({"rate": 0.5, "noise_shape": (0,)}, "`noise_shape` must be"),
        ({"rate": 0.5, "noise_shape": 3}, "`noise_shape` must be .*=3"),
    ],
)
def test_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        Dropout(**arguments)
