import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.losses import Exponential, Hinge, exponential, hinge
from tests.numerics import gradient, numpy64


def test_by_hand():
    y_true, y_pred = [[-1.0], [1.0], [1.0], [1.0]], [[0.5], [0.5], [2.0], [1.0]]
    assert numpy64(hinge(y_true, y_pred)).tolist() == [1.5, 0.5, 0, 0]
    np.testing.assert_allclose(
        numpy64(exponential(y_true, y_pred)),
        np.exp([0.5, -0.5, -2, -1]),
        rtol=1e-6,
    )


@pytest.mark.parametrize("function", [hinge, exponential])
@pytest.mark.parametrize("dtype", ["int64", "bool", "float32"])
def test_labels_of_zero_and_one(function, dtype, rng):
    y_pred = rng.normal(size=(6, 2)).astype("float32")
    bits = rng.integers(0, 2, (6, 2))
    np.testing.assert_array_equal(
        numpy64(function(bits.astype(dtype), y_pred)),
        numpy64(function((2 * bits - 1).astype("float32"), y_pred)),
    )


@pytest.mark.parametrize(
    "y_true",
    [[[0.0], [1.0]], [[-1.0], [1.0]], [[0.0], [-1.0]], [[0.5], [1.0]]],
    ids=str,
)
def test_one_other_label_leaves_all_as_they_are(y_true):
    y_pred = np.float32([[0.3], [-0.7]])
    np.testing.assert_allclose(
        numpy64(hinge(y_true, y_pred)),
        numpy64(keras.losses.hinge(np.float32(y_true), y_pred)),
        rtol=1e-6,
    )
    signs = np.array(y_true)
    if np.isin(signs, (0, 1)).all():
        signs = 2 * signs - 1
    np.testing.assert_allclose(
        numpy64(exponential(y_true, y_pred)),
        np.exp(-signs * y_pred).ravel(),
        rtol=1e-6,
    )


def test_gradient_of_the_hinge():
    margins = np.float32([[-1.0], [0.5], [2.0]])
    slopes = gradient(lambda f: hinge(ops.ones_like(f), f), margins)
    assert slopes.ravel().tolist() == [-1, -1, 0]


def test_ranks_of_the_exponential(rng):
    y_true = rng.integers(0, 2, (6,))
    y_pred = rng.normal(size=(6, 1)).astype("float32")
    expected = numpy64(exponential(y_true[:, None], y_pred))
    assert numpy64(exponential(y_true, y_pred)).tolist() == expected.tolist()
    loss = Exponential(reduction=None)
    assert numpy64(loss(y_true, y_pred)).tolist() == expected.tolist()


def test_large_margins():
    y_true = np.float32([[1.0], [1.0]])
    y_pred = np.float32([[80.0], [1e4]])
    right = numpy64(exponential(y_true, y_pred))
    np.testing.assert_allclose(right, [np.exp(-80), 0], rtol=1e-5)
    assert not np.isnan(
        gradient(lambda f: exponential(y_true, f), -y_pred)
    ).any()
    assert float(Hinge()(y_true, -1e4 * y_true)) == 1e4 + 1
