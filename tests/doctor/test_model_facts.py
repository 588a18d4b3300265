"""Facts of models that are known beforehand."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext import layers as ext_layers, losses as ext_losses, taps
from keras_ext.doctor.facts import graph
from keras_ext.doctor.facts.losses import loss_facts
from keras_ext.doctor.facts.model import facts_of
from tests import monitored_models

LAYERS = keras.layers


_KERNELS = (
    "kernel_initializer",
    "wise_initializer",
    "recurrent_initializer",
)


def sequential(*layers, shape=(6,)):
    return keras.Sequential([keras.Input(shape), *layers])


def dense(units=8, activation="relu", **kwargs):
    return LAYERS.Dense(units, activation=activation, **kwargs)


def layer(model, path):
    (found,) = [la for la in facts_of(model).layers if la.path == path]
    return found


def output(model):
    (found,) = facts_of(model).outputs
    return found


# Layers


def attention():
    inputs = keras.Input((5, 8))
    x = LAYERS.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = LAYERS.LayerNormalization(name="norm")(x + inputs)
    return keras.Model(inputs, dense(3, "softmax", name="out")(x))


def recurrent():
    return sequential(
        LAYERS.Bidirectional(LAYERS.LSTM(4, return_sequences=True)),
        LAYERS.TimeDistributed(dense(3)),
        LAYERS.SimpleRNN(4, activation="relu", name="simple"),
        shape=(5, 3),
    )


@pytest.mark.parametrize(
    "build",
    [
        monitored_models.mlp,
        monitored_models.cnn,
        monitored_models.functional,
        attention,
        recurrent,
    ],
)
def test_paths_are_those_of_the_monitors(build):
    model = build()
    paths = [la.path for la in facts_of(model).layers]
    assert len(set(paths)) == len(paths)
    groups = [g.path for g in taps.weight_groups(model)]
    points = [s.path for s in taps.activation_points(model) if not s.inside]
    assert {*groups, *points} <= set(paths)
    assert [p for p in paths if p in groups] == groups


def test_operations_stand_where_they_are_called():
    facts = facts_of(monitored_models.functional())
    assert [la.path.partition("_")[0] for la in facts.layers] == [
        "shared",
        "encoder/hidden",
        "plain",
        "relu",
        "out",
    ]
    assert [la.activation for la in facts.layers] == [
        "relu",
        "relu",
        None,
        "relu",
        "softmax",
    ]


def test_weights_are_those_of_numpy():
    model = sequential(dense(7, name="a"), dense(5, name="b"))
    for path, fan_in, units in (("a", 6, 7), ("b", 7, 5)):
        found = layer(model, path)
        kernel = ops.convert_to_numpy(model.get_layer(path).kernel)
        assert found.weight_std == pytest.approx(kernel.std(), rel=1e-5)
        assert (found.fan_in, found.units) == (fan_in, units)


@pytest.mark.parametrize(
    "build, shape, fan_in, units",
    [
        (lambda: LAYERS.Conv2D(4, 3), (8, 8, 2), 18, 4),
        (lambda: LAYERS.Conv2DTranspose(4, 3), (8, 8, 2), 18, 4),
        (lambda: LAYERS.SeparableConv2D(4, 3), (8, 8, 2), 2, 4),
        (lambda: LAYERS.LSTM(4), (5, 3), 3, 4),
        (lambda: LAYERS.GRU(4), (5, 3), 3, 4),
        (lambda: LAYERS.SimpleRNN(4), (5, 3), 3, 4),
        (lambda: LAYERS.EinsumDense("abc,cd->abd", (None, 4)), (5, 3), 3, 4),
    ],
)
def test_fans_and_identical_units_of_every_kind(build, shape, fan_in, units):
    reference = build()
    found = layer(sequential(reference, shape=shape), reference.name)
    assert (found.fan_in, found.units) == (fan_in, units)
    assert not found.identical_units
    config = reference.get_config()
    for name in list(config):
        if name.endswith(_KERNELS):
            config[name] = keras.initializers.Constant(0.1)
    alike = type(reference).from_config(config)
    found = layer(sequential(alike, shape=shape), alike.name)
    assert found.identical_units
    assert found.weight_std == pytest.approx(0.0, abs=1e-7)


def test_equal_columns_are_enough_and_one_unequal_is_not():
    model = sequential(dense(4, name="a"))
    kernel, bias = model.get_layer("a").weights
    kernel.assign(np.arange(6.0)[:, None] * np.ones(4))
    assert layer(model, "a").identical_units
    bias.assign([0.0, 0.0, 0.0, 1e-3])
    assert not layer(model, "a").identical_units
    bias.assign(np.zeros(4))
    values = np.ones((6, 4))
    values[5, 3] = 1.001
    kernel.assign(values)
    assert not layer(model, "a").identical_units


def test_units_with_inputs_of_their_own_are_not_alike():
    model = sequential(
        LAYERS.DepthwiseConv2D(
            2, depthwise_initializer="ones", name="depthwise"
        ),
        LAYERS.BatchNormalization(name="norm"),
        dense(1, name="one", kernel_initializer="zeros"),
        shape=(4, 4, 3),
    )
    assert not any(la.identical_units for la in facts_of(model).layers)


def test_a_recurrent_kernel_tells_units_apart():
    lstm = LAYERS.LSTM(4, kernel_initializer="zeros", name="lstm")
    assert not layer(sequential(lstm, shape=(5, 3)), "lstm").identical_units


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16"])
def test_narrow_weights_are_read(policy):
    model = sequential(dense(64, name="a", dtype=policy), shape=(64,))
    found = layer(model, "a")
    assert found.weight_std == pytest.approx((2 / 128) ** 0.5, rel=0.1)
    assert not found.identical_units


def test_frozen_layers_are_there():
    model = sequential(dense(name="a"), dense(name="b"))
    model.get_layer("a").trainable = False
    assert not layer(model, "a").trainable
    assert layer(model, "a").weight_std > 0
    assert layer(model, "b").trainable


def test_frozen_layers_with_the_weights_that_were_drawn():
    model = sequential(
        LAYERS.Embedding(9, 4, name="rows"),
        dense(4, name="drawn"),
        dense(4, name="set"),
        dense(4, name="trained"),
        shape=(3,),
    )
    for name in ("rows", "drawn", "set"):
        model.get_layer(name).trainable = False
    kernel, bias = model.get_layer("set").get_weights()
    model.get_layer("set").set_weights([kernel + 0.01, bias])
    drawn = [la.path for la in facts_of(model).layers if la.is_random]
    assert drawn == ["rows", "drawn"]


def test_dropout_and_penalties():
    model = sequential(
        LAYERS.Dropout(0.25, name="drop"),
        dense(name="a", kernel_regularizer=keras.regularizers.L1L2(0.01, 0.1)),
    )
    assert layer(model, "drop").dropout == 0.25
    assert layer(model, "a").penalty == pytest.approx(0.1)
    kernel = model.get_layer("a").get_weights()[0]
    expected = 0.01 * np.abs(kernel).sum() + 0.1 * np.square(kernel).sum()
    assert layer(model, "a").penalty_loss == pytest.approx(expected, rel=1e-4)
    assert layer(model, "a").dropout == 0.0


def test_what_a_layer_feeds():
    inputs = keras.Input((8,))
    x = dense(8, name="a")(inputs)
    x = LAYERS.Dropout(0.1)(LAYERS.BatchNormalization(name="n")(x))
    branch = dense(8, None, name="b")(x)
    x = LAYERS.add([x, branch], name="sum")
    encoder = keras.Sequential([dense(4, name="c")], name="encoder")
    outputs = dense(2, None, name="d")(LAYERS.Activation("tanh")(encoder(x)))
    facts = facts_of(keras.Model(inputs, outputs))
    feeds = {la.path: la.feeds for la in facts.layers}
    assert feeds["a"] == feeds["n"] == ("Add", "Dense")
    assert feeds["b"] == ("Add",)
    assert feeds["encoder/c"] == ("Dense",)
    assert feeds["d"] == ("output",)
    assert [la.path for la in facts.layers if la.is_normalized] == ["a"]
    assert [la.path for la in facts.layers if la.is_entry] == ["a"]


def test_the_entries_of_a_model():
    image, time = keras.Input((8,)), keras.Input((1,))
    encoder = keras.Sequential([dense(4, name="in"), dense(4, name="on")])
    scale = ext_layers.Standardization()
    scale.adapt(np.ones((4, 8)))
    x = encoder(LAYERS.BatchNormalization()(scale(image)))
    gate = dense(4, name="gate")(dense(4, name="time")(time))
    model = keras.Model([image, time], dense(2, name="out")(x * gate))
    paths = {la.path for la in facts_of(model).layers if la.is_entry}
    assert paths == {f"{encoder.name}/in", "time"}

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = model

        def call(self, x):
            return self.net(x)

    assert not any(la.is_entry for la in facts_of(Own()).layers)


def test_what_the_last_layer_of_a_residual_block_feeds():
    block = ext_layers.Residual(
        [dense(6, name="a"), dense(6, None, name="b")], name="block"
    )
    facts = facts_of(sequential(block, dense(2)))
    feeds = {la.path.split("/")[-1]: la.feeds for la in facts.layers}
    assert feeds["a"] == ("Dense",)
    assert feeds["b"] == ("Add",)


# Outputs


@pytest.mark.parametrize(
    "layers, shape, activation, units",
    [
        ([dense(3, "softmax")], (6,), "softmax", 3),
        ([dense(3, None)], (6,), None, 3),
        ([dense(3, None), LAYERS.Softmax()], (6,), "softmax", 3),
        ([dense(3, None), LAYERS.Activation("tanh")], (6,), "tanh", 3),
        ([dense(3, "tanh"), LAYERS.Activation("linear")], (6,), "tanh", 3),
        ([dense(3, None), LAYERS.ReLU()], (6,), "relu", 3),
        ([dense(3, None), LAYERS.LeakyReLU()], (6,), "leaky_relu", 3),
        ([dense(3, LAYERS.LeakyReLU())], (6,), "leaky_relu", 3),
        ([dense(3, None), ext_layers.Sigmoid()], (6,), "sigmoid", 3),
        ([dense(6, "sigmoid"), LAYERS.Reshape((3, 2))], (6,), "sigmoid", 2),
        ([dense(1, None), LAYERS.Flatten()], (6,), None, 1),
        ([dense(3, "softmax"), LAYERS.Dropout(0.1)], (6,), "softmax", 3),
        ([LAYERS.LSTM(4)], (5, 3), "tanh", 4),
        ([LAYERS.Bidirectional(LAYERS.GRU(4))], (5, 3), "tanh", 8),
        ([LAYERS.TimeDistributed(dense(3, "softmax"))], (5, 3), "softmax", 3),
        ([LAYERS.Conv2D(3, 1, activation="sigmoid")], (4, 4, 2), "sigmoid", 3),
        ([keras.Sequential([dense(3, "softmax")])], (6,), "softmax", 3),
        ([ext_layers.Perceptron(1)], (6,), "step", 1),
    ],
)
def test_the_activation_of_the_output(layers, shape, activation, units):
    model = sequential(*layers, shape=shape)
    found = output(model)
    assert (found.activation, found.units) == (activation, units)
    assert found.known
    inputs = keras.Input(shape)
    found = output(keras.Model(inputs, model(inputs)))
    assert (found.activation, found.known) == (activation, True)


@pytest.mark.parametrize(
    "layers",
    [
        [dense(3, "softmax"), LAYERS.Rescaling(2.0)],
        [dense(3, None), LAYERS.BatchNormalization()],
        [dense(3, None), LAYERS.Lambda(lambda x: x)],
        [dense(3, lambda x: x)],
        [dense(6, "softmax"), LAYERS.Reshape((3, 2))],
        [dense(3, None), LAYERS.Softmax(axis=1)],
        [ext_layers.Residual([dense(6)])],
    ],
)
def test_what_cannot_be_told_is_not_known(layers):
    model = sequential(*layers)
    found = output(model)
    if isinstance(layers[-1], ext_layers.Residual):
        assert found.activation is None
    else:
        assert (found.activation, found.known) == (None, False)


def test_operations_at_the_output():
    inputs = keras.Input((6,))
    hidden = dense(3, None)(inputs)
    found = output(keras.Model(inputs, ops.softmax(hidden)))
    assert (found.activation, found.units, found.known) == ("softmax", 3, True)
    found = output(keras.Model(inputs, ops.squeeze(dense(1, "tanh")(inputs))))
    assert (found.activation, found.known) == ("tanh", True)
    found = output(keras.Model(inputs, hidden + 1.0))
    assert (found.activation, found.known) == (None, False)


def test_outputs_keep_their_losses():
    inputs = keras.Input((6,))
    a, b = dense(1, "sigmoid", name="a")(inputs), dense(2, None)(inputs)
    losses = {"z": "mse", "y": keras.losses.BinaryCrossentropy()}
    for outputs, loss in (
        ({"z": b, "y": a}, losses),
        ([b, a], list(losses.values())),
    ):
        model = keras.Model(inputs, outputs)
        model.compile("sgd", loss)
        found = {o.activation: o for o in facts_of(model).outputs}
        assert found["sigmoid"].loss == "binary_crossentropy"
        assert found["sigmoid"].units == 1
        assert found[None].loss == "mean_squared_error"


def own_loss(y, y_pred):
    return ops.mean(ops.square(y - y_pred))


class OwnLoss(keras.losses.MeanSquaredError):
    def call(self, y_true, y_pred):
        return 2 * super().call(y_true, y_pred)


@pytest.mark.parametrize("source", [keras.losses, ext_losses])
@pytest.mark.parametrize(
    "name, function",
    [
        ("MeanSquaredError", "mean_squared_error"),
        ("KLDivergence", "kl_divergence"),
        ("LogCosh", "log_cosh"),
        ("Huber", "huber"),
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
        ("BinaryFocalCrossentropy", "binary_focal_crossentropy"),
    ],
)
def test_names_of_losses(source, name, function):
    assert loss_facts(getattr(source, name)()).name == function
    assert loss_facts(getattr(source, function)).name == function
    assert loss_facts(function).name == function


def test_losses_that_nobody_knows():
    for loss in (OwnLoss(), lambda y, p: 0.0, "nonsense", None):
        assert loss_facts(loss)[:2] == (None, False)


def test_a_loss_of_ones_own_that_equals_keras_is_recognized():
    losses = keras.losses

    def from_logits(y, p):
        return ops.mean(losses.categorical_crossentropy(y, p, True))

    def summed(y, p):
        return ops.sum(losses.sparse_categorical_crossentropy(y, p))

    def binary(y, p):
        return -ops.mean(y * ops.log(p) + (1 - y) * ops.log(1 - p))

    assert loss_facts(own_loss)[:2] == ("mean_squared_error", False)
    assert loss_facts(from_logits)[:2] == ("categorical_crossentropy", True)
    assert loss_facts(summed)[:2] == ("sparse_categorical_crossentropy", False)
    assert loss_facts(binary)[:2] == ("binary_crossentropy", False)


def test_a_custom_loss_takes_logits_if_it_ignores_a_shift():
    def weighted(y, p):
        weights = ops.convert_to_tensor([1.0, 5.0, 2.0])
        return -ops.sum(weights * y * ops.log_softmax(p), axis=-1)

    def of_distributions(y, p):
        return -ops.sum(y * ops.log(p) * (1 - p) ** 2, axis=-1)

    assert loss_facts(weighted)[:2] == (None, True)
    assert loss_facts(of_distributions)[:2] == (None, False)


def test_recognizing_a_loss_takes_no_random_number():
    def noisy(y, p):
        noise = keras.random.normal(ops.shape(p))
        return ops.mean(ops.square(y - p + noise)) + np.random.rand()

    def drawn():
        keras.utils.set_random_seed(3)
        if with_loss:
            assert loss_facts(noisy)[:2] == (None, False)
        noise = ops.convert_to_numpy(keras.random.normal((2,)))
        return [*noise, np.random.rand()]

    with_loss = False
    expected = drawn()
    with_loss = True
    assert drawn() == expected


def test_settings_of_losses():
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    assert loss_facts(loss)[:3] == (
        "sparse_categorical_crossentropy",
        True,
        -1,
    )
    loss = functools.partial(keras.losses.binary_crossentropy, from_logits=True)
    assert loss_facts(loss)[:3] == ("binary_crossentropy", True, None)
    assert not loss_facts("binary_crossentropy").from_logits
    assert loss_facts("mse").name == "mean_squared_error"


# The rest


def test_optimizers():
    model = sequential(dense(1))
    assert facts_of(model).optimizer is None
    rate = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.1)
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, "mse")
    optimizer.iterations.assign(100)
    facts = facts_of(model)
    assert facts.optimizer == "SGD"
    assert facts.learning_rate == pytest.approx(0.5)
    assert facts.parameters == 7
    assert not facts.clips
    inner = keras.optimizers.Adam(0.25, clipnorm=1.0)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    facts = facts_of(model)
    assert facts.optimizer == "Adam"
    assert facts.learning_rate == pytest.approx(0.25)
    assert facts.clips


@pytest.mark.parametrize(
    "layers, shape",
    [
        ([LAYERS.Rescaling(1 / 255), LAYERS.Flatten()], (4, 4, 1)),
        ([LAYERS.Flatten(), LAYERS.Rescaling(1 / 255)], (4, 4, 1)),
        ([LAYERS.RandomFlip(), LAYERS.Rescaling(1 / 255)], (4, 4, 1)),
        ([LAYERS.Normalization()], (6,)),
        ([LAYERS.BatchNormalization()], (6,)),
        ([LAYERS.LayerNormalization()], (6,)),
        ([ext_layers.Standardization()], (6,)),
        ([ext_layers.MinMaxScaling()], (6,)),
        ([LAYERS.Embedding(9, 4), LAYERS.Flatten()], (6,)),
        ([keras.Sequential([LAYERS.Rescaling(0.1)])], (6,)),
        ([LAYERS.TimeDistributed(LAYERS.Rescaling(0.1))], (5, 3)),
    ],
)
def test_scaled_inputs(layers, shape):
    model = sequential(*layers, dense(2), shape=shape)
    assert facts_of(model).normalizes_input
    inputs = keras.Input(shape)
    x = inputs
    for each in [*layers, dense(2)]:
        x = each(x)
    assert facts_of(keras.Model(inputs, x)).normalizes_input


def test_unscaled_inputs():
    assert not facts_of(sequential(dense())).normalizes_input
    model = sequential(dense(), LAYERS.BatchNormalization(), dense())
    assert not facts_of(model).normalizes_input
    assert not facts_of(monitored_models.functional()).normalizes_input
    inputs = keras.Input((6,))
    model = keras.Model(inputs, dense()(inputs / 255.0))
    assert facts_of(model).normalizes_input


class Own(keras.Model):
    """Calls its layers in another order than it makes them."""

    def __init__(self):
        super().__init__()
        self.last = dense(3, "softmax", name="last")
        self.first = dense(4, name="first")

    def call(self, x):
        return self.last(self.first(x))

    def train_step(self, *args):
        return super().train_step(*args)


def test_a_subclassed_model_is_read_as_far_as_it_can_be():
    model = Own()
    for built in (False, True):
        facts = facts_of(model)
        assert {la.path for la in facts.layers} == {"last", "first"}
        assert facts.own_train_step
        assert not facts.outputs[0].known
        if built:
            assert layer(model, "first").weight_std > 0
            assert layer(model, "last").feeds is None
        else:
            assert layer(model, "first").weight_std is None
            model(np.ones((1, 6), "float32"))
    assert not facts_of(sequential(dense())).own_train_step


def test_a_model_that_is_not_built():
    model = keras.Sequential([dense(4, name="a"), dense(3, "softmax")])
    model.compile("adam", "mse")
    assert output(model).activation == "softmax"
    assert output(model).units == 3
    assert layer(model, "a").weight_std is None
    assert not model.built
    assert facts_of(keras.Sequential()).layers == ()


def test_nothing_is_raised(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    for name in ("feeds_of", "outputs_of", "normalizes_input"):
        monkeypatch.setattr(graph, name, broken)
    model = sequential(dense(name="a"))
    monkeypatch.setattr(model.get_layer("a"), "_kernel", broken)
    facts = facts_of(model)
    assert [la.path for la in facts.layers] == ["a"]
    assert facts.outputs == ()
    assert facts.parameters == 56
