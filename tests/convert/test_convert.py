import keras
import numpy as np
import pytest

import keras_ext
from keras_ext import convert
from keras_ext._convert import counterparts
from tests.convert.comparing import N_IN, data, fit, reported
from tests.fresh_process import run_in_loader


@keras.saving.register_keras_serializable("test_convert")
class Block(keras.Model):
    """Makes its layers itself, in an attribute, a list and a dict."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = keras.layers.Dense(units, "relu")
        self.several = [
            keras.layers.Dense(units, kernel_regularizer="l2") for _ in range(2)
        ]
        self.by_name = {"dropout": keras.layers.Dropout(0.5, seed=1)}
        self.last = keras.layers.Dense(1)

    def call(self, x, training=None):
        x = self.first(x)
        for layer in self.several:
            x = layer(x)
        return self.last(self.by_name["dropout"](x, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Wide(keras.layers.Dense):
    """A person's own class, which is not registered."""


def loss_of_a_person(y, y_pred):
    return keras.ops.mean(keras.ops.abs(y - y_pred), axis=-1)


def sequential():
    return keras.Sequential(
        [
            keras.Input((N_IN,)),
            keras.layers.Dense(
                8, "relu", kernel_regularizer=keras.regularizers.L2(0.01)
            ),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=4),
            Wide(4, activation="tanh", kernel_initializer="he_normal"),
            keras.layers.Dense(1),
        ],
        name="my_model",
    )


def functional():
    """Shared, nested, wrapped and recurrent layers."""
    x = inputs = keras.Input((N_IN,))
    shared = keras.layers.Dense(N_IN, name="shared")
    x = keras.layers.Reshape((N_IN, 1))(shared(shared(x)))
    x = keras.layers.Conv1D(4, 2, kernel_initializer="he_normal")(x)
    x = keras.layers.TimeDistributed(keras.layers.Dense(3, "tanh"))(x)
    x = keras.layers.Bidirectional(keras.layers.GRU(2))(x)
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, "gelu")], name="inner"
    )
    return keras.Model(inputs, keras.layers.Dense(1)(inner(x)))


def subclassed():
    return Block(4)


MODELS = {f.__name__: f for f in (sequential, functional, subclassed)}
COMPILED = {
    "strings": lambda: dict(optimizer="adam", loss="mse", metrics=["mae"]),
    "objects": lambda: dict(
        optimizer=keras.optimizers.RMSprop(0.01, momentum=0.5),
        loss=keras.losses.Huber(0.5),
        weighted_metrics=[keras.metrics.MeanSquaredError()],
    ),
    "function": lambda: dict(
        optimizer=keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(0.1, 50), momentum=0.9
        ),
        loss=[keras.losses.mean_absolute_error],
        loss_weights=[0.5],
    ),
    "own": lambda: dict(optimizer="adagrad", loss=loss_of_a_person),
    "scaled": lambda: dict(
        optimizer=keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01)
        ),
        loss="mse",
    ),
}


def everything_of_keras(model):
    """Returns the exact built-ins with a counterpart that are left."""
    table = counterparts.table()
    left = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.GRUCell):
            continue  # Its activations choose the fused kernels of Keras.
        things = [layer, *vars(layer).values()]
        left += [t for t in things if type(t) in table]
        left += [t for t in things if callable(t) and _key(t) in table]
    return left


def _key(thing):
    return thing if type(thing).__name__ == "function" else None


@pytest.mark.parametrize(
    ("make", "compiled"),
    [
        ("sequential", "strings"),
        ("sequential", "objects"),
        ("sequential", "function"),
        ("sequential", "own"),
        ("sequential", "scaled"),
        ("functional", "strings"),
        ("subclassed", "objects"),
    ],
)
def test_training_goes_on_as_before(rng, make, compiled):
    x, y = data(rng)
    keras.utils.set_random_seed(0)
    model = MODELS[make]()
    model.compile(**COMPILED[compiled]())
    fit(model, x, y)
    before = model.get_weights()
    new = convert(model, print_fn=None)

    assert everything_of_keras(new) == []
    assert new.name == model.name
    assert [v.name for v in new.weights] == [v.name for v in model.weights]
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    optimizer = getattr(new.optimizer, "inner_optimizer", new.optimizer)
    assert type(optimizer).__module__.startswith("keras_ext.optimizers.")
    np.testing.assert_allclose(
        new.predict(x, verbose=0), model.predict(x, verbose=0), 1e-5, 1e-6
    )
    expected = fit(model, x, y)
    for name, values in fit(new, x, y).items():
        np.testing.assert_allclose(values, expected[name], 2e-5, 1e-6)


