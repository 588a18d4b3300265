"""Each kind of problem causes one warning; healthy models cause none."""

import re
import warnings

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from keras_ext.callbacks.alarms import GradientAlarms
from tests.monitored_models import LAYERS, MODELS, compiled, data

pytestmark = pytest.mark.backend("torch")


def fit(layers, *monitors, optimizer="adam", epochs=2, y=None, **options):
    """Fit a small classifier and return the texts of its warnings."""
    keras.utils.set_random_seed(3)
    x, classes = data(samples=64)
    model = keras.Sequential([keras.Input((6,)), *layers])
    loss = "sparse_categorical_crossentropy" if y is None else "mse"
    model.compile(optimizer, loss)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Of Keras on JAX 0.12.
        warnings.filterwarnings("ignore", "Explicitly requested dtype int64")
        model.fit(
            x,
            classes if y is None else y,
            batch_size=16,
            epochs=epochs,
            callbacks=list(monitors),
            verbose=0,
            **options,
        )
    caught = [w for w in caught if w.category is UserWarning]
    assert all("\n" not in str(w.message) for w in caught)
    return caught


def sigmoids(count):
    hidden = [
        LAYERS.Dense(16, activation="sigmoid", name=f"sigmoid_{i}")
        for i in range(count)
    ]
    return [*hidden, LAYERS.Dense(3, activation="softmax", name="out")]


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_a_vanishing_gradient_is_named_once():
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    (caught,) = fit(sigmoids(12), norms, epochs=3)
    text = str(caught.message)
    assert text.startswith("Vanishing gradient in layer 'sigmoid_0': its norm")
    value = norms.steps["grad_norm/sigmoid_0"][3]
    assert f"{value:.3g} at step 3 is below `vanishing=0.0001`" in text
    assert "since step 0" in text and "more layers too" in text
    # It points at the line that calls `fit`.
    assert caught.filename == __file__
    assert len(norms._notes("grad_norm/")) > 1
    # Another fit warns again.
    assert fit(sigmoids(12), norms)
    quiet = callbacks.GradientNormLogger(every_n_steps=1, vanishing=None)
    assert not fit(sigmoids(12), quiet)


def test_an_exploding_gradient_is_named_once():
    # Each step makes the error about ten times larger.
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    caught = fit(
        [LAYERS.Dense(1, name="out")],
        norms,
        optimizer=keras.optimizers.SGD(5.0),
        y=np.ones((64, 1)),
        epochs=20,
    )
    caught = [str(w.message) for w in caught]
    kinds = [text.partition(" in layer")[0] for text in caught]
    assert kinds == ["Exploding gradient", "Gradient that is not finite"]
    assert "`exploding=1000`" in caught[0] and " at step " in caught[0]
    assert re.search("its norm is (nan|inf) at step [0-9]", caught[1])


@pytest.mark.backend("tensorflow", "jax", "torch")
def test_a_mostly_dead_layer_is_named_once():
    def layers():
        return [
            LAYERS.Dense(
                20,
                activation="relu",
                bias_initializer=keras.initializers.Constant(-50.0),
                name="silent",
            ),
            LAYERS.Dense(3, activation="softmax"),
        ]

    dead = callbacks.DeadReLULogger()
    (caught,) = fit(layers(), dead, epochs=3)
    assert str(caught.message) == (
        "Dead ReLU units in layer 'silent': 100% of its units (20 of 20) "
        "fired in no sampled step of the epoch that ended at step 0, more "
        "than `mostly_dead=0.9`"
    )
    assert caught.filename == __file__
    assert not fit(layers(), callbacks.DeadReLULogger(mostly_dead=None))


@pytest.mark.parametrize("kind", MODELS)
def test_healthy_models_are_silent(kind):
    build, shape = MODELS[kind]
    x, y = data(samples=64, shape=shape)
    model = compiled(build)
    monitors = [
        callbacks.GradientNormLogger(every_n_steps=1),
        callbacks.DeadReLULogger(every_n_steps=1),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y, batch_size=16, epochs=6, callbacks=monitors, verbose=0)
        for layer in model.layers[:2]:
            layer.trainable = False
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=16, epochs=3, callbacks=monitors, verbose=0)
    assert not [w for w in caught if "layer '" in str(w.message)]
    assert all(len(m.steps["step"]) == 12 for m in monitors)


