import keras
import numpy as np
import pytest

from keras_ext import callbacks
from tests.monitored_models import LAYERS, compiled, data, functional

BACKEND = keras.config.backend()


def fixed_model(*relu, kernel, bias, units):
    """A model whose ReLU units' inputs are known."""
    model = keras.Sequential(
        [
            keras.Input((len(kernel),)),
            LAYERS.Dense(units, name="hidden", **(relu[0] if relu else {})),
            *relu[1:],
            LAYERS.Dense(1, name="out"),
        ]
    )
    model.get_layer("hidden").set_weights([np.array(kernel), np.array(bias)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


# Unit 0 fires for x > 0, unit 1 for x < 0, unit 2 always, unit 3 never.
KERNEL, BIAS = [[1.0, -1.0, 0.0, 0.0]], [0.0, 0.0, 1.0, -1.0]
WAYS = {
    "argument": ({"activation": "relu"},),
    "layer": ({}, LAYERS.ReLU(name="after")),
    "activation layer": ({}, LAYERS.Activation("relu", name="after")),
    "relu6": ({"activation": "relu6"},),
    "layer as argument": ({"activation": LAYERS.ReLU(name="inner")},),
}


@pytest.mark.parametrize("way", WAYS)
def test_dead_units_of_a_dense_layer_are_exact(way):
    model = fixed_model(*WAYS[way], kernel=KERNEL, bias=BIAS, units=4)
    x = np.array([[1.0], [2.0], [3.0], [-1.0], [-2.0], [-3.0]])
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    history = model.fit(
        x,
        np.zeros((6, 1)),
        batch_size=3,
        shuffle=False,
        callbacks=[dead],
        verbose=0,
    )
    (path,) = [
        k.split("/", 1)[1]
        for k in dead.epochs
        if k.startswith("dead_relu/") and k != "dead_relu/global"
    ]
    # In each batch two units are silent; over both of them, only unit 3.
    assert dead.steps[f"dead_relu/{path}"].tolist() == [0.5, 0.5]
    assert history.history[f"dead_relu/{path}"] == [0.25]
    assert history.history["dead_relu/global"] == [0.25]
    assert history.history[f"zero_fraction/{path}"] == [0.5]


def test_units_of_a_convolution_are_its_channels():
    # Channel 0 copies its input, which is positive at one place only;
    # channel 1 is its negative minus 1, and never fires.
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            LAYERS.Conv2D(2, 1, activation="relu", name="conv"),
            LAYERS.Flatten(),
            LAYERS.Dense(1),
        ]
    )
    model.get_layer("conv").set_weights(
        [np.array([[[[1.0, -1.0]]]]), np.array([0.0, -1.0])]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.zeros((3, 2, 2, 1))
    x[1, 0, 1] = 5.0
    dead = callbacks.DeadReLULogger()
    model.fit(x, np.zeros((3, 1)), callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/conv"] == [0.5]
    np.testing.assert_allclose(
        dead.epochs["zero_fraction/conv"], [23 / 24], rtol=1e-6
    )


def test_the_window_of_an_epoch_is_that_epoch():
    # The first epoch's data fires unit 0 only in its last batch.
    model = fixed_model(
        {"activation": "relu"}, kernel=KERNEL, bias=BIAS, units=4
    )
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    x = np.array([[-1.0], [-1.0], [1.0]])
    y = np.zeros((3, 1))
    model.fit(x, y, batch_size=1, shuffle=False, callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/hidden"] == [0.25]
    model.fit(x[:2], y[:2], batch_size=1, epochs=2, callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/hidden"].tolist() == [0.5, 0.5]


def test_global_counts_units_not_layers():
    model = keras.Sequential(
        [
            keras.Input((1,)),
            LAYERS.Dense(
                9, activation="relu", bias_initializer="ones", name="alive"
            ),
            LAYERS.Dense(
                1,
                activation="relu",
                kernel_initializer="zeros",
                name="dead",
            ),
            LAYERS.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    dead = callbacks.DeadReLULogger(mostly_dead=None)
    model.fit(np.zeros((4, 1)), np.zeros((4, 1)), callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/dead"] == [1.0]
    np.testing.assert_allclose(dead.epochs["dead_relu/global"], [0.1])
    np.testing.assert_allclose(dead.steps["dead_relu/global"], [0.1], rtol=1e-6)


def test_a_shared_layer_fires_if_it_fires_in_any_of_its_uses():
    shared = LAYERS.Dense(2, activation="relu", name="shared")
    a, b = keras.Input((1,)), keras.Input((1,))
    outputs = LAYERS.Dense(1)(LAYERS.add([shared(a), shared(b)]))
    model = keras.Model([a, b], outputs)
    shared.set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    dead = callbacks.DeadReLULogger()
    x = np.ones((4, 1))
    model.fit([x, -x], np.zeros((4, 1)), callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/shared"] == [0.0]
    assert dead.epochs["zero_fraction/shared"] == [0.5]


def test_validation_is_not_measured():
    model = fixed_model(
        {"activation": "relu"}, kernel=KERNEL, bias=BIAS, units=4
    )
    dead = callbacks.DeadReLULogger()
    x, y = np.ones((4, 1)), np.zeros((4, 1))
    model.fit(x, y, validation_data=(-x, y), callbacks=[dead], verbose=0)
    assert dead.epochs["dead_relu/hidden"] == [0.5]


@pytest.mark.parametrize(
    "options",
    [{}, {"steps_per_execution": 2}][: 1 if BACKEND == "torch" else None],
)
def test_operations_and_nested_models(options):
    x, y = data(samples=32)
    model = compiled(functional, **options)
    dead = callbacks.DeadReLULogger()
    model.fit(x, y, batch_size=8, callbacks=[dead], verbose=0)
    operation = [
        op.name
        for op in model.operations
        if not isinstance(op, keras.layers.Layer)
    ]
    assert {k for k in dead.epochs if k.startswith("dead_relu/")} == {
        "dead_relu/shared",
        "dead_relu/encoder/hidden",
        f"dead_relu/{operation[0]}",
        "dead_relu/global",
    }


# On PyTorch the loop is one of Python, and can be measured.
@pytest.mark.backend("tensorflow", "jax")
def test_a_relu_in_a_loop_is_named_once_and_left_out():
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            LAYERS.SimpleRNN(2, activation="relu", name="loop"),
            LAYERS.Dense(2, activation="relu", name="plain"),
            LAYERS.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4, 3)), np.zeros((8, 1))
    dead = callbacks.DeadReLULogger(mostly_dead=None)
    with pytest.warns(UserWarning, match=r"Not measured.*\['loop'\]") as caught:
        model.fit(x, y, epochs=2, callbacks=[dead], verbose=0)
    assert sum("Not measured" in str(w.message) for w in caught) == 1
    assert "dead_relu/plain" in dead.epochs
    assert "dead_relu/loop" not in dead.epochs


def test_a_model_without_relu_trains_and_logs_nothing():
    model = keras.Sequential([keras.Input((1,)), LAYERS.Dense(1)])
    model.compile("sgd", "mse")
    dead = callbacks.DeadReLULogger()
    history = model.fit(
        np.ones((4, 1)), np.ones((4, 1)), callbacks=[dead], verbose=0
    )
    assert list(history.history) == ["loss"]
    assert dead.epochs == {}
    texts = []
    dead.explain(texts.append)
    assert texts == ["DeadReLULogger measured nothing: the model has no ReLU."]
    with pytest.raises(ValueError, match="the model has no ReLU"):
        dead.plot()


def test_layers_must_have_a_relu():
    x, y = data(samples=8)
    dead = callbacks.DeadReLULogger(layers=["out"])
    with pytest.raises(ValueError, match="Received: 'out'"):
        compiled(functional).fit(x, y, callbacks=[dead], verbose=0)
