import threading

import keras
import numpy as np
import pytest
from keras import ops

import keras_ext
from keras_ext import convert
from tests.convert.comparing import (
    N_IN,
    assert_trains_alike,
    converted,
    data,
    fit,
    sequential,
)


@keras.saving.register_keras_serializable("test_reloading")
class Norm(keras.layers.Layer):
    """Has no config of its own: its constructor takes a function."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


@keras.saving.register_keras_serializable("test_reloading")
class Block(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.norm = Norm(ops.tanh)
        self.dense = keras.layers.Dense(units, "relu")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(self.norm(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Opaque(keras.layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function_of_a_person = function

    def call(self, x):
        return x


# A person's own classes and functions, none of them registered.
class Shift(keras.layers.Layer):
    def call(self, x):
        return x + 1


class Penalty(keras.regularizers.Regularizer):
    def __init__(self, factor=0.01):
        self.factor = factor

    def __call__(self, w):
        return self.factor * ops.sum(ops.square(w))

    def get_config(self):
        return {}  # Without the factor.


class Halves(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return 0.5 * ops.ones(shape, dtype)


class Bounded(keras.constraints.Constraint):
    def __call__(self, w):
        return ops.clip(w, -1, 1)


class Policy(keras.DTypePolicy):
    pass


class Decay(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / (1.0 + ops.cast(step, "float32"))

    def get_config(self):
        return {"rate": self.rate}


class Slow(keras.optimizers.SGD):
    """Its config lacks an argument."""

    def __init__(self, learning_rate=0.01, factor=1.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.factor = factor


class Power(keras.metrics.Metric):
    def __init__(self, power, name="power", **kwargs):
        super().__init__(name=name, **kwargs)
        self.power = power
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y, y_pred, sample_weight=None):
        error = ops.mean(ops.abs(y - y_pred) ** self.power)
        self.total.assign(self.total + error)

    def result(self):
        return ops.convert_to_tensor(self.total)

    def get_config(self):
        return {**super().get_config(), "power": self.power}


class Absolute(keras.losses.Loss):
    def call(self, y, y_pred):
        return ops.mean(ops.abs(y - y_pred), axis=-1)


def relu(x):
    """Has the name of a built-in."""
    return ops.tanh(x)


def loss_function(y, y_pred):
    return ops.mean(ops.abs(y - y_pred), axis=-1)


OWN = {
    "layer": lambda: (Shift(), {}),
    "regularizer": lambda: (
        keras.layers.Dense(2, kernel_regularizer=Penalty(3.0)),
        {},
    ),
    "activity regularizer": lambda: (
        keras.layers.Dense(2, activity_regularizer=Penalty(3.0)),
        {},
    ),
    "initializer": lambda: (
        keras.layers.Dense(2, kernel_initializer=Halves()),
        {},
    ),
    "constraint": lambda: (
        keras.layers.Dense(2, bias_constraint=Bounded()),
        {},
    ),
    "activation": lambda: (keras.layers.Dense(2, relu), {}),
    "policy": lambda: (keras.layers.Dense(2, dtype=Policy("float32")), {}),
    "array": lambda: (
        keras.layers.Dense(
            2, bias_initializer=keras.initializers.Constant(np.ones(2))
        ),
        {},
    ),
    "nested": lambda: (
        keras.Sequential(
            [keras.layers.TimeDistributed(keras.layers.Dense(2, relu))]
        ),
        {},
    ),
    "schedule": lambda: (
        keras.layers.Dense(2),
        {"optimizer": keras.optimizers.Adam(Decay(0.1))},
    ),
    "optimizer": lambda: (
        keras.layers.Dense(2),
        {"optimizer": Slow(Decay(0.1), factor=4.0, momentum=0.5)},
    ),
    "loss": lambda: (keras.layers.Dense(2), {"loss": Absolute()}),
    "loss function": lambda: (keras.layers.Dense(2), {"loss": loss_function}),
    "metrics": lambda: (
        keras.layers.Dense(2),
        {"metrics": [Power(3)], "weighted_metrics": [loss_function]},
    ),
}


@pytest.mark.parametrize("kind", OWN)
def test_a_persons_own_objects(rng, kind):
    x, y = data(rng)
    layer, arguments = OWN[kind]()
    if kind == "nested":
        layer = keras.Sequential([keras.layers.Reshape((N_IN, 1)), layer])
    model = sequential(layer, keras.layers.Flatten(), keras.layers.Dense(1))
    model.compile(**({"optimizer": "adam", "loss": "mse"} | arguments))
    fit(model, x, y)
    new = converted(model)
    assert_trains_alike(model, new, x, y)
    if kind == "optimizer":
        assert type(new.optimizer) is Slow
        assert new.optimizer.factor == 4.0
    if kind == "policy":
        assert type(new.layers[0].dtype_policy) is Policy
    if kind == "regularizer":
        assert new.layers[0].kernel.regularizer.factor == 3.0


def test_own_objects_among_built_ins_of_the_same_name():
    model = sequential(
        keras.layers.Dense(2, relu),
        keras.layers.Dense(2, "relu"),
    )
    new = converted(model)
    assert new.layers[0].activation is relu
    assert new.layers[1].activation is keras_ext.activations.relu


def test_inner_layers_without_a_config(rng):
    x, y = data(rng)
    model = sequential(Block(4), keras.layers.Dense(1))
    model.compile("adam", "mse")
    new = converted(model)
    assert type(new.layers[0].dense) is keras_ext.layers.Dense
    assert new.layers[0].norm.function is ops.tanh
    assert_trains_alike(model, new, x, y)


def scale(by):
    return lambda x: by * x


def test_lambdas(rng):
    x, y = data(rng)
    model = sequential(
        # Each uses a global, and some a number of their own.
        keras.layers.Lambda(lambda x: ops.tanh(x)),
        keras.layers.Dense(3, scale(2.0)),
        keras.layers.Dense(3, scale(3.0)),
        keras.layers.Dense(1),
    )
    model.compile(
        "sgd",
        lambda y, p: ops.mean((y - p) ** 2),
        metrics=[lambda y, p: ops.mean(p)],
    )
    fit(model, x, y)
    new = converted(model)
    names = [layer.activation.__name__ for layer in model.layers[1:3]]
    assert names == ["<lambda>", "<lambda>"]
    assert_trains_alike(model, new, x, y)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_what_stands_in_the_way_is_named(where):
    layer = Opaque(object(), name="culprit")
    if where == "inside":
        layer = keras.Sequential([layer, keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`model` must .* layer 'culprit'"):
        convert(sequential(layer))


def test_the_models_own_class_stands_in_the_way():
    class Model(keras.Model):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def call(self, x):
            return self.layer(x)

    with pytest.raises(ValueError, match="which failed with: .*get_config"):
        convert(Model(keras.layers.Dense(1)))


def test_two_classes_of_one_name():
    def make(number):
        class Times(keras.layers.Layer):
            def call(self, x):
                return number * x

        Times.__qualname__ = f"make_{number}.Times"
        return Times

    with pytest.raises(ValueError, match="need different registered names"):
        convert(sequential(make(2)(), make(3)()))


def test_nothing_is_left_in_keras():
    def state():
        kinds = (keras.layers.Dense, keras.layers.Dropout)
        return ["__new__" in vars(kind) for kind in kinds]

    before = state()
    with pytest.raises(ValueError, match="`model` must"):
        convert(sequential(Opaque(object())))
    model = sequential(Block(2))
    model.compile("sgd", "mse")
    convert(model, print_fn=None)
    assert state() == before
    assert type(keras.layers.Dense(1)) is keras.layers.Dense
    assert "get_compile_config" not in vars(model)


def test_other_threads_make_built_ins():
    made = []

    @keras.saving.register_keras_serializable("test_reloading")
    class Waits(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            thread = threading.Thread(
                target=lambda: made.append(keras.layers.Dense(1))
            )
            thread.start()
            thread.join()
            self.dense = keras.layers.Dense(2)

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.dense(x)

    new = converted(sequential(Waits()))
    assert type(new.layers[0].dense) is keras_ext.layers.Dense
    assert [type(layer) for layer in made] == 2 * [keras.layers.Dense]


def test_automatic_names_are_not_used_up():
    model = sequential(keras.layers.Dense(1, name="a"))
    convert(model, print_fn=None)
    before = int(keras.layers.Dense(1).name.rpartition("_")[2])
    convert(model, print_fn=None)
    assert keras.layers.Dense(1).name == f"dense_{before + 1}"
