"""Layers that a training step does not use have no values and no warnings."""

import warnings

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from keras_ext.doctor import check


class Net(keras.Model):
    """Has a layer that no call uses, and one whose gradient is zero."""

    def __init__(self):
        super().__init__()
        self.spare = keras.layers.Dense(5, "relu", name="spare")
        self.hidden = [
            keras.layers.Dense(6, "relu", name=f"hidden_{i}") for i in range(3)
        ]
        self.muted = keras.layers.Dense(6, name="muted")
        self.out = keras.layers.Dense(1, name="out")

    def build(self, shape):
        self.spare.build(shape)
        for layer in self.hidden:
            layer.build((None, 6))
        self.muted.build((None, 6))
        self.out.build((None, 6))
        self.built = True

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.out(x + 0.0 * self.muted(x))


def compiled_net(**options):
    keras.utils.set_random_seed(3)
    model = Net()
    model.build((None, 6))
    model.compile(keras.optimizers.Adam(0.01), "mse", **options)
    return model


def batches():
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    return x, x[:, :1] * 2


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("eagerly", [False, True], ids=["graph", "eager"])
def test_no_value_and_no_warning_is_invented(eagerly):
    x, y = batches()
    model = compiled_net(run_eagerly=eagerly)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    ratios = callbacks.UpdateRatioLogger(every_n_steps=1)
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    outputs = callbacks.ActivationLogger(every_n_steps=1)
    doctor = callbacks.TrainingDoctor(every_n_steps=1, on_finding="raise")
    monitors = [norms, ratios, dead, outputs, doctor]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(
            x, y, batch_size=16, epochs=3, callbacks=monitors, verbose=0
        )
    messages = " ".join(str(w.message) for w in caught)
    assert "layer 'spare'" not in messages
    # A gradient of zero is a gradient: that one did vanish.
    assert "Vanishing gradient in layer 'muted'" in messages
    for keys in (history.history, doctor.history.series, doctor.history.epochs):
        assert not [key for key in keys if key.endswith("/spare")]
    assert (norms.steps["grad_norm/muted"] == 0).all()
    assert (ratios.steps["update_ratio/hidden_0"] > 0).all()
    named = [f for f in doctor.findings if f.layer == "spare"]
    assert not named


def test_check_leaves_them_out():
    x, y = batches()
    model = compiled_net()
    problems = {finding.problem for finding in check(model, x, y)}
    assert "vanishing_gradient" not in problems


@pytest.mark.backend("torch", "tensorflow")
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_layer_in_every_second_step():
    class Every(keras.layers.Layer):
        calls = -1

        def build(self, shape):
            self.inner = keras.layers.Dense(6, name="inner")
            self.inner.build(shape)

        def call(self, x):
            self.calls += 1
            return self.inner(x) if self.calls % 2 else x

    x, y = batches()
    every = Every(name="every")
    model = keras.Sequential(
        [keras.Input((6,)), every, keras.layers.Dense(1, name="out")]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    model.predict(x[:2], verbose=0)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    start = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: setattr(every, "calls", -1)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Vanishing")
        model.fit(
            x, y, batch_size=8, epochs=2, callbacks=[norms, start], verbose=0
        )
    used = ~np.isnan(norms.steps["grad_norm/every/inner"])
    assert used.tolist() == [False, True] * 8
    assert np.isfinite(norms.epochs["grad_norm/every/inner"]).all()
    np.testing.assert_allclose(
        norms.steps["grad_norm/global"][~used],
        norms.steps["grad_norm/out"][~used],
    )
