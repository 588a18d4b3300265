"""Residual: the sum, projections, and what a wrapper must pass on."""

import copy

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.layers import BatchNormalization, Dropout, Residual
from tests.fresh_process import predict_after_reload
from tests.numerics import gradient, numpy64

layers = keras.layers


def dense(units=3, **arguments):
    return layers.Dense(units, **arguments)


def test_by_hand():
    layer = Residual([dense(kernel_initializer="ones"), layers.ReLU()], None)
    x = np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, 1.0]], "float32")
    assert numpy64(layer(x)).tolist() == [[7, 8, 9], [-1, -2, 1]]
    assert layer.projection_layer is None
    layer = Residual(dense(kernel_initializer="zeros"), activation="relu")
    assert numpy64(layer(x)).tolist() == [[1, 2, 3], [0, 0, 1]]
    # The gradient is 1 even if the layers pass no gradient.
    layer = Residual(dense(kernel_initializer="zeros"))
    layer.build(x.shape)
    assert (gradient(layer, x) == 1).all()


@pytest.mark.parametrize(
    ("shape", "block", "projection", "out"),
    [
        ((4,), lambda: dense(4), None, (4,)),
        ((4,), lambda: dense(7), "Dense", (7,)),
        ((5, 4), lambda: dense(7), "Dense", (5, 7)),
        ((None, 4), lambda: dense(7), "Dense", (None, 7)),
        (
            (5, 4),
            lambda: layers.LSTM(6, return_sequences=True),
            "Dense",
            (5, 6),
        ),
        (
            (9, 4),
            lambda: layers.Conv1D(6, 3, strides=2, padding="same"),
            "Conv1D",
            (5, 6),
        ),
        (
            (8, 9, 2),
            lambda: [
                layers.Conv2D(4, 3, strides=(2, 3), padding="same"),
                BatchNormalization(),
                layers.Conv2D(4, 3, padding="same"),
            ],
            "Conv2D",
            (4, 3, 4),
        ),
        ((6, 6, 2), lambda: layers.MaxPooling2D(), "Conv2D", (3, 3, 2)),
    ],
)
def test_projections(rng, shape, block, projection, out):
    layer = Residual(block())
    assert layer.compute_output_shape((None, *shape)) == (None, *out)
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    assert model.output_shape == (None, *out)
    projected = layer.projection_layer
    assert (projected and type(projected).__name__) == projection
    x = rng.normal(size=(2, *(n or 3 for n in shape))).astype("float32")
    y = numpy64(layer.block(x)) + numpy64(projected(x) if projected else x)
    np.testing.assert_allclose(numpy64(model(x)), y, atol=1e-6)
    if projected:
        assert not projected.use_bias


def test_channels_first():
    # Symbolically: TensorFlow has no such convolution on a CPU.
    layer = Residual(
        layers.Conv2D(
            4, 3, strides=2, padding="same", data_format="channels_first"
        )
    )
    layer.build((None, 2, 8, 8))
    assert layer.projection_layer.data_format == "channels_first"
    assert layer.projection_layer.strides == (2, 2)


def test_own_projection(rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    layer = Residual(dense(), projection=dense(kernel_initializer="zeros"))
    y = layer(x)
    np.testing.assert_array_equal(numpy64(y), numpy64(layer.block(x)))
    assert len(layer.trainable_variables) == 4


def test_training_and_masks_reach_the_layers():
    layer = Residual([Dropout(1.0), dense(2, kernel_initializer="ones")])
    x = np.ones((1, 2), "float32")
    assert numpy64(layer(x, training=True)).tolist() == [[1, 1]]
    assert numpy64(layer(x)).tolist() == [[3, 3]]

    class TakesMask(layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            if mask is None:
                return inputs
            return inputs * ops.cast(mask, inputs.dtype)[..., None]

    model = keras.Sequential(
        [
            layers.Masking(),
            Residual([layers.Activation("linear"), TakesMask()]),
            layers.GlobalAveragePooling1D(),
        ]
    )
    x = np.array([[[1.0], [0.0], [3.0]]], "float32")
    # The masked step is neither doubled nor averaged.
    assert numpy64(model(x)).tolist() == [[4]]
    mask = np.ones((1, 4), bool)
    strided = Residual(layers.Conv1D(2, 1, strides=2))
    strided.build((None, 4, 2))
    assert strided.compute_mask(np.ones((1, 4, 2)), mask) is None


def test_losses_are_collected_once():
    layer = Residual(dense(5, kernel_regularizer="l2"))
    layer.build((None, 3))
    assert len(layer.losses) == 1
    assert len(layer.trainable_variables) == 3


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_dtypes(rng, policy):
    layer = Residual(dense(5, dtype=policy), dtype=policy)
    y = layer(rng.normal(size=(2, 3)).astype("float32"))
    dtype = keras.backend.standardize_dtype(y.dtype)
    assert dtype == layer.compute_dtype
    assert layer.projection_layer.dtype_policy == layer.dtype_policy


def model_with_all():
    inner = keras.Sequential([dense(4, activation="relu"), dense(4)])
    x = keras.Input((5, 4))
    y = Residual(inner, activation="relu")(x)
    y = Residual([dense(6), layers.LayerNormalization()])(y)
    y = layers.TimeDistributed(Residual(dense(6), projection=dense(6)))(y)
    return keras.Model(x, Residual(Residual(dense(2)))(y))


def test_save_clone_and_copy(rng, tmp_path):
    keras.utils.set_random_seed(0)
    model = model_with_all()
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    y = model.predict(x, verbose=0)
    reloaded = predict_after_reload(model, x, tmp_path)
    np.testing.assert_allclose(reloaded, y, rtol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    for other in (keras.models.clone_model(model), model_with_all()):
        other.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(other.predict(x, verbose=0), y, rtol=1e-6)
    np.testing.assert_allclose(
        copy.deepcopy(model).predict(x, verbose=0), y, rtol=1e-6
    )


def test_config_round_trip():
    layer = Residual([dense(4), dense(4)], dense(4), "step", name="skip")
    config = layers.serialize(layer)
    assert config["registered_name"] == "keras_ext>Residual"
    again = layers.deserialize(config)
    assert type(again) is Residual
    assert again.get_config() == layer.get_config()
    plain = Residual(dense())
    again = Residual.from_config(plain.get_config())
    assert again.get_config() == plain.get_config()


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"layers": []}, None, "`layers` must be"),
        ({"layers": "dense"}, None, "`layers` must be .*layers="),
        ({"layers": dense, "projection": 3}, None, "`layers` must be"),
        (
            {"layers": layers.ReLU(), "projection": "no"},
            None,
            "`projection` must be .*projection=no",
        ),
        (
            {"layers": dense(5), "projection": None},
            (None, 3),
            r"`layers` must keep .*\(None, 3\).*\(None, 5\)",
        ),
        (
            {"layers": dense(5), "projection": dense(4)},
            (None, 3),
            r"`projection` must return .*\(None, 5\).*\(None, 4\)",
        ),
        (
            {"layers": layers.Flatten()},
            (None, 3, 2),
            r"`projection` must be a layer .*\(None, 3, 2\).*\(None, 6\)",
        ),
        (
            {"layers": layers.Conv2D(2, 3)},
            (None, 8, 8, 2),
            r"`projection` must be a layer .*\(None, 6, 6, 2\)",
        ),
    ],
)
def test_bad_arguments(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        Residual(**arguments).build(shape)
