"""The perceptron: Rosenblatt's rule and its convergence theorem."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.layers import Dense, Perceptron
from tests.numerics import float64, gradient, numpy64

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


def compiled(loss="huber", learning_rate=1.0, **arguments):
    model = keras.Sequential([keras.Input((2,)), Perceptron(**arguments)])
    model.compile(keras.optimizers.SGD(learning_rate), loss)
    return model


def rosenblatt(x, y, kernel, bias, learning_rate):
    """Yield the weights after each sample, in float64."""
    kernel, bias = kernel.astype("float64"), float(bias)
    for x_i, y_i in zip(x, y, strict=True):
        error = y_i - float(x_i @ kernel + bias > 0)
        kernel = kernel + learning_rate * error * x_i
        bias = bias + learning_rate * error
        yield kernel, bias


def test_by_hand():
    layer = Perceptron(2, kernel_initializer="ones", bias_initializer="zeros")
    y = numpy64(layer(np.array([[1, -1], [1, 1], [-3, 1]], "float32")))
    assert y.tolist() == [[0, 0], [1, 1], [0, 0]]
    # Exactly 0 or 1 for floats of any size and for infinity.
    big = np.array([[3e38, 0], [1e8, 3], [2e-38, 0], [np.inf, 0]], "float32")
    assert numpy64(layer(big)[:, 0]).tolist() == [1, 1, 1, 1]
    assert numpy64(layer(-big)[:, 0]).tolist() == [0, 0, 0, 0]


def test_gradient_passes_straight_through():
    layer = Perceptron(kernel_initializer="ones")
    x = np.array([[-5.0], [0.0], [1e4], [-np.inf]], "float32")
    assert gradient(layer, x).ravel().tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("loss", "learning_rate"),
    [
        ("huber", 0.5),
        pytest.param(
            "mean_absolute_error",
            0.5,
            # JAX takes the slope of |e| at 0 to be 1.
            marks=pytest.mark.backend("tensorflow", "torch"),
        ),
        ("mean_squared_error", 0.25),  # It doubles the step.
    ],
)
def test_every_step_is_rosenblatts(rng, loss, learning_rate):
    x = rng.normal(size=(40, 2)).astype("float32")
    y = (rng.random(40) < 0.5).astype("float32")
    model = compiled(loss, learning_rate)
    kernel, bias = model.get_weights()
    expected = rosenblatt(x, y, kernel[:, 0], bias[0], 0.5)
    for i, (kernel, bias) in enumerate(expected):
        model.train_on_batch(x[i : i + 1], y[i : i + 1, None])
        weights = model.get_weights()
        np.testing.assert_allclose(weights[0][:, 0], kernel, atol=1e-5)
        assert weights[1][0] == pytest.approx(bias, abs=1e-5)


def test_units_share_the_step(rng):
    # A mean over three units: each takes a third of the learning rate.
    model = compiled(learning_rate=3.0, units=3, kernel_initializer="zeros")
    model.train_on_batch(X[3:], np.array([[1, 0, 1]], "float32"))
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(bias, [1, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(kernel, [[1, 0, 1]] * 2, rtol=1e-6)


@pytest.mark.parametrize("gate", GATES)
def test_learns_and_and_or_but_never_xor(gate):
    model = compiled(kernel_initializer="zeros")
    y = np.array(GATES[gate], "float32")[:, None]
    right = []
    for _ in range(12):
        model.fit(X, y, batch_size=1, shuffle=False, verbose=0)
        right.append(int((numpy64(model(X)) == y).sum()))
    if gate == "xor":
        assert max(right) < 4
    else:
        assert right[-3:] == [4, 4, 4]


@pytest.mark.parametrize(
    "policy", ["float64", "mixed_float16", "mixed_bfloat16", "float16"]
)
def test_dtypes(rng, policy):
    x = rng.normal(size=(20, 4)).astype("float32")
    with float64():
        layer = Perceptron(2, dtype=policy)
        y = layer(ops.cast(x, layer.compute_dtype))
        dtype = keras.backend.standardize_dtype(y.dtype)
        assert dtype == layer.compute_dtype
        assert set(numpy64(y).ravel()) == {0, 1}


def test_config_round_trip():
    layer = Perceptron(3, False, kernel_regularizer="l2", name="unit")
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>Perceptron"
    again = keras.layers.deserialize(config)
    assert type(again) is Perceptron
    assert isinstance(again, Dense)
    assert again.get_config() == layer.get_config()


def test_bad_argument():
    with pytest.raises(ValueError, match="`units` must be .*units=0"):
        Perceptron(0)
    with pytest.raises(ValueError, match="`activation` must be .*=relu"):
        Perceptron(activation="relu")