@pytest.mark.parametrize("trained", [True, False])
def test_exclusions_from_weight_decay_stay(rng, trained):
    x, y = data(rng)
    keras.utils.set_random_seed(0)
    model = functional()
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=1.0)
    kernel = next(v for v in model.trainable_variables if v.name == "kernel")
    optimizer.exclude_from_weight_decay([kernel], ["bias", "gamma"])
    model.compile(optimizer, "mse")
    if trained:
        fit(model, x, y)
    new = convert(model, print_fn=None)
    assert type(new.optimizer) is keras_ext.optimizers.AdamW
    assert new.optimizer.get_config() == (
        optimizer.get_config() | {"epsilon_hat": True}
    )
    decays = [
        [m.optimizer._use_weight_decay(v) for v in m.trainable_variables]
        for m in (model, new)
    ]
    assert decays[0] == decays[1]
    assert set(decays[0]) == {True, False}
    np.testing.assert_allclose(
        fit(new, x, y)["loss"], fit(model, x, y)["loss"], 2e-5
    )


def test_subclasses_of_a_person_are_left():
    new = convert(sequential(), print_fn=None)
    kinds = [type(layer) for layer in new.layers]
    assert kinds[3] is Wide
    assert kinds[4] is keras_ext.layers.Dense
    assert new.layers[3].activation is keras_ext.activations.tanh
    assert type(new.layers[3].kernel_initializer) is (
        keras_ext.initializers.HeNormal
    )


def test_every_class_has_its_counterpart():
    # So that what is added to the package is swapped without further ado.
    table = counterparts.table()
    assert table[keras.optimizers.Adagrad] is keras_ext.optimizers.Adagrad
    assert table[keras.activations.relu] is keras_ext.activations.relu
    assert keras.initializers.VarianceScaling not in table
    for builtin, ours in table.items():
        assert builtin.__name__ in (ours.__name__, "silu")


def test_unbuilt_and_uncompiled():
    model = keras.Sequential([keras.layers.Dense(2, "relu")])
    new = convert(model, print_fn=None)
    assert not new.built
    assert not new.compiled
    new.build((None, 3))
    assert type(new.layers[0]) is keras_ext.layers.Dense


@pytest.mark.parametrize("frozen_first", [True, False])
def test_what_is_frozen_stays_frozen(rng, frozen_first):
    x, y = data(rng)
    keras.utils.set_random_seed(0)
    model = functional()

    def freeze():
        model.get_layer("inner").trainable = False
        model.get_layer("shared").trainable = False

    if frozen_first:
        freeze()
    model.compile("adam", "mse")
    fit(model, x, y)
    if not frozen_first:
        freeze()  # The optimizer keeps its state for them.
    new = convert(model, print_fn=None)
    for name in ("inner", "shared"):
        assert not new.get_layer(name).trainable
        assert new.get_layer(name).trainable_variables == []
    assert not new.get_layer("inner").layers[0].trainable
    optimizers = model.optimizer, new.optimizer
    for a, b in zip(*(o.variables for o in optimizers), strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
        )
    if frozen_first:  # Else the old one would have to be compiled again.
        expected = fit(model, x, y)["loss"]
        np.testing.assert_allclose(fit(new, x, y)["loss"], expected, 2e-5, 1e-6)


def test_dtype_policy_is_kept():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_bfloat16")]
    )
    new = convert(model, print_fn=None)
    assert new.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert new.layers[0].compute_dtype == "bfloat16"


RELOAD = """
import sys
import keras
import numpy as np

model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
assert type(model.layers[0]).__module__.startswith("keras_ext.")
assert type(model.optimizer).__module__.startswith("keras_ext.")
"""


def test_reload_in_a_new_process(rng, tmp_path):
    x, y = data(rng)
    model = keras.Sequential(
        [keras.Input((N_IN,)), keras.layers.Dense(3, "elu")]
    )
    model.compile("adam", "mse")
    new = convert(model, print_fn=None)
    paths = [tmp_path / name for name in ("m.keras", "x.npy", "y.npy")]
    new.save(paths[0])
    np.save(paths[1], x)
    run_in_loader(RELOAD, *paths)
    np.testing.assert_allclose(
        np.load(paths[2]), model.predict(x, verbose=0), 1e-5, 1e-6
    )


def test_no_model():
    with pytest.raises(ValueError, match="`model` must .* Received: model=3"):
        convert(3)


def test_what_is_swapped_already_is_not_reported():
    model = keras.Sequential(
        [keras.Input((2,)), keras_ext.layers.Dense(3), keras.layers.Dense(1)]
    )
    assert "layers: 1 Dense" in reported(model)
    assert reported(convert(model, print_fn=None)) == ["nothing to swap"]
