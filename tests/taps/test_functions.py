"""ReLUs that a person's own code calls as functions."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks, taps
from keras_ext.taps import functions

LAYERS = keras.layers
BACKEND = keras.config.backend()

# Unit 0 fires for x > 0, unit 1 for x < 0, unit 2 always, unit 3 never.
KERNEL, BIAS = [[1.0, -1.0, 0.0, 0.0]], [0.0, 0.0, 1.0, -1.0]
X = np.array([[1.0], [2.0], [3.0]])


def known_dense(**kwargs):
    layer = LAYERS.Dense(4, name="dense", **kwargs)
    layer.build((None, 1))
    layer.set_weights([np.array(KERNEL), np.array(BIAS)])
    return layer


def ones(units):
    return LAYERS.Dense(units, kernel_initializer="ones")


def ways_to_call_relu():
    bound = keras.activations.relu  # as `from ... import relu` binds it
    ways = {
        "keras.ops": lambda x: keras.ops.relu(x),
        "keras.ops relu6": lambda x: keras.ops.relu6(x),
        "keras.ops.nn": lambda x: keras.ops.nn.relu(x),
        "keras.activations": lambda x: keras.activations.relu(x),
        "max_value": lambda x: keras.activations.relu(x, max_value=9.0),
        "by name": lambda x: keras.activations.get("relu")(x),
        "imported": lambda x: bound(x),
    }
    if BACKEND == "tensorflow":
        import tensorflow as tf

        ways["tf.nn"] = lambda x: tf.nn.relu(x)
    elif BACKEND == "jax":
        import jax

        ways["jax.nn"] = lambda x: jax.nn.relu(x)
    else:
        import torch

        ways["torch"] = lambda x: torch.relu(x)
        ways["torch functional"] = lambda x: torch.nn.functional.relu(x)
        ways["in place"] = lambda x: torch.relu_(x + 0)
    return ways


class Block(LAYERS.Layer):
    """A person's own layer: a dense layer and what comes after it."""

    def __init__(self, after, dense=None, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense or known_dense()
        self.after = after

    def call(self, x):
        return self.after(self.dense(x))


def monitored(*layers, x=X, epochs=1, **options):
    """Fit a model of the layers, of which nothing moves."""
    model = keras.Sequential([keras.Input((1,)), *layers, LAYERS.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", **options)
    dead = callbacks.DeadReLULogger()
    model.fit(
        x, np.zeros((len(x), 1)), epochs=epochs, callbacks=[dead], verbose=0
    )
    return dead


def dead_shares(dead):
    return {
        key.removeprefix("dead_relu/"): values.tolist()
        for key, values in dead.epochs.items()
        if key.startswith("dead_relu/") and key != "dead_relu/global"
    }


@pytest.mark.parametrize("way", ways_to_call_relu())
def test_a_relu_is_captured_whatever_it_is_called_by(way):
    dead = monitored(Block(ways_to_call_relu()[way], name="block"))
    # Units 1 and 3 are silent.
    assert dead_shares(dead) == {"block": [0.5]}
    assert dead.epochs["zero_fraction/block"] == [0.5]


@pytest.mark.parametrize(
    "after",
    [
        lambda x: x,
        lambda x: keras.ops.leaky_relu(x),
        lambda x: keras.ops.tanh(x),
        lambda x: x + keras.ops.sum(keras.ops.relu(x[:, 0])),
    ],
    ids=["none", "leaky", "tanh", "of a number each"],
)
def test_code_without_a_relu_is_no_point_and_no_warning(after):
    dead = monitored(Block(after, name="block"))
    assert dead_shares(dead) == {}


def test_a_layer_inside_is_captured_once_and_under_its_own_path():
    inner = known_dense(activation="relu")
    dead = monitored(Block(lambda x: x, dense=inner, name="block"))
    assert dead_shares(dead) == {"block/dense": [0.5]}


def test_a_layer_inside_that_is_not_selected_is_not_the_outer_ones():
    inner = known_dense(activation="relu")
    block = Block(lambda x: keras.ops.relu(x - 2.0), dense=inner, name="block")
    model = keras.Sequential([keras.Input((1,)), block, LAYERS.Dense(1)])
    (point,) = [p for p in taps.activation_points(model) if p.path == "block"]
    assert point.inside
    dead = monitored(block)
    assert dead_shares(dead) == {"block": [0.75], "block/dense": [0.5]}


def test_several_relus_of_one_call_get_numbers():
    def after(x):
        return keras.ops.relu(keras.ops.relu(x)[:, :3] - 2.0)

    dead = monitored(Block(after, name="block"))
    shares = dead_shares(dead)
    assert list(shares) == ["block/relu", "block/relu_1"]
    np.testing.assert_allclose(list(shares.values()), [[0.5], [2 / 3]])


def test_a_subclassed_model_that_calls_relu_itself():
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.dense = known_dense()
            self.block = Block(keras.ops.relu, ones(2), name="block")
            self.out = LAYERS.Dense(1)

        def call(self, x):
            x = keras.ops.relu(self.dense(x))
            return self.out(self.block(x))

    model = Net()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    model.fit(X, X, epochs=2, batch_size=2, callbacks=[dead], verbose=0)
    assert list(dead_shares(dead)) == ["net", "block"]
    assert dead_shares(dead)["net"] == [0.5, 0.5]
    assert len(dead.steps["step"]) == 4


@pytest.mark.parametrize("kind", ["argument", "activation", "lambda"])
def test_a_persons_own_function_as_activation(kind):
    def thresholded(x):
        return keras.ops.relu(x - 1.5)

    layers = {
        "argument": [known_dense(activation=thresholded)],
        "activation": [
            known_dense(),
            LAYERS.Activation(thresholded, name="dense"),
        ],
        "lambda": [known_dense(), LAYERS.Lambda(thresholded, name="dense")],
    }[kind]
    if len(layers) == 2:
        layers[0].name = "before"
    dead = monitored(*layers, x=np.array([[1.0], [2.0]]))
    assert dead_shares(dead) == {"dense": [0.75]}


def test_the_backends_own_function_as_activation():
    (*_, module) = functions.modules()
    dead = monitored(known_dense(activation=module.relu))
    assert dead_shares(dead) == {"dense": [0.5]}


def everywhere():
    """Return all that capturing may replace outside of the model."""
    return [
        vars(module).get(name)
        for module in functions.modules()
        for name in ("relu", "relu_", "relu6")
    ]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_everything_is_restored(error):
    before = everywhere()
    captured = []

    def after(x):
        y = keras.ops.relu(x)
        # Keras also calls this to find out shapes, before anybody captures.
        if everywhere() != before:
            captured.append(True)
            if error is not None:
                raise error("boom")
        return y

    block = Block(after, name="block")
    model = keras.Sequential([keras.Input((1,)), block, LAYERS.Dense(1)])
    model.compile("sgd", "mse")
    attributes = [set(vars(x)) for x in (model, *model._flatten_layers())]
    fit = {"callbacks": [callbacks.DeadReLULogger()], "verbose": 0}
    if error is None:
        model.fit(X, X, **fit)
    else:
        with pytest.raises(error):
            model.fit(X, X, **fit)
    assert captured
    assert everywhere() == before
    for layer, names in zip(
        (model, *model._flatten_layers()), attributes, strict=True
    ):
        assert "call" not in vars(layer)
        assert not {"call", "apply"} & (set(vars(layer)) - names)


def test_weights_are_those_of_a_bare_fit():
    def trained(monitors):
        keras.utils.set_random_seed(3)
        block = Block(keras.ops.relu, ones(4), name="block")
        model = keras.Sequential([keras.Input((1,)), block, LAYERS.Dense(1)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.fit(
            X,
            X,
            epochs=3,
            batch_size=2,
            shuffle=False,
            callbacks=monitors,
            verbose=0,
        )
        return model.get_weights()

    bare = trained([])
    same = trained([callbacks.DeadReLULogger(every_n_steps=1)])
    for a, b in zip(bare, same, strict=True):
        if BACKEND == "jax":
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.backend("torch")
def test_a_module_of_pytorch_is_a_persons_own_code():
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.ReLU())
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor(KERNEL).T)
        module[0].bias.copy_(torch.tensor(BIAS))
    dead = monitored(LAYERS.TorchModuleWrapper(module, name="module"))
    assert dead_shares(dead) == {"module": [0.5]}
