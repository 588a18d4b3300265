import keras
import numpy as np
import pytest
from keras import ops

import keras_ext
from keras_ext import convert
from tests.convert.comparing import (
    N_IN,
    assert_same_optimizer,
    assert_trains_alike,
    converted,
    data,
    fit,
    reported,
    sequential,
)

registered = keras.saving.register_keras_serializable("test_compiling")


@registered
class Task(keras.Model):
    """Compiles itself when it is made, as tasks of KerasHub do."""

    def __init__(self, units=1, **kwargs):
        inputs = keras.Input((N_IN,))
        outputs = keras.layers.Dense(units)(inputs)
        super().__init__(inputs, outputs, **kwargs)
        self.units = units
        self.sampler = None
        self.compile()

    def compile(self, optimizer="auto", loss="auto", *, sampler="a", **kwargs):
        optimizer = "adam" if optimizer == "auto" else optimizer
        loss = "mse" if loss == "auto" else loss
        self.sampler = sampler
        super().compile(optimizer, loss, **kwargs)

    def get_config(self):
        return {"units": self.units}


@registered
class OfItsConfig(Task):
    """Has all methods that Keras asks for."""

    def get_compile_config(self):
        optimizer = keras.optimizers.serialize(self.optimizer)
        return {"optimizer": optimizer, "sampler": self.sampler}

    def compile_from_config(self, config):
        optimizer = keras.optimizers.deserialize(config["optimizer"])
        self.compile(optimizer, sampler=config["sampler"])


@registered
class GAN(keras.Model):
    def __init__(self, critic=None, generator=None, **kwargs):
        super().__init__(**kwargs)
        self.critic = critic or sequential(keras.layers.Dense(1))
        self.generator = generator or sequential(
            keras.layers.Dense(N_IN, "relu")
        )

    def compile(self, d_optimizer, g_optimizer, loss_fn, rate=0.5):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn
        self.rate = rate
        self.d_loss = keras.metrics.Mean(name="d_loss")

    @property
    def metrics(self):
        return [self.d_loss]

    def call(self, x):
        return self.critic(self.generator(x))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "critic": serialize(self.critic),
            "generator": serialize(self.generator),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{k: deserialize(v) for k, v in config.items()})


@registered
class Listing(GAN):
    """Holds its optimizers in containers."""

    def compile(self, *optimizers, **losses):
        keras.Model.compile(self)
        self.several = list(optimizers)
        self.by_name = {"first": optimizers[0], "losses": losses}


OPTIMIZERS = {
    "default": lambda: "auto",
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "clipped": lambda: keras.optimizers.Adam(0.01, clipnorm=1.0),
    "schedule": lambda: keras.optimizers.RMSprop(
        keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)
    ),
    "accumulated": lambda: keras.optimizers.SGD(
        0.01, gradient_accumulation_steps=2
    ),
    "without a counterpart": lambda: keras.optimizers.Nadam(0.01),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=4.0, dynamic_growth_steps=2
    ),
}


@pytest.mark.parametrize(
    ("optimizer", "trained"),
    [("default", False), ("scaled", False), *((x, True) for x in OPTIMIZERS)],
)
def test_a_compile_of_its_own(rng, optimizer, trained):
    x, y = data(rng)
    model = Task()
    loss = keras.losses.Huber(0.25, reduction="sum")
    model.compile(OPTIMIZERS[optimizer](), loss, metrics=["mae"], sampler="b")
    if trained:
        fit(model, x, y)
    new = converted(model)
    assert new.sampler == "b"
    assert type(new.loss) is keras_ext.losses.Huber
    assert new.loss.get_config()["delta"] == 0.25
    assert new.loss.reduction == "sum"
    if not optimizer.startswith("without"):
        inner = getattr(new.optimizer, "inner_optimizer", new.optimizer)
        assert type(inner).__module__.startswith("keras_ext.optimizers.")
    assert_trains_alike(model, new, x, y)


