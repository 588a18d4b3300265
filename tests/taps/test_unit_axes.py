"""The units of an activation are those of the layer that feeds it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext import callbacks, doctor

# Models have more layers than a case uses.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")

LAYERS = keras.layers
FIRST = "channels_first"
SHAPE = (2, 7, 5)  # channels, height, width


class Biases(keras.initializers.Initializer):
    """Let only the last unit of each four fire."""

    def __call__(self, shape, dtype=None):
        units = np.arange(np.prod(shape)) % 4
        return ops.convert_to_tensor(np.where(units == 3, 9.0, -9.0), dtype)


def conv(filters=4, **options):
    options = {"data_format": FIRST, "bias_initializer": Biases()} | options
    return LAYERS.Conv2D(filters, 1, kernel_initializer="ones", **options)


def norm(**options):
    return LAYERS.BatchNormalization(beta_initializer=Biases(), **options)


def relu():
    return LAYERS.ReLU(name="relu")


def dense(**options):
    options = {"bias_initializer": Biases()} | options
    return LAYERS.Dense(4, kernel_initializer="zeros", **options)


SEQUENTIAL = {
    "layer": [conv(), relu()],
    "Activation": [conv(), LAYERS.Activation("relu")],
    "Lambda": [conv(), LAYERS.Lambda(ops.relu)],
    "own function": [conv(), LAYERS.Activation(lambda x: ops.relu(x))],
    "argument": [conv(activation="relu")],
    "layer as argument": [conv(activation=relu())],
    "normalization": [
        conv(use_bias=False, bias_initializer="zeros"),
        norm(axis=1),
        relu(),
    ],
    "group normalization": [
        conv(bias_initializer="zeros"),
        LAYERS.GroupNormalization(2, axis=1, beta_initializer=Biases()),
        relu(),
    ],
    "through others": [
        conv(),
        LAYERS.Dropout(0.1),
        LAYERS.SpatialDropout2D(0.0, data_format="channels_last"),
        LAYERS.Rescaling(2.0),
        LAYERS.ZeroPadding2D(1, data_format=FIRST),
        LAYERS.UpSampling2D(2, data_format=FIRST),
        relu(),
    ],
    "one dimension": [
        LAYERS.Reshape((2, 35)),
        LAYERS.Conv1D(
            4,
            1,
            data_format=FIRST,
            kernel_initializer="ones",
            bias_initializer=Biases(),
        ),
        relu(),
    ],
    "permuted": [conv(), LAYERS.Permute((2, 3, 1)), relu()],
    "reshaped": [
        conv(filters=5, data_format="channels_last"),
        LAYERS.Reshape((5, 7, 2)),
        dense(),
        relu(),
    ],
    "time": [
        LAYERS.Reshape((1, *SHAPE)),
        LAYERS.TimeDistributed(conv()),
        relu(),
    ],
    "inside time": [
        LAYERS.Reshape((1, *SHAPE)),
        LAYERS.TimeDistributed(keras.Sequential([conv(), relu()])),
    ],
    "spectral": [LAYERS.SpectralNormalization(conv()), relu()],
    "dense after all": [conv(), relu(), dense(name="last", activation="relu")],
    "channels last": [
        LAYERS.Permute((2, 3, 1)),
        conv(data_format="channels_last"),
        norm(axis=-1),
        relu(),
    ],
}


def functional(function):
    inputs = keras.Input(SHAPE)
    outputs = LAYERS.Flatten()(function(inputs))
    return keras.Model(inputs, LAYERS.Dense(1)(outputs))


def normalized(inputs):
    x = conv(bias_initializer="zeros")(inputs)
    return ops.relu(norm(axis=1)(x))


FUNCTIONAL = {
    "operation": lambda x: ops.relu(conv()(x)),
    "normalized": normalized,
    "sum": lambda x: ops.relu(conv()(x) + conv()(x)),
    "Add": lambda x: relu()(LAYERS.Add()([conv()(x), conv()(x)])),
    "Concatenate": lambda x: relu()(
        LAYERS.Concatenate(1)([conv()(x), conv()(x)])
    ),
    "joined": lambda x: ops.relu(ops.concatenate([conv()(x), conv()(x)], 1)),
    "transposed": lambda x: ops.relu(ops.transpose(conv()(x), (0, 2, 3, 1))),
}


class Own(keras.Model):
    """A model without a graph, that calls `function(self, x)`."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.one, self.two, self.three = conv(), conv(), dense()
        self.blank = conv(bias_initializer="zeros")
        self.norm, self.relu = norm(axis=1), relu()
        self.end = keras.Sequential([LAYERS.Flatten(), LAYERS.Dense(1)])

    def call(self, x):
        return self.end(self.function(self, x))


