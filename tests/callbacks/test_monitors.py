"""What all monitors have in common."""

import copy
import gc
import pickle
import sys

import keras
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from keras_ext import callbacks
from keras_ext.taps.capture import StepCapture
from tests.monitored_models import LAYERS, compiled, data, mlp

ALL = [
    callbacks.GradientNormLogger,
    callbacks.DeadReLULogger,
    callbacks.UpdateRatioLogger,
    callbacks.ActivationLogger,
]


@pytest.fixture(scope="module")
def trained():
    """All monitors after one fit, and its history."""
    x, y = data(samples=32)
    monitors = [kind(every_n_steps=2) for kind in ALL]
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(8, activation="relu", name="first"),
            LAYERS.Dense(8, activation="leaky_relu", name="leaky"),
            LAYERS.Dense(8, activation="tanh", name="second"),
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(
        x, y, batch_size=8, epochs=2, callbacks=monitors, verbose=0
    )
    return monitors, history.history


def test_one_tap_serves_all(trained):
    monitors, history = trained
    assert [m._tap is not None for m in monitors] == [True] + 3 * [False]
    for monitor in monitors:
        assert monitor.steps["step"].tolist() == [0, 2, 4, 6]
        for key, values in monitor.epochs.items():
            assert history[key] == values.tolist()


def test_all_keys(trained):
    _, history = trained
    keys = {
        "loss",
        *(f"grad_norm/{n}" for n in ("first", "leaky", "second", "out")),
        *(f"update_ratio/{n}" for n in ("first", "leaky", "second", "out")),
        *("grad_norm/global", "update_ratio/global"),
        *("dead_relu/first", "zero_fraction/first", "dead_relu/global"),
        *("saturation/second", "saturation/global"),
    }
    for layer in ("first", "leaky", "second", "out"):
        keys |= {f"activation_mean/{layer}", f"activation_std/{layer}"}
    assert set(history) == keys


def test_tables(trained, capsys):
    monitors, _ = trained
    for monitor in monitors:
        monitor.explain()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "Gradient norm (L2), 4 values, steps 0 to 6" in lines
    assert "Dead share of ReLU units, 2 epochs" in lines
    (leaky,) = [line for line in lines if "cannot die" in line]
    assert leaky.split() == ["leaky", *5 * "-", "cannot", "die"]
    texts = []
    monitors[0].explain(texts.append)
    names = [line.split()[0] for line in texts[0].splitlines()[1:]]
    assert names == ["layer", "first", "leaky", "second", "out", "global"]


def test_figures(trained, tmp_path):
    monitors, _ = trained
    for number, monitor in enumerate(monitors):
        figure = monitor.plot()
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / f"{number}.png", dpi=40)
    assert pyplot.get_fignums() == []
    gradients = monitors[0].plot().axes[0]
    assert gradients.get_xlabel() == "training step"


@pytest.mark.parametrize("kind", ALL)
def test_nothing_was_measured(kind, capsys):
    monitor = kind()
    assert monitor.steps == {} and monitor.epochs == {}
    monitor.explain()
    assert capsys.readouterr().out == f"{kind.__name__} measured nothing.\n"
    with pytest.raises(ValueError, match="that measured nothing"):
        monitor.plot()


def test_without_matplotlib_its_install_command_is_named(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for monitor in trained[0]:
        with pytest.raises(ImportError, match="pip install"):
            monitor.plot()


def test_known_updates():
    # A rate of 0.1 and gradients of 1 move each weight of 3 by 0.1.
    layers = [
        LAYERS.Dense(1, kernel_initializer="ones", name=name, use_bias=False)
        for name in ("line", "still")
    ]
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layers[0](inputs) + 0 * layers[1](inputs))
    model.compile(keras.optimizers.SGD(0.1), lambda y, p: p)
    ratios = callbacks.UpdateRatioLogger(every_n_steps=1)
    x = np.ones((2, 1))
    model.fit(x, x, batch_size=1, callbacks=[ratios], verbose=0)
    np.testing.assert_allclose(
        ratios.steps["update_ratio/line"], [0.1, 0.1 / 0.9], rtol=1e-5
    )
    assert ratios.steps["update_ratio/still"].tolist() == [0, 0]
    moved, whole = [0.1, 0.1], np.sqrt([1 + 1, 0.81 + 1])
    np.testing.assert_allclose(
        ratios.steps["update_ratio/global"], moved / whole, rtol=1e-5
    )


def test_steps_without_an_update_are_not_averaged_in():
    x, y = data(samples=32)
    model = compiled(
        mlp, keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    )
    ratios = callbacks.UpdateRatioLogger(every_n_steps=1)
    model.fit(x, y, batch_size=8, callbacks=[ratios], verbose=0)
    steps = ratios.steps["update_ratio/first"]
    assert (steps > 0).tolist() == [False, True, False, True]
    np.testing.assert_allclose(
        ratios.epochs["update_ratio/first"], [steps[[1, 3]].mean()]
    )


def test_known_outputs():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            LAYERS.Activation("tanh", name="tanh"),
            LAYERS.Activation("sigmoid", name="sigmoid"),
            LAYERS.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    outputs = callbacks.ActivationLogger()
    x = np.array([[9.0, -9.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]])
    model.fit(x, np.zeros(2), callbacks=[outputs], verbose=0)
    tanh = np.tanh(x)
    assert outputs.epochs["saturation/tanh"] == [6 / 8]
    assert outputs.epochs["saturation/sigmoid"] == [0]
    assert outputs.epochs["saturation/global"] == [3 / 8]
    for key, expected in (
        ("activation_mean/tanh", tanh.mean()),
        ("activation_std/tanh", tanh.std()),
    ):
        np.testing.assert_allclose(outputs.epochs[key], [expected], rtol=1e-5)