def test_a_changed_learning_rate(rng):
    x, y = data(rng)
    model = sequential(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    fit(model, x, y)
    model.optimizer.learning_rate = 0.002
    assert_trains_alike(model, converted(model), x, y)


def test_a_config_for_compile_of_its_own(rng):
    x, y = data(rng)
    model = OfItsConfig()
    model.compile(keras.optimizers.SGD(0.02), "mae", sampler="c")
    fit(model, x, y)
    new = converted(model)
    assert new.sampler == "c"
    assert_trains_alike(model, new, x, y)


def step(model, x, y):
    """Lets each optimizer take a step, without any backend's gradients."""
    for optimizer, part in (
        (model.d_optimizer, model.critic),
        (model.g_optimizer, model.generator),
    ):
        loss = float(ops.convert_to_numpy(model.loss_fn(y, model(x))))
        gradients = [loss * ops.ones(v.shape) for v in part.trainable_variables]
        optimizer.apply(gradients, part.trainable_variables)
    model.d_loss.update_state(loss)
    return loss


@pytest.mark.parametrize("trained", [False, True])
def test_two_optimizers(rng, trained):
    x, y = (ops.convert_to_tensor(a) for a in data(rng))
    model = GAN()
    model.compile(
        keras.optimizers.Adam(0.01, beta_1=0.5),
        keras.optimizers.RMSprop(0.001, momentum=0.5),
        keras.losses.MeanAbsoluteError(),
        rate=0.25,
    )
    if trained:
        step(model, x, y)
    new = converted(model)
    for name, kind in (("d", "Adam"), ("g", "RMSprop")):
        old_optimizer, optimizer = (
            getattr(m, f"{name}_optimizer") for m in (model, new)
        )
        assert type(optimizer) is getattr(keras_ext.optimizers, kind)
        assert_same_optimizer(old_optimizer, optimizer)
    assert type(new.loss_fn) is keras_ext.losses.MeanAbsoluteError
    assert new.rate == 0.25
    assert new.metrics == [new.d_loss]
    assert new.d_loss is not model.d_loss
    assert float(new.d_loss.result()) == float(model.d_loss.result())
    for _ in range(3):
        np.testing.assert_allclose(step(new, x, y), step(model, x, y), 1e-4)
    # The given model is not trained along.
    before = model.get_weights()
    step(new, x, y)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_optimizers_in_containers():
    model = Listing()
    adam, sgd = keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.2)
    model.compile(adam, sgd, real=keras.losses.mean_squared_error)
    new = converted(model)
    assert_same_optimizer(adam, new.several[0])
    assert_same_optimizer(sgd, new.several[1])
    assert type(new.several[1]) is keras_ext.optimizers.SGD
    assert new.by_name["first"] is new.several[0]
    ours = keras_ext.losses.mean_squared_error
    assert new.by_name["losses"]["real"] is ours


def test_a_model_inside_is_compiled_too(rng):
    x, _ = data(rng)
    inner = sequential(keras.layers.Dense(N_IN))
    inner.compile("sgd", "mse", metrics=["mae"])
    fit(inner, x, x)
    new = converted(sequential(inner, keras.layers.Dense(1)))
    assert not new.compiled
    assert_trains_alike(inner, new.layers[0], x, x)


