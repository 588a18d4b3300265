"""Whole curves in bounded memory."""

import numpy as np
import pytest

from keras_ext import callbacks
from keras_ext.callbacks.series import Means, StepSeries, filled, merged


def added(values, max_points, sizes, merge=np.max):
    series = StepSeries(max_points, lambda key: merge)
    start = 0
    while start < len(values):
        size = next(sizes)
        index = np.arange(start, min(start + size, len(values)))
        series.add({"step": 10 * index, "a": values[index]})
        start += size
        kept = series.values()
        assert len(kept["step"]) <= (max_points or len(values))
    return series


def blocks_of(*sizes):
    while True:
        yield from sizes


def test_neighbours_become_one_when_the_room_is_used_up():
    series = StepSeries(4, lambda key: np.max)
    series.add({"step": np.arange(3), "a": np.array([1.0, 5.0, 2.0])})
    assert series.values()["a"].tolist() == [1, 5, 2]
    series.add({"step": np.arange(3, 5), "a": np.array([3.0, 4.0])})
    assert series.samples_per_point == 2
    assert series.values()["a"].tolist() == [5, 3, 4]
    assert series.values()["step"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("size", [1, 7, 256, 5000])
def test_a_hundred_thousand_rows_keep_their_whole_curve(rng, size):
    values = rng.normal(size=100_000 if size > 1 else 3000)
    values[777] = 100.0  # a single spike
    series = added(values, 512, blocks_of(size))
    kept = series.values()
    each = series.samples_per_point
    assert 256 <= len(kept["a"]) <= 512
    assert kept["step"].tolist() == list(range(0, 10 * len(values), 10 * each))
    starts = np.arange(0, len(values), each)
    np.testing.assert_array_equal(
        kept["a"], np.maximum.reduceat(values, starts)
    )
    assert kept["a"].max() == 100.0


def test_means_and_sums_are_those_of_all_samples(rng):
    values = rng.normal(size=1024)
    for merge in (np.mean, np.sum):
        kept = added(values, 64, blocks_of(100), merge).values()["a"]
        expected = merge(values.reshape(len(kept), -1), axis=1)
        np.testing.assert_allclose(kept, expected)


def test_what_is_not_finite_stays_visible():
    values = np.ones(1000)
    values[500], values[600] = np.nan, np.inf
    kept = added(values, 10, blocks_of(30)).values()["a"]
    assert np.isnan(kept).sum() == 1 and np.isinf(kept).sum() == 1


def test_without_a_limit_all_is_kept():
    kept = added(np.arange(5000.0), None, blocks_of(256)).values()
    assert kept["a"].tolist() == list(range(5000))


def test_memory_is_bounded():
    series = added(np.zeros(50_000), 100, blocks_of(256))
    held = [*series._points, series._rest]
    assert sum(len(block["step"]) for block in held) < 100 + 1024


def test_means_of_what_counts():
    means = Means()
    block = {"step": np.arange(3), "a": np.array([1.0, 2.0, np.nan])}
    means.add(block, np.array([True, True, False]))
    means.add(block, np.array([True, False, False]))
    assert means.values() == {"a": 4 / 3}
    assert Means().values() == {}


def with_gaps():
    """Blocks of a run in which `a` ends, `b` begins and `c` has gaps."""
    c = np.ma.array([5.0, 0.0, np.nan], mask=[False, True, False])
    ones = np.ones(3)
    return [
        {"step": np.arange(3), "a": ones, "c": c, "all": ones},
        {"step": np.arange(3, 6), "b": 2 * ones, "c": c, "all": ones},
    ]


def test_a_key_without_a_value_is_nan_there():
    series = StepSeries(None, lambda key: np.max)
    for block in with_gaps():
        series.add(block)
    nan = np.nan
    wanted = {
        "step": range(6),
        "a": [1, 1, 1, nan, nan, nan],
        "b": [nan, nan, nan, 2, 2, 2],
        "c": [5, nan, nan, 5, nan, nan],
        "all": np.ones(6),
    }
    found = filled(series.values())
    # The order of the layers stays.
    assert sorted(found) == sorted(wanted) and list(found)[-2:] == ["c", "all"]
    for key, values in wanted.items():
        np.testing.assert_array_equal(found[key], values)
        assert type(found[key]) is np.ndarray


def test_neighbours_without_a_value_do_not_hide_one():
    series = StepSeries(4, lambda key: np.max)
    for block in with_gaps():
        series.add(block)
    found = filled(series.values())
    np.testing.assert_array_equal(found["a"], [1, 1, np.nan])
    np.testing.assert_array_equal(found["b"], [np.nan, 2, 2])
    # NaN that was measured does hide its neighbour.
    np.testing.assert_array_equal(found["c"], [5, np.nan, np.nan])


def test_means_are_those_of_the_samples_with_a_value():
    means = Means()
    some = np.array([True, True, False])
    for block in with_gaps():
        means.add(block, some)
    assert means.values() == {"b": 2, "a": 1, "c": 5, "all": 1}


def test_orders_of_keys_are_merged():
    assert merged(["b", "c", "z"], ["a", "b", "d", "z"]) == [*"abdcz"]
    assert merged([], ["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("max_points", [0, 1, 2.5, True, "many"])
def test_bad_max_points(max_points):
    with pytest.raises(ValueError, match="`max_points` must be an integer"):
        callbacks.GradientNormLogger(max_points=max_points)
