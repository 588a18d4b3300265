import keras
import numpy as np
import pytest
from keras import ops

from keras_ext import activations, callbacks, layers, taps
from tests.monitored_models import LAYERS, functional, mlp


def relu_points(model):
    return [p for p in taps.activation_points(model) if p.kind == "relu"]


def test_weight_groups_of_a_sequential_model_are_its_layers_in_order():
    groups = taps.weight_groups(mlp())
    assert [g.path for g in groups] == ["first", "norm", "second", "out"]
    assert [len(g.variables) for g in groups] == [2, 2, 2, 2]


def test_weight_groups_of_a_nested_model_join_names_and_share_layers():
    groups = taps.weight_groups(functional())
    assert [g.path for g in groups] == [
        "shared",
        "encoder/hidden",
        "plain",
        "out",
    ]


def test_frozen_layers_are_no_weight_groups():
    model = mlp()
    model.get_layer("first").trainable = False
    paths = [g.path for g in taps.weight_groups(model)]
    assert paths == ["norm", "second", "out"]


def test_equal_paths_get_numbers():
    inner = [LAYERS.Dense(2, name="same") for _ in range(2)]

    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = inner

        def call(self, x):
            return self.b(self.a(x))

    model = Twins()
    model(keras.ops.ones((1, 2)))
    paths = [g.path for g in taps.weight_groups(model)]
    assert paths == ["same", "same_1"]


def test_a_recurrent_layer_and_its_cell_are_one():
    model = keras.Sequential(
        [keras.Input((4, 3)), LAYERS.LSTM(2, name="memory")]
    )
    groups = taps.weight_groups(model)
    assert [g.path for g in groups] == ["memory"]
    assert len(groups[0].variables) == 3


def test_relu_points_are_found_by_what_they_are():
    points = relu_points(functional())
    paths = [p.path for p in points]
    assert paths[:2] == ["shared", "encoder/hidden"] or len(paths) == 3
    assert {"shared", "encoder/hidden"} < set(paths)
    assert len(points) == 3


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.Dense(2, activation="relu"),
        LAYERS.Dense(2, activation="relu6"),
        LAYERS.Dense(2, activation=LAYERS.ReLU()),
        LAYERS.Activation("relu"),
        LAYERS.ReLU(),
        LAYERS.ReLU(max_value=6.0),
        LAYERS.ReLU(threshold=1.0),
        LAYERS.LeakyReLU(negative_slope=0.0),
        LAYERS.Dense(2, activation="hard_silu"),
        layers.ReLU(max_value=2.0),
        layers.Dense(2, activation="relu"),
        layers.Dense(2, activation=activations.relu),
        LAYERS.SimpleRNN(2, activation="relu"),
        LAYERS.Conv1D(2, 1, activation=keras.activations.relu),
    ],
)
def test_every_kind_of_relu_is_one_point(layer):
    model = keras.Sequential([keras.Input((3, 3)), layer])
    assert len(relu_points(model)) == 1


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.Dense(2),
        LAYERS.Dense(2, activation="tanh"),
        LAYERS.ReLU(negative_slope=0.1),
        LAYERS.LeakyReLU(),
        LAYERS.ELU(),
        layers.Perceptron(2),
        layers.Step(),
    ],
)
def test_what_has_no_dead_units_is_no_point(layer):
    model = keras.Sequential([keras.Input((3,)), layer])
    assert relu_points(model) == []


def test_select_takes_names_paths_and_nested_models():
    groups = taps.weight_groups(functional())

    def chosen(*layers):
        return [g.path for g in taps.select(groups, layers)]

    assert chosen("out", "shared") == ["shared", "out"]
    assert chosen("encoder") == ["encoder/hidden"]
    assert chosen("hidden") == ["encoder/hidden"]
    assert chosen("encoder/hidden") == ["encoder/hidden"]


def test_select_names_the_layers_there_are():
    groups = taps.weight_groups(mlp())
    with pytest.raises(ValueError, match="'firts'.*'first', 'norm'"):
        taps.select(groups, ["firts"])


LIMITS = {
    "relu": (None, None),
    "leaky": (None, None),
    "sigmoid": (0.01, 0.99),
    "tanh": (-0.99, 0.99),
    "softmax": (None, None),
    "other": (None, None),
}
KINDS = [
    ("leaky", LAYERS.ReLU(negative_slope=0.1)),
    ("leaky", LAYERS.LeakyReLU()),
    ("leaky", LAYERS.ELU()),
    ("leaky", LAYERS.PReLU()),
    ("leaky", LAYERS.Dense(2, activation="swish")),
    ("leaky", LAYERS.Dense(2, activation="gelu")),
    ("leaky", LAYERS.Dense(2, activation=LAYERS.LeakyReLU())),
    ("leaky", layers.SELU()),
    ("leaky", layers.Swish()),
    ("sigmoid", LAYERS.Dense(2, activation="sigmoid")),
    ("sigmoid", LAYERS.Activation("hard_sigmoid")),
    ("sigmoid", layers.Sigmoid()),
    ("sigmoid", LAYERS.Lambda(keras.ops.sigmoid)),
    ("tanh", LAYERS.Dense(2, activation=keras.ops.tanh)),
    ("tanh", layers.Dense(2, activation=activations.tanh)),
    ("tanh", layers.Tanh()),
    ("softmax", LAYERS.Softmax()),
    ("softmax", LAYERS.Dense(2, activation="softmax")),
    ("other", LAYERS.Dense(2, activation="softsign")),
]