@pytest.mark.parametrize("off", ["saturation", "moments"])
def test_half_of_the_activations(off):
    x, y = data(samples=16)
    logger = callbacks.ActivationLogger(**{off: False})
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(4, activation="tanh", name="hidden"),
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, callbacks=[logger], verbose=0)
    expected = {
        "moments": {"saturation"},
        "saturation": {"activation_mean", "activation_std"},
    }[off]
    assert {key.split("/")[0] for key in logger.epochs} == expected
    assert logger.plot()
    with pytest.raises(ValueError, match="`saturation` or `moments` must be"):
        callbacks.ActivationLogger(saturation=False, moments=False)


def test_two_of_a_kind_both_work():
    x, y = data(samples=64)
    every = callbacks.GradientNormLogger(every_n_steps=1, layers=["out"])
    some = callbacks.GradientNormLogger(every_n_steps=4)
    model = compiled(mlp)
    history = model.fit(
        x, y, batch_size=8, callbacks=[every, some], verbose=0
    ).history
    assert every.steps["step"].tolist() == list(range(8))
    assert some.steps["step"].tolist() == [0, 4]
    np.testing.assert_array_equal(
        every.steps["grad_norm/out"][[0, 4]], some.steps["grad_norm/out"]
    )
    # Of a key that both have, the logs hold the value of the first.
    assert history["grad_norm/out"] == every.epochs["grad_norm/out"].tolist()
    assert history["grad_norm/first"] == some.epochs["grad_norm/first"].tolist()


def test_an_uncompiled_model_is_named_once():
    monitors = [kind() for kind in ALL]
    model = mlp()
    loop = keras.callbacks.CallbackList(monitors, model=model)
    with pytest.warns(UserWarning, match="model is not compiled") as caught:
        loop.on_train_begin()
        loop.on_epoch_begin(0)
        loop.on_train_batch_begin(0)
        loop.on_train_batch_end(0)
        loop.on_epoch_end(0, {})
        loop.on_train_end()
    assert sum("compiled" in str(w.message) for w in caught) == 1
    assert all(monitor.epochs == {} for monitor in monitors)
    x, y = data(samples=8)
    with pytest.raises(ValueError, match="compile"):
        model.fit(x, y, callbacks=monitors)


def test_copies_of_used_monitors_work(trained):
    x, y = data(samples=16)
    monitors, _ = trained
    for twins in (
        copy.deepcopy(monitors),
        [pickle.loads(pickle.dumps(monitor)) for monitor in monitors],
    ):
        compiled(mlp).fit(x, y, callbacks=twins, verbose=0)
        for twin in twins:
            assert twin.steps["step"].tolist() == [0]
    assert all(len(m.steps["step"]) == 4 for m in monitors)


def test_long_runs_keep_the_whole_curve_in_bounded_memory():
    x, y = data(samples=64)
    norms = callbacks.GradientNormLogger(every_n_steps=1, max_points=8)
    blocks = []
    follow = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: norms.follow(blocks.append)
    )
    compiled(mlp).fit(
        x, y, batch_size=4, epochs=2, callbacks=[norms, follow], verbose=0
    )
    # Whoever follows sees each sampled step, once.
    every = np.concatenate([b["grad_norm/out"] for b in blocks])
    steps = np.concatenate([b["step"] for b in blocks])
    assert steps.tolist() == list(range(32))
    assert norms.steps["step"].tolist() == list(range(0, 32, 8))
    np.testing.assert_array_equal(
        norms.steps["grad_norm/out"], every.reshape(4, 8).max(axis=1)
    )
    np.testing.assert_allclose(
        norms.epochs["grad_norm/out"], every.reshape(2, 16).mean(axis=1)
    )


@pytest.mark.parametrize("eagerly", [False, True])
def test_what_a_step_shows_is_gone_when_the_step_is_over(eagerly):
    # It holds all outputs: a cycle would keep those of many steps.
    x, y = data(samples=32)
    model = compiled(mlp, run_eagerly=eagerly)
    gc.collect()
    gc.disable()
    try:
        monitors = [kind(every_n_steps=1) for kind in ALL]
        model.fit(x, y, batch_size=8, callbacks=monitors, verbose=0)
        types = [type(thing) for thing in gc.get_objects()]
    finally:
        gc.enable()
    assert len(monitors[0].steps["step"]) == 4
    assert not any(issubclass(kind, StepCapture) for kind in types)


@pytest.mark.backend("tensorflow")
def test_values_reach_tensorboard(tmp_path, monkeypatch):
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    values = {}

    def scalar(name, value, step):
        values[name, step] = value

    # TensorFlow's own needs the package tensorboard.
    monkeypatch.setattr(board.summary, "scalar", scalar)
    x, y = data(samples=16)
    norms = callbacks.GradientNormLogger()
    compiled(mlp).fit(x, y, epochs=2, callbacks=[norms, board], verbose=0)
    for key, series in norms.epochs.items():
        assert [values[f"epoch_{key}", i] for i in (0, 1)] == series.tolist()
