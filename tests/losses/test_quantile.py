import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.losses import Quantile, quantile
from tests.numerics import gradient, numpy64


def test_by_hand():
    # A prediction that is 1 too low costs q, 1 too high costs 1 - q.
    loss = quantile([[1.0], [1.0], [1.0]], [[0.0], [2.0], [1.0]], 0.9)
    np.testing.assert_allclose(numpy64(loss), [0.9, 0.1, 0], rtol=1e-6)


def test_gradient():
    error = np.float32([[-2.0], [0.0], [3.0]])  # Prediction minus label.
    slopes = gradient(lambda e: quantile(ops.zeros_like(e), e, 0.9), error)
    np.testing.assert_allclose(slopes.ravel(), [-0.9, -0.9, 0.1], rtol=1e-5)


def test_median_is_half_the_absolute_error(rng):
    y_true, y_pred = rng.normal(size=(2, 6, 3)).astype("float32")
    np.testing.assert_allclose(
        numpy64(quantile(y_true, y_pred)),
        numpy64(keras.losses.mean_absolute_error(y_true, y_pred)) / 2,
        rtol=1e-6,
    )


@pytest.mark.parametrize("q", [0.05, 0.5, 0.8])
def test_scikit_learn(q, rng):
    metrics = pytest.importorskip("sklearn.metrics")
    y_true, y_pred = rng.normal(size=(2, 12, 3)).astype("float32")
    weights = rng.random(12).astype("float32")
    expected = metrics.mean_pinball_loss(
        y_true, y_pred, alpha=q, sample_weight=weights
    )
    loss = Quantile(q, reduction="mean_with_sample_weight")
    assert float(loss(y_true, y_pred, weights)) == pytest.approx(expected)


def test_one_column_for_each_quantile(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    q = (0.1, 0.5, 0.9)
    y_true = rng.normal(size=12).astype("float32")
    y_pred = rng.normal(size=(12, 3)).astype("float32")
    expected = pytest.approx(
        np.mean(
            [
                metrics.mean_pinball_loss(y_true, column, alpha=level)
                for column, level in zip(y_pred.T, q, strict=True)
            ]
        )
    )
    loss = Quantile(q)
    assert float(loss(y_true, y_pred)) == expected
    assert float(loss(y_true[:, None], y_pred)) == expected
    repeated = np.repeat(y_true[:, None], 3, axis=1)
    assert float(loss(repeated, y_pred)) == expected


def test_targets_times_quantiles(rng):
    q = [0.25, 0.75]
    y_true = rng.normal(size=(6, 3)).astype("float32")
    y_pred = rng.normal(size=(6, 3, 2)).astype("float32")
    result = numpy64(quantile(y_true, y_pred, q))
    assert result.shape == (6, 3)
    for target in range(3):
        np.testing.assert_allclose(
            result[:, target],
            numpy64(quantile(y_true[:, target], y_pred[:, target], q)),
            rtol=1e-6,
        )


def test_a_single_quantile_in_a_sequence(rng):
    y_true = rng.normal(size=(6,)).astype("float32")
    y_pred = rng.normal(size=(6, 1)).astype("float32")
    assert float(Quantile([0.3])(y_true, y_pred)) == pytest.approx(
        float(Quantile(0.3)(y_true, y_pred))
    )


@pytest.mark.parametrize("q", [(0.1, 0.9), [0.1, 0.9], np.array([0.1, 0.9])])
def test_config_of_a_sequence(q):
    config = json.loads(json.dumps(keras.losses.serialize(Quantile(q))))
    again = keras.losses.deserialize(config)
    assert again.quantile == [0.1, 0.9]
    assert again.get_config() == Quantile(q).get_config()


def test_wrong_number_of_columns():
    message = "one value for each column .* Received: quantile="
    with pytest.raises(ValueError, match=message):
        Quantile([0.1, 0.9])([[1.0]], [[1.0, 2.0, 3.0]])


def test_fit_encloses_the_labels(rng):
    # Labels uniform in [0, 10]: the quantiles of the model are known.
    y = rng.uniform(0, 10, size=(4096, 1)).astype("float32")
    x = np.ones_like(y)
    model = keras.Sequential([keras.layers.Dense(3, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0), Quantile((0.1, 0.5, 0.9)))
    model.fit(x, y, batch_size=64, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][0], [1, 5, 9], atol=0.6)