OWN = {
    "function": lambda own, x: ops.relu(own.one(x)),
    "layer": lambda own, x: own.relu(own.one(x)),
    "normalized": lambda own, x: ops.relu(own.norm(own.blank(x))),
    "sum": lambda own, x: ops.relu(own.one(x) + own.two(x)),
    "scaled": lambda own, x: own.relu(own.one(x) * 2.0),
    "joined": lambda own, x: ops.relu(
        ops.concatenate([own.one(x), own.two(x)], axis=1)
    ),
    "cut": lambda own, x: ops.relu(own.one(x)[:, :, 1:]),
    "dense": lambda own, x: ops.relu(
        own.three(ops.transpose(own.one(x), (0, 2, 3, 1)))
    ),
}


def dead_of(model, x):
    """Return the dead shares of a step, which `check` must not stumble on."""
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = np.zeros((len(x), 1))
    doctor.check(model, x, y)
    dead = callbacks.DeadReLULogger(every_n_steps=1, mostly_dead=None)
    model.fit(x, y, callbacks=[dead], verbose=0)
    assert "dead_relu/global" in dead.steps
    return [v[0] for k, v in dead.steps.items() if k.startswith("dead_relu/")]


@pytest.fixture
def x(rng):
    return rng.uniform(size=(4, *SHAPE)).astype("float32")


@pytest.mark.parametrize("case", SEQUENTIAL)
def test_layers(case, x):
    layers = [keras.Input(SHAPE), *SEQUENTIAL[case], LAYERS.Flatten()]
    model = keras.Sequential([*layers, LAYERS.Dense(1)])
    assert set(dead_of(model, x)) == {0.75}


@pytest.mark.parametrize("case", FUNCTIONAL)
def test_graphs(case, x):
    assert set(dead_of(functional(FUNCTIONAL[case]), x)) == {0.75}


@pytest.mark.parametrize("case", OWN)
def test_models_without_a_graph(case, x):
    assert set(dead_of(Own(OWN[case]), x)) == {0.75}


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_shared_activation_has_the_units_of_each_use(eagerly, x):
    shared = relu()

    def function(inputs):
        wide = shared(conv()(inputs))
        return shared(dense()(LAYERS.Flatten()(wide)))

    model = functional(function)
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=eagerly)
    dead = callbacks.DeadReLULogger(every_n_steps=1, mostly_dead=None)
    model.fit(x, np.zeros((4, 1)), callbacks=[dead], verbose=0)
    assert dead.steps["dead_relu/relu/relu"].tolist() == [0.75]
    assert dead.steps["dead_relu/relu/relu_1"].tolist() == [0.75]


def torch_modules():
    import torch
    from torch import nn

    class Net(nn.Module):
        """A person's own module, that calls ReLU as a function."""

        def __init__(self, function):
            super().__init__()
            self.function = function
            self.one, self.two = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1)
            self.norm = nn.BatchNorm2d(4)
            self.linear, self.line = nn.Linear(4, 4), nn.Conv1d(2, 4, 1)

        def forward(self, x):
            return self.function(self, x)

    relu = nn.functional.relu
    cases = {
        "layers": nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU()),
        "in place": nn.Sequential(
            nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        ),
        "function": Net(lambda net, x: relu(net.norm(net.one(x)))),
        "sum": Net(lambda net, x: relu(net.one(x) + net.two(x))),
        "one dimension": Net(lambda net, x: relu(net.line(x.flatten(2)))),
        "linear": Net(
            lambda net, x: relu(net.linear(net.one(x).permute(0, 2, 3, 1)))
        ),
        "sequence": Net(
            lambda net, x: relu(net.linear(net.one(x).flatten(2).mT))
        ),
    }
    bias = torch.tensor([-9.0, -9.0, -9.0, 9.0])
    for module in [m for case in cases.values() for m in case.modules()]:
        with torch.no_grad():
            if getattr(module, "bias", None) is not None:
                module.bias.copy_(bias)
                # Small, and no units of a linear layer in other places.
                module.weight.fill_(0.01)
    return cases


@pytest.mark.backend("torch")
@pytest.mark.parametrize(
    "case",
    "layers,in place,function,sum,one dimension,linear,sequence".split(","),
)
def test_modules_of_torch(case, x):
    module = torch_modules()[case]
    layer = LAYERS.TorchModuleWrapper(module, name="body")
    model = keras.Sequential(
        [keras.Input(SHAPE), layer, LAYERS.Flatten(), LAYERS.Dense(1)]
    )
    assert set(dead_of(model, x)) == {0.75}
    assert all("forward" not in vars(part) for part in module.modules())