def test_a_training_at_its_end_is_silent():
    # The gradients of all layers become tiny together.
    x = np.linspace(-1, 1, 32)[:, None]
    model = keras.Sequential(
        [
            keras.Input((1,)),
            LAYERS.Dense(4, activation="linear", name="first"),
            LAYERS.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.3), "mse")
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    model.fit(x, x, batch_size=32, epochs=300, callbacks=[norms], verbose=0)
    assert norms.epochs["grad_norm/global"][-1] < 1e-5


def test_a_layer_that_begins_with_a_gradient_of_zero_is_silent():
    # The last kernel is zero, so only the first step sees no gradient.
    layers = [
        LAYERS.Dense(8, activation="tanh", name="hidden"),
        LAYERS.Dense(
            3, kernel_initializer="zeros", activation="softmax", name="out"
        ),
    ]
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    assert not fit(layers, norms)
    assert norms.steps["grad_norm/hidden"][0] == 0


def test_large_norms_that_do_not_grow_are_silent():
    y = 1e5 * np.ones((64, 1))
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    layers = [LAYERS.Dense(8, activation="relu"), LAYERS.Dense(1)]
    assert not fit(layers, norms, y=y)
    assert norms.steps["grad_norm/global"].min() > 1e4


def seen(*norms, alarms=None):
    """Show norms of a layer beside a whole gradient of norm 1."""
    alarms = alarms or GradientAlarms(1e-4, 1e3, True)
    norms = np.array(norms)
    alarms.see(np.arange(len(norms)), {"a": norms}, np.ones(len(norms)))
    alarms.end_epoch()
    return alarms.notes


def test_one_step_above_the_threshold_is_enough():
    assert seen(1e-6, 1e-6, 1e-2, 1e-6) == {}
    with pytest.warns(UserWarning, match="Vanishing"):
        assert seen(1e-6, 1e-6) == {"a": "vanished, step 0"}


def test_epochs_of_one_step_are_taken_together():
    alarms = GradientAlarms(1e-4, None, True)
    assert seen(1e-6, alarms=alarms) == {}
    with pytest.warns(UserWarning, match="Vanishing"):
        assert seen(1e-6, alarms=alarms)


def test_in_a_long_epoch_the_end_need_not_come():
    alarms = GradientAlarms(1e-4, None, True)
    steps, small = np.arange(256), np.full(256, 1e-6)
    # The first steps saw more.
    alarms.see(np.arange(3), {"a": np.ones(3)}, np.ones(3))
    alarms.see(steps[:250], {"a": small[:250]}, np.ones(250))
    assert alarms.notes == {}
    with pytest.warns(UserWarning, match="since step 0"):
        alarms.see(steps[:10], {"a": small[:10]}, np.ones(10))


def test_a_warning_that_is_an_error_leaves_nothing():
    x, y = data(samples=64)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6,)), *sigmoids(12)])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    function = vars(model)["train_function"]
    before = [set(vars(o)) for o in (model, model.optimizer, *model.layers)]
    with pytest.raises(UserWarning, match="Vanishing"):
        model.fit(x, y, batch_size=16, callbacks=[norms], verbose=0)
    after = [set(vars(o)) for o in (model, model.optimizer, *model.layers)]
    assert after == before and vars(model)["train_function"] is function
    assert len(norms.steps["step"]) == 4


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: callbacks.GradientNormLogger(vanishing=0), "`vanishing` must"),
        (lambda: callbacks.GradientNormLogger(exploding=-1), "`exploding` mus"),
        (lambda: callbacks.DeadReLULogger(mostly_dead=1.0), "`mostly_dead` mu"),
    ],
)
def test_bad_thresholds(make, match):
    with pytest.raises(ValueError, match=match):
        make()
