"""Tests of Adagrad alone; test_optimizers.py tests all optimizers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.optimizers import Adagrad
from tests.numerics import numpy64


def step(optimizer, w, g, s=None, times=1):
    """Return the weights after some steps, from the sums `s`."""
    variable = keras.Variable(w, dtype="float32")
    optimizer.build([variable])
    if s is not None:
        optimizer.variables[2].assign(s)
    for _ in range(times):
        optimizer.apply([ops.convert_to_tensor(g, "float32")], [variable])
    return numpy64(variable)


def test_by_hand():
    # 2**2 + 0 + 5 = 3**2, and 2 + 2.
    options = {"initial_accumulator_value": 0.0}
    w = step(Adagrad(0.3, epsilon=5.0, **options), [1.0], [2.0])
    np.testing.assert_allclose(w, [0.8], rtol=1e-6)
    outside = {"epsilon": 2.0, "epsilon_inside_root": False}
    w = step(Adagrad(0.4, **outside, **options), [1.0], [2.0])
    np.testing.assert_allclose(w, [0.8], rtol=1e-6)


@pytest.mark.parametrize("lowest", [0.1, 1e-9, 0.0])
def test_state_below_the_initial_value(lowest):
    # As from an optimizer with another initial value, where epsilon matters.
    n = 100_000
    s = np.geomspace(0.1, 10, n)
    s[0] = lowest
    g = np.full(n, 1e-4)
    w = np.zeros(n)
    expected = step(keras.optimizers.Adagrad(1.0), w, g, s, times=3)
    result = step(Adagrad(1.0), w, g, s, times=3)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_epsilon_of_large_variables():
    # From the initial value up to sums for which epsilon no longer matters.
    s = np.geomspace(0.1, 1e3, 100_000)
    g = 1e-3 * np.ones_like(s)
    expected = 1 / np.sqrt(s + g**2 + 1e-7)
    result = -step(Adagrad(1.0), np.zeros_like(s), g, s) / g
    np.testing.assert_allclose(result, expected, rtol=5e-7)