SETTINGS = {
    "eager": {"run_eagerly": True},
    "not jitted": {"jit_compile": False},
    "several steps": {"steps_per_execution": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(rng, name):
    if name == "several steps" and keras.config.backend() == "torch":
        pytest.skip("PyTorch runs one step at a time.")
    x, y = data(rng)
    model = sequential(keras.layers.Dense(1))
    model.compile("sgd", "mse", **SETTINGS[name])
    new = converted(model)
    for setting, value in SETTINGS[name].items():
        assert getattr(new, setting) == value
    assert_trains_alike(model, new, x, y)


def test_settings_changed_after_compile():
    model = sequential(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    model.run_eagerly = True
    assert converted(model).run_eagerly


def test_several_outputs(rng):
    x, y = data(rng)
    inputs = keras.Input((N_IN,))
    outputs = {
        "a": keras.layers.Dense(1, name="a")(inputs),
        "b": keras.layers.Dense(1, "sigmoid", name="b")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        {"a": "mse", "b": keras.losses.BinaryCrossentropy()},
        loss_weights={"a": 1.0, "b": 2.0},
        metrics={"a": ["mae", keras.metrics.R2Score()], "b": "accuracy"},
        weighted_metrics={"b": [keras.metrics.AUC(name="auc")]},
    )
    ys = {"a": y, "b": (y > 0).astype("float32")}
    fit(model, x, ys)
    new = converted(model)
    assert type(new.loss["b"]) is keras_ext.losses.BinaryCrossentropy
    assert new.loss["a"] is keras_ext.losses.mean_squared_error
    assert_trains_alike(model, new, x, ys)


def test_the_dtype_of_a_loss():
    model = sequential(keras.layers.Dense(1))
    model.compile("sgd", keras.losses.LogCosh(dtype="bfloat16"))
    loss = converted(model).loss
    assert type(loss) is keras_ext.losses.LogCosh
    assert loss.dtype == "bfloat16"


@pytest.mark.parametrize("loss", ["crossentropy", ["mse"], None])
def test_other_losses(loss):
    model = sequential(keras.layers.Dense(1))
    model.compile("sgd", loss)
    expected = [keras_ext.losses.mean_squared_error]
    assert converted(model).loss == (expected if loss == ["mse"] else loss)


def test_compiled_twice(rng):
    # Keras keeps the metrics of the first time.
    x, y = data(rng)
    model = sequential(keras.layers.Dense(1))
    model.compile("adam", "mae", metrics=["mse"])
    model.compile("sgd", "mse")
    assert_trains_alike(model, converted(model), x, y)


def test_mixed_precision_scales_the_loss():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = sequential(keras.layers.Dense(1))
        model.compile("adam", "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    new = converted(model)
    assert new.dtype_policy.name == "mixed_float16"
    assert_same_optimizer(model.optimizer, new.optimizer)
    inner = new.optimizer.inner_optimizer
    assert type(inner) is keras_ext.optimizers.Adam


class Wrapper(keras.optimizers.Optimizer):
    """Wraps an optimizer, which its config lacks."""

    def __init__(self, learning_rate=0.1, inner=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.inner = inner or keras.optimizers.SGD()

    def build(self, variables):
        super().build(variables)
        self.inner.build(variables)

    @property
    def variables(self):
        return super().variables + self.inner.variables


@pytest.mark.parametrize("built", [False, True])
def test_an_optimizer_inside_a_persons_own(built):
    model = sequential(keras.layers.Dense(1))
    inner = keras.optimizers.SGD(0.2, momentum=0.9)
    model.compile(Wrapper(inner=inner), "mse")
    if built:
        model.optimizer.build(model.trainable_variables)
        inner.apply([ops.ones(v.shape) for v in model.trainable_variables])
    new = converted(model)
    assert_same_optimizer(inner, new.optimizer.inner)
    assert_same_optimizer(model.optimizer, new.optimizer)
    why = "inside Wrapper"
    assert f"left alone: 1 SGD ({why})" in reported(model)


class Needy(keras.optimizers.SGD):
    def __init__(self, learning_rate, needed, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.needed = needed


def test_an_optimizer_that_cannot_be_made_again():
    model = Task()
    model.compile(Needy(0.1, object()))
    with pytest.warns(UserWarning, match="optimizer Needy .*'needed'"):
        new = convert(model, print_fn=None)
    assert new.optimizer is None


def test_a_loss_of_the_given_models_weights():
    model = sequential(keras.layers.Dense(1))
    kernel = model.layers[0].kernel

    def penalized(y, y_pred):
        return ops.mean(y - y_pred, axis=-1) + ops.sum(kernel)

    model.compile("sgd", penalized)
    expected = "loss penalized \\(refers to the given model\\)"
    with pytest.warns(UserWarning, match=expected):
        convert(model, print_fn=None)