@pytest.mark.parametrize(
    ("kind", "layer"),
    KINDS,
    ids=[f"{kind} {layer.name}" for kind, layer in KINDS],
)
def test_activations_are_known_by_what_they_are(kind, layer):
    model = keras.Sequential([keras.Input((3,)), layer])
    (point,) = taps.activation_points(model)
    assert (point.kind, point.inside) == (kind, False)
    assert (point.low, point.high) == LIMITS[kind]


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("relu", keras.ops.relu),
        ("relu", lambda x: keras.activations.relu(x, threshold=1.0)),
        ("leaky", lambda x: keras.activations.relu(x, negative_slope=0.1)),
        ("leaky", keras.ops.leaky_relu),
        ("leaky", keras.activations.gelu),
        ("sigmoid", keras.ops.sigmoid),
        ("tanh", keras.ops.tanh),
        ("softmax", keras.ops.softmax),
    ],
)
def test_operations_are_known_by_what_they_are(kind, operation):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, operation(inputs))
    (point,) = taps.activation_points(model)
    assert (point.kind, point.attribute) == (kind, "call")


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.Dense(2),
        LAYERS.Dense(2, activation="linear"),
        LAYERS.Dropout(0.5),
        layers.Linear(),
        # Capturing would keep these from their fused kernels.
        LAYERS.LSTM(2),
        LAYERS.GRU(2),
        LAYERS.Bidirectional(LAYERS.LSTM(2)),
    ],
)
def test_what_is_no_activation_or_not_readable_is_no_point(layer):
    model = keras.Sequential([keras.Input((4, 3)), layer])
    assert taps.activation_points(model) == []


def test_a_persons_own_code_may_hold_a_relu():
    class Own(LAYERS.Layer):
        def call(self, x):
            return x

    class OwnDense(LAYERS.Dense):  # what it calls is Keras's
        pass

    model = keras.Sequential(
        [
            keras.Input((3,)),
            Own(name="own"),
            OwnDense(2, name="dense"),
            LAYERS.Dense(2, activation=lambda x: x, name="argument"),
            LAYERS.Lambda(lambda x: x, name="lambda"),
        ]
    )
    points = relu_points(model)
    assert all(point.inside for point in points)
    assert [(p.path, p.attribute) for p in points] == [
        ("own", "call"),
        ("argument", "activation"),
        ("lambda", "function"),
    ]


def test_a_relu_of_several_widths_is_several_points():
    relu = LAYERS.ReLU(name="relu")
    inputs = keras.Input((1,))
    wide = relu(LAYERS.Dense(4, kernel_initializer="ones")(inputs))
    narrow = relu(LAYERS.Dense(2, kernel_initializer="ones")(wide))
    model = keras.Model(inputs, LAYERS.Dense(1)(narrow))
    model.compile("sgd", "mse")
    dead = callbacks.DeadReLULogger()
    x = np.ones((4, 1))
    model.fit(x, x, callbacks=[dead], verbose=0)
    assert {k for k in dead.epochs if k.startswith("dead_relu/")} == {
        "dead_relu/relu/relu",
        "dead_relu/relu/relu_1",
        "dead_relu/global",
    }


def test_a_wrapped_layer_has_all_of_its_weights():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            layers.SpectralNormalization(
                layers.Conv1D(3, 2, name="conv"), name="norm"
            ),
            layers.TimeDistributed(layers.Dense(4, name="dense"), name="steps"),
            layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both"),
        ]
    )
    groups = {g.path: len(g.variables) for g in taps.weight_groups(model)}
    assert groups == {
        "norm/conv": 2,
        "steps/dense": 2,
        "both/forward_lstm": 3,
        "both/backward_lstm": 3,
    }


def test_a_tied_weight_belongs_to_the_first_layer():
    first = keras.layers.Dense(3, name="first")
    second = keras.layers.Dense(3, name="second")
    first.build((None, 3))
    second.also = first.kernel
    second.build((None, 3))
    model = keras.Sequential([keras.Input((3,)), first, second])
    groups = {g.path: g.variables for g in taps.weight_groups(model)}
    assert any(v is first.kernel for v in groups["first"])
    assert len(groups["second"]) == 2


class SameNames(keras.Model):
    """Everything has the name of something else."""

    def __init__(self):
        super().__init__(name="a")
        dense = keras.layers.Dense
        self.scale = self.add_weight(shape=(4,), name="scale")
        self.same = [dense(4, "relu", name="a") for _ in range(2)]
        self.others = [dense(4, "relu", name=n) for n in ("a_1", "global")]
        self.nested = [
            keras.Sequential(
                [keras.Input((4,)), dense(4, "relu", name="a")], name=name
            )
            for name in ("n", "n", "relu")
        ]

    def call(self, x):
        for layer in [*self.same, *self.others, *self.nested]:
            x = layer(x)
        return ops.relu(ops.relu(x * self.scale) - 0.1)


def test_every_key_is_unique():
    model = SameNames()
    x = np.ones((8, 4), "float32")
    model(x)
    groups = taps.weight_groups(model)
    paths = [group.path for group in groups]
    assert len(set(paths)) == len(paths) == 8
    assert "global" not in paths
    model.compile("sgd", "mse")
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    dead = callbacks.DeadReLULogger(every_n_steps=1, mostly_dead=None)
    model.fit(x, x, callbacks=[norms, dead], verbose=0)
    # One key for each weight group, activation and whole.
    assert len(norms.epochs) == 8 + 1
    shares = [key for key in dead.epochs if key.startswith("dead_relu/")]
    assert len(shares) == 7 + 2 + 1
    squares = [norms.epochs[f"grad_norm/{path}"] ** 2 for path in paths]
    np.testing.assert_allclose(
        norms.epochs["grad_norm/global"] ** 2,
        np.sum(squares, axis=0),
        rtol=1e-5,
    )
