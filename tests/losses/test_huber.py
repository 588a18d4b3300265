import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.losses import Huber, huber
from tests.numerics import gradient, numpy64

# Tests of all losses are in test_losses.py.


def test_by_hand():
    # Errors 0.5 and 3 with delta 1: 0.125 and 2.5. -1 is on the border: 0.5.
    y_true = [[0.0, 0.0], [0.0, 0.0]]
    y_pred = [[0.5, 3.0], [-1.0, 0.0]]
    assert numpy64(huber(y_true, y_pred)).tolist() == [1.3125, 0.25]
    assert float(Huber()(y_true, y_pred)) == (1.3125 + 0.25) / 2
    assert float(Huber(delta=2.0)([[0.0]], [[3.0]])) == 2 * 3 - 2


def test_gradient_is_the_error_clipped_at_delta():
    error = np.array([[-9.0], [-2.0], [-0.5], [0.0], [0.5], [2.0], [9.0]])
    error = error.astype("float32")
    slopes = gradient(lambda e: huber(ops.zeros_like(e), e, 2.0), error)
    assert slopes.ravel().tolist() == [-2, -2, -0.5, 0, 0.5, 2, 2]


def test_no_limit():
    # The built-in's unused branch is infinite here, and its gradient NaN.
    error = np.array([[3.0], [-4.0]], "float32")
    loss = Huber(delta=float("inf"), reduction="sum")
    assert float(loss(np.zeros_like(error), error)) == 12.5
    slopes = gradient(lambda e: loss(ops.zeros_like(e), e), error)
    assert slopes.ravel().tolist() == [3, -4]


def test_mixed_precision(rng):
    # Losses of a mixed model are computed in float32.
    model = keras.Sequential([keras.layers.Dense(3, dtype="mixed_float16")])
    model.compile("sgd", Huber())
    x, y = rng.normal(size=(2, 16, 3)).astype("float32")
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


def test_fit_withstands_outliers(rng):
    # Fit a line through points with outliers.
    x = rng.uniform(-1, 1, size=(128, 1)).astype("float32")
    y = 2 * x
    y[:12] += 50
    x, y = np.tile(x, (40, 1)), np.tile(y, (40, 1))

    def slope(loss):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.3), loss)
        model.fit(x, y, batch_size=128, epochs=2, shuffle=False, verbose=0)
        return model.layers[0].get_weights()

    kernel, bias = slope(Huber())
    assert kernel[0, 0] == pytest.approx(2, abs=0.3)
    assert bias[0] == pytest.approx(0, abs=0.3)
    assert abs(slope("mse")[1][0]) > 3
