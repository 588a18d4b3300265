"""Tests of RMSprop alone; test_optimizers.py tests all optimizers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.optimizers import RMSprop
from tests.numerics import numpy64


def test_by_hand():
    # s = 0.25 * 4**2 = 4, then 0.75 * 4 + 0.25 * 6**2 + 4 = 4**2.
    w = keras.Variable([1.0])
    optimizer = RMSprop(0.1, rho=0.75, epsilon=0.0)
    optimizer.apply([ops.convert_to_tensor([4.0])], [w])
    np.testing.assert_allclose(numpy64(w), [0.8], rtol=1e-6)
    optimizer = RMSprop(0.1, rho=0.75, epsilon=5.0, momentum=0.5)
    w = keras.Variable([1.0])
    for g, expected in ((4.0, 1 - 0.4 / 3), (0.0, 1 - 0.6 / 3)):
        optimizer.apply([ops.convert_to_tensor([g])], [w])
        np.testing.assert_allclose(numpy64(w), [expected], rtol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_variance_of_0(momentum):
    # The difference of two large equal numbers, negative by rounding.
    w = keras.Variable(np.zeros(50), dtype="float32")
    optimizer = RMSprop(0.1, centered=True, momentum=momentum)
    optimizer.build([w])
    g = np.linspace(1, 1e4, 50)
    s, m = optimizer.variables[2], optimizer.variables[-1]
    s.assign(g**2 * (1 - 1e-6))
    m.assign(g)
    optimizer.apply([ops.convert_to_tensor(g, "float32")], [w])
    assert np.isfinite(numpy64(w)).all()
