import keras
import numpy as np
import pytest
from keras import ops

import keras_ext
from keras_ext import convert
from tests.convert.comparing import (
    N_IN,
    assert_same_state,
    assert_same_values,
    assert_trains_alike,
    converted,
    data,
    fit,
    sequential,
)

registered = keras.saving.register_keras_serializable("test_pairing")


@registered
class Block(keras.Model):
    """Makes its layers and functions itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(4, "relu")
        self.last = keras.layers.Dense(1)
        self.forward = lambda x: self.last(self.first(x))
        self.temperature = 1.0
        self.table = np.zeros(2)
        self.norm = None

    def build(self, shape):
        self.first.build(shape)
        self.last.build((*shape[:-1], 4))

    def call(self, x):
        return self.forward(x) * self.temperature


@registered
class Noise(keras.layers.Layer):
    """Draws seeds and numbers that its config does not hold."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator()
        self.several = {"list": [keras.random.SeedGenerator()]}
        self.features = keras.random.normal((N_IN,))
        self.drop = keras.layers.Dropout(0.5)
        self.average = keras.metrics.Mean(name="average")

    def call(self, x, training=None):
        for seed in (self.seed, self.several["list"][0]):
            x = x + keras.random.normal(ops.shape(x), seed=seed)
        return self.drop(x * self.features, training=training)


@registered
class Augmented(keras.Model):
    """Has layers that `call` does not use, but a train step may."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.augment = keras.Sequential(
            [keras.layers.GaussianNoise(0.1, seed=1), keras.layers.ReLU()]
        )
        self.out = keras.layers.Dense(1)

    def build(self, shape):
        self.out.build(shape)

    def call(self, x):
        return self.out(x)


def built_block():
    model = Block()
    model.build((None, N_IN))
    return model


def test_functions_of_the_model_refer_to_the_new_one(rng):
    x, y = data(rng)
    model = built_block()
    model.compile("adam", "mse")
    new = converted(model)
    assert_trains_alike(model, new, x, y)
    expected = ops.convert_to_numpy(new(x))
    model.first.kernel.assign(np.zeros(model.first.kernel.shape))
    np.testing.assert_array_equal(ops.convert_to_numpy(new(x)), expected)


def test_attributes_that_the_config_does_not_hold(rng):
    x, _ = data(rng)
    model = built_block()
    model.temperature = 0.5
    model.table = np.ones(2)
    model.norm = keras.losses.mean_squared_error
    model.labels = ["a", "b"]
    model.settings = {"rate": (1, 2), "loss": keras.losses.Huber()}
    model.best = keras.optimizers.SGD(0.3)
    model.first.note = "trained"
    model.later = object()
    new = converted(model)
    np.testing.assert_allclose(
        new.predict(x, verbose=0), model.predict(x, verbose=0), 1e-5, 1e-6
    )
    np.testing.assert_array_equal(new.table, np.ones(2))
    assert new.table is not model.table
    assert new.norm is keras_ext.losses.mean_squared_error
    assert new.labels == ["a", "b"]
    assert new.settings["rate"] == (1, 2)
    assert type(new.settings["loss"]) is keras_ext.losses.Huber
    assert type(new.best) is keras_ext.optimizers.SGD
    assert new.first.note == "trained"
    assert new.later is model.later


def test_attributes_that_refer_to_the_model_are_lost():
    model = built_block()
    model.helper = lambda: model.last
    model.bound = model.summary
    with pytest.warns(UserWarning, match="could not keep: .*bound .*of the"):
        new = convert(model, print_fn=None)
    assert not hasattr(new, "bound")
    assert getattr(new, "helper", None) is None


def test_what_a_method_makes_is_made_again():
    class Generating(Block):
        generate_function = None

        def make_generate_function(self):
            self.generate_function = lambda x: self.first(x)

    model = registered(Generating)()
    model.make_generate_function()
    new = converted(model)
    assert new.generate_function is None


def test_seeds_and_random_numbers(rng):
    x, _ = data(rng)
    model = sequential(Noise(), keras.layers.GaussianNoise(0.1))
    model.layers[0].average.update_state(3.0)
    model(x, training=True)
    new = converted(model)
    assert_same_state(model, new)
    assert float(new.layers[0].average.result()) == 3.0
    keras.utils.set_random_seed(0)
    expected = model(x, training=True)
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(new(x, training=True)),
        ops.convert_to_numpy(expected),
        1e-5,
        1e-6,
    )


def test_initial_seeds_of_a_model_that_is_not_built(rng):
    x, _ = data(rng)
    model = keras.Sequential(
        [keras.layers.Dense(3, kernel_initializer="he_normal")]
    )
    new = converted(model)
    assert_same_values([model(x), *model.variables], [new(x), *new.variables])


@pytest.mark.parametrize("inside", [False, True], ids=["config", "constructor"])
def test_lora(rng, inside):
    x, y = data(rng)
    model = built_block() if inside else sequential(keras.layers.Dense(3))
    layer = model.first if inside else model.layers[0]
    layer.enable_lora(2, lora_alpha=3)
    if not inside:
        model = sequential(layer, keras.layers.Dense(1))
    model.compile("adam", "mse")
    fit(model, x, y)
    new = converted(model)
    layer = new.first if inside else new.layers[0]
    assert layer.lora_enabled
    assert layer.lora_alpha == 3
    assert_trains_alike(model, new, x, y)


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantized(rng, mode):
    x, _ = data(rng)
    model = sequential(keras.layers.Dense(4, "relu"), keras.layers.Dense(1))
    for layer in model.layers:
        layer.quantize(mode)
    new = converted(model)
    assert new.layers[0].quantization_mode == mode
    assert_same_state(model, new)
    np.testing.assert_allclose(
        new.predict(x, verbose=0), model.predict(x, verbose=0), 1e-5, 1e-6
    )


def test_one_frozen_variable(rng):
    x, y = data(rng)
    model = sequential(
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(1),
    )
    model.layers[0].bias.trainable = False
    model.layers[1].trainable = False
    model.compile("sgd", "mse")
    assert_trains_alike(model, converted(model), x, y)


def test_flags():
    model = sequential(keras.layers.Dense(2), keras.layers.Dense(1))
    model.layers[0].supports_masking = False
    model.layers[1].supports_jit = False
    new = converted(model)
    assert not new.layers[0].supports_masking
    assert not new.layers[1].supports_jit


def test_layers_that_the_call_does_not_use(rng):
    x, y = data(rng)
    model = Augmented()
    model.compile("adam", "mse")
    fit(model, x, y)
    model.augment(x, training=True)
    new = converted(model)
    assert isinstance(new.augment.layers[1], keras_ext.layers.ReLU)
    assert_same_values(
        [model.augment(x, training=True)], [new.augment(x, training=True)]
    )
    assert_trains_alike(model, new, x, y)


def test_layers_in_another_order(rng):
    # Keras lists layers of one depth as it finds them.
    x, y = data(rng)
    inputs = keras.Input((N_IN,))
    branches = [
        keras.layers.Dense(2, name=name)(inputs) for name in ("b", "c", "a")
    ]
    outputs = keras.layers.Add()([branches[2], branches[0], branches[1]])
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("adam", "mse")
    fit(model, x, y)
    new = converted(model)
    for name in "abc":
        assert_same_values(
            model.get_layer(name).weights, new.get_layer(name).weights
        )
    assert_trains_alike(model, new, x, y)
