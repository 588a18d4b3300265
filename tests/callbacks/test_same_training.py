"""The training is the same training, and nothing of a monitor stays."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from tests.monitored_models import (
    LAYERS,
    MODELS,
    compiled,
    data,
    dropout_mlp,
    mlp,
    state,
)

BACKEND = keras.config.backend()


def monitors():
    return [
        callbacks.GradientNormLogger(every_n_steps=2),
        callbacks.DeadReLULogger(every_n_steps=3),
        callbacks.UpdateRatioLogger(every_n_steps=2),
        callbacks.ActivationLogger(every_n_steps=4),
    ]


def fitted(build, shape, callbacks, optimizer=None, **options):
    x, y = data(samples=70, shape=shape)
    model = compiled(build, optimizer, **options)
    model.fit(
        x,
        y,
        batch_size=8,
        epochs=3,
        shuffle=False,  # PyTorch shuffles as it likes
        validation_split=0.2,
        callbacks=callbacks,
        verbose=0,
    )
    return model


def assert_same(states, others):
    """Asserts equal bits, where XLA compiles the steps equality to rounding.

    Further outputs of a step can make XLA join its operations in other ways.
    """
    for a, b in zip(states, others, strict=True):
        if BACKEND == "jax":
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", MODELS)
def test_weights_are_bit_identical(kind):
    build, shape = MODELS[kind]
    bare = fitted(build, shape, None)
    monitored = fitted(build, shape, monitors())
    assert_same(state(bare), state(monitored))


@pytest.mark.parametrize(
    "options",
    [{"run_eagerly": True}, {"steps_per_execution": 4}][
        : 1 if BACKEND == "torch" else None
    ],
    ids=lambda options: "-".join(options),
)
def test_weights_are_bit_identical_however_the_step_is_run(options):
    bare = fitted(dropout_mlp, (6,), None, **options)
    monitored = fitted(dropout_mlp, (6,), monitors(), **options)
    assert_same(state(bare), state(monitored))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.RMSprop(global_clipnorm=0.1),
        lambda: keras.optimizers.AdamW(1e-2, use_ema=True),
        lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
    ],
    ids=["nesterov", "clipped", "ema", "accumulation", "scaled"],
)
def test_weights_are_bit_identical_with_every_optimizer(optimizer):
    bare = fitted(mlp, (6,), None, optimizer())
    monitored = fitted(mlp, (6,), monitors(), optimizer())
    assert_same(state(bare), state(monitored))


@pytest.mark.backend("tensorflow")
def test_under_xla_weights_are_equal_to_rounding():
    bare = fitted(mlp, (6,), None, jit_compile=True)
    monitored = fitted(mlp, (6,), monitors(), jit_compile=True)
    for a, b in zip(state(bare), state(monitored), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class Ends(keras.callbacks.Callback):
    """Ends a fit in a given way, at a given moment."""

    def __init__(self, moment, error):
        super().__init__()
        self.error = error
        setattr(self, moment, self.end)

    def end(self, index, logs=None):
        if self.error is None:
            self.model.stop_training = True
        elif index == 1:
            raise self.error


def small():
    return keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(4, activation="relu", name="hidden"),
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )


def attributes(model):
    return [set(vars(o)) for o in (model, model.optimizer, *model.layers)]


@pytest.mark.parametrize(
    "moment",
    [
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_epoch_begin",
        "on_epoch_end",
    ],
)
@pytest.mark.parametrize(
    "error",
    [None, RuntimeError("boom"), KeyboardInterrupt()],
    ids=["stopped", "exception", "interrupt"],
)
def test_no_residue_however_fit_ends(moment, error):
    x, y = data(samples=32)

    def interrupted(loggers):
        model = compiled(small)
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        function = vars(model)["train_function"]
        chain = [*loggers, Ends(moment, error)]
        try:
            model.fit(
                x,
                y,
                batch_size=8,
                epochs=3,
                shuffle=False,
                callbacks=chain,
                verbose=0,
            )
        except (RuntimeError, KeyboardInterrupt) as raised:
            assert raised is error
        return model, function

    (bare, _), (model, function) = interrupted([]), interrupted(monitors())
    assert attributes(model) == attributes(bare)
    for name, owners in (
        ("train_step", [model]),
        ("apply", [model.optimizer]),
        ("call", model.layers),
    ):
        assert not any(name in vars(owner) for owner in owners)
    assert vars(model.layers[0])["activation"] is keras.activations.relu
    # The next fits, with and without monitors, train on as if alone.
    loggers = monitors()
    for fit_callbacks in (None, loggers):
        for each, chain in ((bare, None), (model, fit_callbacks)):
            each.fit(
                x, y, batch_size=8, shuffle=False, callbacks=chain, verbose=0
            )
        assert_same(state(bare), state(model))
    assert loggers[0].steps["step"].tolist() == [0, 2]
    assert vars(model)["train_function"] is function


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_later_callback_that_raises_finds_the_models_own_function(error):
    class Raises(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                raise error

    x, y = data(samples=32)
    model = compiled(small)
    model.make_train_function()
    function = vars(model)["train_function"]
    # The raised error keeps all frames of the `fit` alive.
    with pytest.raises(error) as raised:
        model.fit(
            x, y, batch_size=8, callbacks=[*monitors(), Raises()], verbose=0
        )
    assert vars(model)["train_function"] is function
    assert raised.type is error


def test_an_exception_inside_the_step_leaves_nothing():
    x, y = data(samples=64)

    def batches():
        for _ in range(3):
            yield x[:8], y[:8]
        raise OSError("disk gone")

    def torn(loggers):
        model = compiled(small)
        with pytest.raises(Exception, match="disk gone"):
            model.fit(
                batches(),
                steps_per_epoch=9,
                shuffle=False,
                callbacks=loggers,
                verbose=0,
            )
        return model

    loggers = monitors()
    bare, model = torn([]), torn(loggers)
    assert attributes(model) == attributes(bare)
    assert not hasattr(model.train_function, "__self__")
    # What was measured before is not lost.
    assert loggers[0].steps["step"].tolist()[0] == 0


def test_a_failing_trace_leaves_nothing():
    x, _ = data(samples=8)

    def failed(loggers):
        model = compiled(small)
        model.optimizer.build(model.trainable_variables)
        model.fit(x, np.zeros(8), callbacks=None, verbose=0)
        with pytest.raises(ValueError, match="shape"):
            model.fit(x, np.zeros((8, 9, 9)), callbacks=loggers, verbose=0)
        return model

    assert attributes(failed(monitors())) == attributes(failed([]))


def test_a_saved_model_is_the_model_that_would_have_been_saved(tmp_path):
    def saved(loggers):
        keras.utils.clear_session()  # names count from zero again
        model = fitted(mlp, (6,), loggers)
        model.save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as archive:
            config = archive.read("config.json").decode()
            names = sorted(archive.namelist())
        # These numbers are memory addresses.
        return model, names, re.sub(r'"shared_object_id": \d+', "", config)

    _, *bare = saved(None)
    model, *monitored = saved(monitors())
    assert bare == monitored
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(state(model), state(loaded))


CHECKPOINT = """
import sys, numpy as np, keras
model = keras.models.load_model(sys.argv[1])
assert "keras_ext" not in sys.modules
x = np.load(sys.argv[2])
print(int(model.optimizer.iterations.numpy()))
print(model.predict(x, verbose=0).sum(axis=0).round(5).tolist())
"""


def test_a_checkpoint_written_in_mid_run_restores_in_a_fresh_process(
    tmp_path,
):
    from tests.fresh_process import run_python

    x, y = data(samples=64)
    np.save(tmp_path / "x.npy", x)
    model = compiled(mlp)
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "mid.keras", save_freq=5
    )
    model.fit(
        x,
        y,
        batch_size=8,
        callbacks=[*monitors(), checkpoint],
        verbose=0,
    )
    out = run_python(
        CHECKPOINT, str(tmp_path / "mid.keras"), str(tmp_path / "x.npy")
    )
    iterations, total = out.strip().splitlines()[-2:]
    assert iterations == "5"
    restored = keras.models.load_model(tmp_path / "mid.keras")
    expected = restored.predict(x, verbose=0).sum(axis=0)
    np.testing.assert_allclose(json.loads(total), expected, rtol=1e-4)


def test_backup_and_restore_goes_on_where_it_was(tmp_path):
    x, y = data(samples=64)

    def train(model, chain, epochs=3):
        model.fit(
            x,
            y,
            batch_size=8,
            epochs=epochs,
            shuffle=False,
            callbacks=chain,
            verbose=0,
        )

    whole = compiled(mlp, keras.optimizers.Adam())
    train(whole, [])

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    torn = compiled(mlp, keras.optimizers.Adam())
    stop = Ends("on_epoch_begin", RuntimeError("boom"))
    with pytest.raises(RuntimeError, match="boom"):
        train(torn, [*monitors(), backup(), stop])
    resumed = compiled(mlp, keras.optimizers.Adam(), seed=7)
    train(resumed, [*monitors(), backup()])
    assert int(resumed.optimizer.iterations) == 24
    for a, b in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
