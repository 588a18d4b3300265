"""The statistics of a batch, against NumPy."""

import keras
import numpy as np
import pytest

from keras_ext.taps._backend import batch_kernels as kernels
from keras_ext.taps.batch_kernels import STATISTICS


def tensor(values):
    return keras.ops.convert_to_tensor(np.asarray(values, "float32"))


def summary(*arrays):
    row = kernels.batch_summary([tensor(a) for a in arrays])
    row = keras.ops.convert_to_numpy(row)
    return dict(zip(STATISTICS, row, strict=True))


def test_a_summary_of_several_tensors(rng):
    a, b = rng.normal(3, 2, (50, 7)), rng.uniform(-9, 9, (20,))
    entries = np.concatenate([a.ravel(), b]).astype("float32")
    expected = {
        "low": entries.min(),
        "high": entries.max(),
        "mean": entries.mean(),
        "std": entries.std(),
        "nonfinite": 0.0,
        "fraction": np.abs(entries - entries.round()).mean(),
    }
    assert summary(a, b) == pytest.approx(expected, rel=1e-5)


def test_a_summary_leaves_out_what_is_not_finite():
    found = summary([[3.0, np.nan, 5.0, np.inf], [-np.inf, 4.0, 4.0, 4.0]])
    assert found == pytest.approx(
        {
            "low": 0.0,
            "high": 5.0,
            "mean": 4.0,
            "std": np.sqrt(2 / 5),
            "nonfinite": 3 / 8,
            "fraction": 0.0,
        },
        abs=1e-6,
    )
    assert summary([np.nan])["nonfinite"] == 1.0


@pytest.mark.parametrize("n", [3, 7, 49, 1000, 99_991])
def test_no_finite_entry_counts_as_not_finite(n):
    assert summary(np.full(n, 0.1))["nonfinite"] == 0.0


def test_a_deviation_far_from_zero_is_exact(rng):
    x = rng.normal(1000, 0.5, (100, 10)).astype("float32")
    assert summary(x)["std"] == pytest.approx(x.astype(float).std(), rel=1e-4)


def test_the_data_stay_as_they_are():
    x = tensor([[1.5, np.nan], [2.5, -np.inf]])
    kernels.batch_summary([x])
    kernels.feature_scales(x)
    kernels.spread_over_samples(x)
    kernels.class_shares(x, 3)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(x), [[1.5, np.nan], [2.5, -np.inf]]
    )


def test_scales_of_features(rng):
    x = rng.normal(2, 3, (5, 4, 6)).astype("float32")
    x[0, 0, 2] = np.nan
    found = keras.ops.convert_to_numpy(kernels.feature_scales(tensor(x)))
    expected = np.sqrt(np.nan_to_num(x**2).mean((0, 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 4, 2)])
def test_spread_over_samples(shape, rng):
    y = rng.normal(5, 2, shape).astype("float32")
    expected = np.sqrt(np.var(y, axis=0).mean())
    found = kernels.spread_over_samples(tensor(y))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (2, 3)])
def test_class_shares_of_numbers(shape):
    y = np.reshape([0, 2, 2, 3, 7, -1], shape)  # 7 and -1 are no classes
    found = keras.ops.convert_to_numpy(kernels.class_shares(tensor(y), 4))
    np.testing.assert_allclose(found, [1 / 6, 0, 1 / 3, 1 / 6], rtol=1e-6)


def test_class_shares_of_one_hot_targets():
    y = np.eye(3)[[0, 0, 1, 2]]
    found = keras.ops.convert_to_numpy(kernels.class_shares(tensor(y), 3))
    np.testing.assert_allclose(found, [0.5, 0.25, 0.25])
