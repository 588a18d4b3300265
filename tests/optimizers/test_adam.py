"""Tests of Adam alone; test_optimizers.py tests all optimizers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.optimizers import Adam
from tests.numerics import numpy64


def test_by_hand():
    # In the first step m_hat = g and v_hat = g**2.
    optimizer = Adam(0.1, epsilon=1.0, epsilon_hat=False)
    w = keras.Variable([1.0, 2.0])
    optimizer.apply([ops.convert_to_tensor([1.0, -4.0])], [w])
    np.testing.assert_allclose(numpy64(w), [0.95, 2.08], rtol=1e-6)
    # With epsilon hat: alpha = 0.1 * sqrt(0.001) / 0.1.
    optimizer = Adam(0.1, epsilon=1.0)
    w = keras.Variable([1.0])
    optimizer.apply([ops.convert_to_tensor([1.0])], [w])
    alpha = np.sqrt(0.001)
    expected = 1 - alpha * 0.1 / (np.sqrt(0.001) + 1)
    np.testing.assert_allclose(numpy64(w), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("epsilon_hat", "trajectory"),
    [
        (True, [0.961257411, 0.914589887, 0.863556992, 0.809784054]),
        (False, [0.904761905, 0.810110156, 0.716362193, 0.623886368]),
    ],
)
def test_golden_trajectory(epsilon_hat, trajectory):
    # The slope of w**2 from w = 1, with an epsilon for which the forms differ.
    optimizer = Adam(0.1, epsilon=0.1, epsilon_hat=epsilon_hat)
    w = keras.Variable(1.0)
    for expected in trajectory:
        optimizer.apply([2 * ops.convert_to_tensor(w)], [w])
        assert float(numpy64(w)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("amsgrad", [True, False])
@pytest.mark.backend("torch")
def test_torch_with_and_without_the_fused_kernel(rng, monkeypatch, amsgrad):
    from keras_ext.optimizers import _torch_groups

    gradients = rng.normal(size=(5, 4, 3))
    for epsilon_hat in (True, False):
        results = []
        for fused_from in (0, 1000):
            with monkeypatch.context() as patch:
                patch.setattr(_torch_groups, "_LARGE", fused_from)
                w = keras.Variable(np.ones((4, 3)), dtype="float32")
                optimizer = Adam(0.01, amsgrad=amsgrad, epsilon_hat=epsilon_hat)
                for g in gradients:
                    optimizer.apply([ops.convert_to_tensor(g, "float32")], [w])
                results.append(numpy64(w))
        np.testing.assert_allclose(*results, 1e-6, 2e-6)


@pytest.mark.backend("tensorflow")
def test_tensorflow_reads_what_all_variables_share_once():
    import tensorflow as tf

    variables = [keras.Variable(np.ones(9000)) for _ in range(4)]
    optimizer = Adam()
    optimizer.build(variables)
    step = tf.function(lambda grads: optimizer.apply(grads, variables))
    graph = step.get_concrete_function([tf.ones(9000)] * 4).graph
    kinds = [operation.type for operation in graph.get_operations()]
    # Reads: the iteration, for the powers and to count, and the learning rate.
    assert kinds.count("ReadVariableOp") <= 4
