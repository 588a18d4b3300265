import keras
import numpy as np
import pytest

from keras_ext import losses
from tests.losses.loss_formulas import binary_focal_crossentropy as formula
from tests.numerics import gradient, numpy64


def test_by_hand():
    # -(1 - p)^2 log(p): 0.01 * 0.10536 and 0.81 * 2.302585.
    y_true, y_pred = [[1.0], [1.0]], [[0.9], [0.1]]
    expected = [0.0010536, 1.8650939]
    loss = numpy64(losses.binary_focal_crossentropy(y_true, y_pred))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    y_true, y_pred = [[1, 0], [1, 0]], [[0.9, 0.1], [0.1, 0.9]]
    loss = losses.categorical_focal_crossentropy(y_true, y_pred, alpha=0.5)
    np.testing.assert_allclose(numpy64(loss) * 2, expected, rtol=1e-4)


def test_class_balancing():
    def loss(label, p):
        return float(
            losses.BinaryFocalCrossentropy(True, alpha=0.2)([[label]], [[p]])
        )

    assert loss(1.0, 0.3) / loss(0.0, 0.7) == pytest.approx(0.2 / 0.8)


@pytest.mark.parametrize("from_logits", [True, False])
def test_gamma_zero_is_the_crossentropy(from_logits, rng):
    y_true = rng.integers(0, 2, (6, 3)).astype("float32")
    y_pred = rng.uniform(0, 1, (6, 3)).astype("float32").round()
    y_pred[0] = [0.2, 0.3, 0.5]
    focal = losses.BinaryFocalCrossentropy(gamma=0, from_logits=from_logits)
    plain = losses.BinaryCrossentropy(from_logits=from_logits)
    assert float(focal(y_true, y_pred)) == float(plain(y_true, y_pred))
    np.testing.assert_array_equal(
        gradient(lambda y: focal(y_true, y), y_pred),
        gradient(lambda y: plain(y_true, y), y_pred),
    )


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_powers(gamma, rng):
    y_true = rng.integers(0, 2, (4, 3)).astype("float32")
    y_pred = rng.uniform(0.01, 0.99, (4, 3)).astype("float32")
    for ours, builtin in (
        (
            losses.binary_focal_crossentropy,
            keras.losses.binary_focal_crossentropy,
        ),
        (
            losses.categorical_focal_crossentropy,
            keras.losses.categorical_focal_crossentropy,
        ),
    ):
        np.testing.assert_allclose(
            numpy64(ours(y_true, y_pred, gamma=gamma)),
            numpy64(builtin(y_true, y_pred, gamma=gamma)),
            rtol=1e-5,
        )
        np.testing.assert_allclose(
            gradient(lambda y, f=ours: f(y_true, y, gamma=gamma), y_pred),
            gradient(lambda y, f=builtin: f(y_true, y, gamma=gamma), y_pred),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sure_predictions_have_a_gradient(gamma):
    # The slope of a root at 0 is infinite: NaN in the built-ins.
    y_true = np.float32([[1, 0], [1, 0]])
    p = np.float32([[1, 0], [0, 1]])
    z = np.float32([[1e4, -1e4], [-1e4, 1e4]])
    for function in (
        losses.binary_focal_crossentropy,
        losses.categorical_focal_crossentropy,
    ):
        for y_pred, from_logits in ((p, False), (z, True)):
            slopes = gradient(
                lambda y, f=function, from_logits=from_logits: f(
                    y_true, y, gamma=gamma, from_logits=from_logits
                ),
                y_pred,
            )
            assert np.isfinite(slopes).all()


def test_wrong_logits_are_not_clipped():
    # The built-in on JAX and PyTorch stops at -log(epsilon), about 16.
    z = np.float32([[-20.0, 30.0, -1e4]])
    y_true = np.float32([[1, 0, 1]])
    loss = losses.binary_focal_crossentropy(y_true, z, from_logits=True)
    expected = formula(np.float64(y_true), np.float64(z), from_logits=True)
    np.testing.assert_allclose(numpy64(loss), expected, rtol=1e-6)
    slopes = gradient(
        lambda z: losses.binary_focal_crossentropy(y_true, z, from_logits=True),
        z,
    )
    np.testing.assert_allclose(slopes, [[-1 / 3, 1 / 3, -1 / 3]], rtol=1e-5)


def test_weights_of_the_classes(rng):
    y_true = np.eye(3, dtype="float32")[rng.integers(0, 3, (4, 5))]
    y_pred = rng.uniform(0.1, 1, (4, 5, 3)).astype("float32")
    alpha = (0.2, 0.3, 0.5)
    last = losses.CategoricalFocalCrossentropy(alpha, reduction=None)
    builtin = keras.losses.CategoricalFocalCrossentropy(alpha, reduction=None)
    expected = numpy64(builtin(y_true, y_pred))
    np.testing.assert_allclose(
        numpy64(last(y_true, y_pred)), expected, rtol=1e-5
    )
    first = losses.CategoricalFocalCrossentropy(alpha, axis=1, reduction=None)
    np.testing.assert_allclose(
        numpy64(first(y_true.swapaxes(1, 2), y_pred.swapaxes(1, 2))),
        expected,
        rtol=1e-5,
    )
    assert last.get_config()["alpha"] == list(alpha)
