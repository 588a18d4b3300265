"""Monitors of a model that a callback changes in the middle of a `fit`."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks

EPOCHS = 4


class Change(keras.callbacks.Callback):
    """Freezes or thaws the base, and compiles, at some time."""

    def __init__(self, when, trainable=True, compiles=True):
        super().__init__()
        self.trainable = trainable
        self.compiles = compiles
        # The same change, one line up or down in Keras's loop.
        self.when = {
            "epoch end": ("on_epoch_end", 1),
            "epoch begin": ("on_epoch_begin", 2),
            "batch begin": ("on_train_batch_begin", 2),
        }[when]
        self.epoch = 0

    def change_if(self, hook, index):
        if (hook, index) != self.when:
            return
        if hook == "on_train_batch_begin" and self.epoch != 2:
            return
        model = self.model
        model.get_layer("base").trainable = self.trainable
        if self.compiles:
            optimizer = keras.optimizers.SGD(0.05, clipnorm=0.5)
            optimizer.build(model.trainable_variables)
            model.compile(optimizer, "mse")
            model.make_train_function(force=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.change_if("on_epoch_begin", epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.change_if("on_epoch_end", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.change_if("on_train_batch_begin", batch)


def fitted(change, monitors=(), first=True, frozen=True, **options):
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu", name="base"),
            keras.layers.Dense(1, name="head"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)
    model.get_layer("base").trainable = not frozen
    model.compile(
        optimizer if "run_eagerly" in options else "sgd", "mse", **options
    )
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    order = [change, *monitors] if first else [*monitors, change]
    history = model.fit(
        x,
        2 * x[:, :1],
        batch_size=16,
        epochs=EPOCHS,
        verbose=0,
        callbacks=order,
    )
    return history.history, model.get_weights()


TIMES = ["epoch end", "epoch begin", "batch begin"]
# On JAX an epoch keeps its state.
TIMES = TIMES[: 2 if keras.config.backend() == "jax" else None]


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("when", TIMES)
def test_thawed_layers_are_measured(when, first):
    _, wanted = fitted(Change(when), first=first)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    doctor = callbacks.TrainingDoctor(every_n_steps=1, on_finding="raise")
    history, weights = fitted(Change(when), [norms, doctor], first)
    for array, expected in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-7)

    base, head, whole = (
        norms.steps[f"grad_norm/{name}"] for name in ("base", "head", "global")
    )
    before = 10 if when == "batch begin" else 8
    assert norms.steps["step"].tolist() == list(range(4 * EPOCHS))
    assert np.isnan(base).tolist() == [True] * before + [False] * (16 - before)
    np.testing.assert_allclose(whole**2, np.nan_to_num(base) ** 2 + head**2)

    epochs = norms.epochs["grad_norm/base"]
    assert np.isnan(epochs).tolist() == [True, True, False, False]
    np.testing.assert_allclose(history["grad_norm/base"], epochs)
    assert {len(values) for values in history.values()} == {EPOCHS}

    series = doctor.history.series
    np.testing.assert_allclose(series["grad_norm/base"], base)
    assert np.isnan(series["update_ratio/base"]).sum() == before
    assert doctor.history.facts.clips
    assert [x.trainable for x in doctor.history.facts.layers] == [True, True]


@pytest.mark.parametrize("when", TIMES)
def test_frozen_layers_have_no_value(when):
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    ratios = callbacks.UpdateRatioLogger(every_n_steps=1, layers=["base"])
    doctor = callbacks.TrainingDoctor(every_n_steps=1, on_finding="raise")
    change = Change(when, trainable=False)
    history, _ = fitted(change, [norms, ratios, doctor], frozen=False)
    after = 6 if when == "batch begin" else 8
    for key, steps in (norms.steps | ratios.steps).items():
        if key.endswith("/base"):
            assert np.isnan(steps).sum() == after
            assert np.isnan(history[key][3]) and np.isfinite(history[key][0])
    assert np.isfinite(norms.steps["grad_norm/global"]).all()
    layers = doctor.history.facts.layers
    assert [layer.trainable for layer in layers] == [False, True]


@pytest.mark.backend("torch", "tensorflow")
@pytest.mark.parametrize("frozen", [True, False])
def test_an_eager_step_follows_a_change_without_compiling(frozen):
    def change():
        return Change("epoch begin", trainable=frozen, compiles=False)

    options = {"frozen": frozen, "run_eagerly": True}
    _, wanted = fitted(change(), **options)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    _, weights = fitted(change(), [norms], first=False, **options)
    for array, expected in zip(weights, wanted, strict=True):
        np.testing.assert_array_equal(array, expected)
    epochs = norms.epochs["grad_norm/base"]
    expected = [frozen, frozen, not frozen, not frozen]
    assert np.isnan(epochs).tolist() == expected


@pytest.mark.parametrize("when", TIMES[:2])
def test_a_new_optimizer_is_measured(when):
    norms = callbacks.GradientNormLogger(every_n_steps=2)
    change = Change(when)
    _, wanted = fitted(change, frozen=False)
    history, weights = fitted(change, [norms], frozen=False)
    for array, expected in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-7)
    assert norms.steps["step"].tolist() == list(range(0, 4 * EPOCHS, 2))
    np.testing.assert_array_equal(
        history["clipped_fraction"], [np.nan, np.nan, 1, 1]
    )


@pytest.mark.backend("torch", "tensorflow")
def test_a_missing_train_function_is_keras_s_own_error():
    class Compile(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.compile("sgd", "mse")

    norms = callbacks.GradientNormLogger()
    with pytest.raises(TypeError, match="NoneType"):
        fitted(Compile(), [norms])
    assert np.isfinite(norms.epochs["grad_norm/global"]).all()
