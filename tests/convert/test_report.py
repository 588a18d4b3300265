import keras
import pytest

import keras_ext
from keras_ext import convert
from tests.convert.comparing import reported, sequential


class Wide(keras.layers.Dense):
    """A person's own class, which is not registered."""


class Weighted(keras.losses.MeanSquaredError):
    pass


class Slow(keras.optimizers.SGD):
    pass


class Penalty(keras.regularizers.Regularizer):
    def __init__(self):
        self.inner = keras.regularizers.L2(0.1)

    def __call__(self, w):
        return self.inner(w)

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("test_report")
class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)


def test_swapped(capsys):
    model = sequential(
        keras.layers.Dense(
            8, "relu", kernel_regularizer=keras.regularizers.L2(0.01)
        ),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3, seed=4),
        Wide(4, activation="tanh", kernel_initializer="he_normal"),
        keras.layers.Dense(1),
    )
    model.compile("sgd", "mse")
    convert(model)
    assert capsys.readouterr().out.splitlines() == [
        "layers: 1 BatchNormalization, 2 Dense, 1 Dropout",
        "activations: 1 linear, 1 relu, 1 tanh",
        "initializers: 2 GlorotUniform, 1 HeNormal, 5 Zeros",
        "regularizers: 1 L2",
        "losses: 1 mean_squared_error",
        "optimizers: 1 SGD",
        "left alone: 1 Wide (subclass of Dense)",
    ]


def test_nothing():
    model = keras.Sequential([keras.layers.Flatten()])
    assert reported(model) == ["nothing to swap"]


def test_subclasses_of_every_kind():
    model = sequential(Wide(2))
    model.compile(Slow(), Weighted())
    lines = reported(model)
    assert "left alone: 1 Wide (subclass of Dense)" in lines
    assert "left alone: 1 Slow (subclass of SGD)" in lines
    assert "left alone: 1 Weighted (subclass of MeanSquaredError)" in lines


def test_parts_of_a_persons_object():
    lines = reported(
        sequential(keras.layers.Dense(1, kernel_regularizer=Penalty()))
    )
    assert "left alone: 1 L2 (inside Penalty)" in lines


@pytest.mark.parametrize("inside", [False, True], ids=["config", "constructor"])
def test_an_argument_that_the_counterpart_refuses(monkeypatch, inside):
    def refuse(self, *args, **kwargs):
        raise ValueError("`units` must be odd. Received: units=2")

    monkeypatch.setattr(keras_ext.layers.Dense, "__init__", refuse)
    model = sequential(Block() if inside else keras.layers.Dense(2))
    lines = reported(model)
    assert (
        "left alone: 1 Dense (`units` must be odd. Received: units=2)" in lines
    )
    assert not any(line.startswith("layers") for line in lines)


def test_a_refused_loss_and_optimizer_stay():
    model = sequential(keras.layers.Dense(1))
    model.compile(keras.optimizers.RMSprop(rho=1.5), "mse")
    new = convert(model, print_fn=None)
    assert not type(new.optimizer).__module__.startswith("keras_ext")
    assert new.optimizer.rho == 1.5
    assert new.loss is keras_ext.losses.mean_squared_error
    assert any(
        line.startswith("left alone: 1 RMSprop (`rho` must be in [0, 1]")
        for line in reported(model)
    )


def test_activations_of_fused_kernels():
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            keras.layers.LSTM(2, return_sequences=True),
            keras.layers.GRU(2, activation="relu"),
        ]
    )
    lines = reported(model)
    assert "activations: 1 relu" in lines
    why = "for the fused kernels of Keras"
    assert f"left alone: 2 sigmoid, 1 tanh ({why})" in lines


def test_layers_that_a_saved_model_does_not_swap():
    lines = reported(sequential(Block(), keras.layers.Dense(1)))
    assert "layers: 2 Dense" in lines
    why = "made in a constructor"
    assert f"built-ins again in a saved model: 1 Dense ({why})" in lines


def test_what_is_lost_is_in_the_report_and_a_warning():
    model = sequential(keras.layers.Dense(1))
    x = keras.Input((6,))
    model = keras.Model(x, keras.layers.Dense(1)(x))
    model._tracker.unlock()
    model.helper = keras.layers.Dense(3, name="helper")
    expected = "helper \\(a layer that no config holds\\)"
    with pytest.warns(UserWarning, match=f"could not keep: {expected}"):
        convert(model, print_fn=None)
    assert "lost: helper (a layer that no config holds)" in reported(model)
