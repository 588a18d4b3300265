"""Every backend gives the numbers of one NumPy computation in float64."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks

LAYERS = keras.layers
RATE = 0.1


@pytest.fixture(scope="module")
def numpy_step():
    """A step of sigmoid, ReLU and tanh layers, forward and backward."""
    rng = np.random.default_rng(5)
    sizes = [(6, 16), (16, 12), (12, 8), (8, 1)]
    weights = [(rng.normal(size=s) * 2, rng.normal(size=s[1])) for s in sizes]
    # Units that no input reaches.
    weights[1][1][:3] = -100.0
    x, y = rng.normal(size=(32, 6)), rng.normal(size=(32, 1))
    weights = [
        tuple(w.astype("float32").astype("float64") for w in pair)
        for pair in weights
    ]
    x, y = (a.astype("float32").astype("float64") for a in (x, y))

    outputs, h = [], x
    for (w, b), name in zip(weights, NAMES, strict=True):
        z = h @ w + b
        if name == "sigmoid":
            h = 1 / (1 + np.exp(-z))
        elif name == "relu":
            h = np.maximum(z, 0)
        elif name == "tanh":
            h = np.tanh(z)
        else:
            h = z
        outputs.append(h)

    slopes = [
        outputs[0] * (1 - outputs[0]),
        outputs[1] > 0,
        1 - outputs[2] ** 2,
        1,
    ]
    delta, norms = 2 * (outputs[3] - y) / len(x), []
    for i in (3, 2, 1, 0):
        delta = delta * slopes[i]
        below = outputs[i - 1] if i else x
        norms.append(np.hypot(*map(frobenius, (below.T @ delta, delta.sum(0)))))
        delta = delta @ weights[i][0].T
    return weights, x, y, outputs, norms[::-1]


NAMES = ["sigmoid", "relu", "tanh", "linear"]


def frobenius(a):
    return np.sqrt(np.square(a).sum())


def test_all_numbers_of_a_step(numpy_step):
    weights, x, y, outputs, norms = numpy_step
    model = keras.Sequential(
        [keras.Input((6,))]
        + [
            LAYERS.Dense(w.shape[1], activation=name, name=f"{name}_layer")
            for (w, _), name in zip(weights, NAMES, strict=True)
        ]
    )
    for layer, pair in zip(model.layers, weights, strict=True):
        layer.set_weights(pair)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    monitors = [
        callbacks.GradientNormLogger(),
        callbacks.DeadReLULogger(),
        callbacks.UpdateRatioLogger(),
        callbacks.ActivationLogger(),
    ]
    # Such large weights make large gradients.
    model.fit(
        x.astype("float32"),
        y.astype("float32"),
        batch_size=32,
        shuffle=False,
        callbacks=monitors,
        verbose=0,
    )
    found = {k: v for m in monitors for k, v in m.steps.items()}

    sigmoid, relu, tanh, _ = outputs
    expected = {
        "grad_norm/global": frobenius(norms),
        "dead_relu/relu_layer": np.mean(np.all(relu == 0, axis=0)),
        "zero_fraction/relu_layer": np.mean(relu == 0),
        "saturation/sigmoid_layer": np.mean(
            (sigmoid <= 0.01) | (sigmoid >= 0.99)
        ),
        "saturation/tanh_layer": np.mean(abs(tanh) >= 0.99),
    }
    assert expected["dead_relu/relu_layer"] >= 3 / 12
    assert 0 < expected["saturation/sigmoid_layer"] < 1
    for name, norm, pair, y in zip(NAMES, norms, weights, outputs, strict=True):
        size = np.hypot(*map(frobenius, pair))
        expected[f"grad_norm/{name}_layer"] = norm
        expected[f"update_ratio/{name}_layer"] = RATE * norm / size
        if name != "linear":
            expected[f"activation_mean/{name}_layer"] = y.mean()
            expected[f"activation_std/{name}_layer"] = y.std()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], [value], rtol=1e-4, err_msg=key)
