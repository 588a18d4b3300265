"""Other packages for Keras 3: keras-tcn, KAN, minGRU, vision, YOLO."""

import functools
from typing import Any

import keras
from keras import layers

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

SIZE = 32


def _compiled(model: Any, x: Any, y: Any, **arguments: Any) -> Case:
    optimizer = keras.optimizers.Adam(2e-3)
    return compiled_classifier(model, x, y, optimizer, **arguments)


def tcn(**arguments: Any) -> Case:
    """Return a temporal convolutional network of keras-tcn."""
    from tcn import TCN

    x, y = data.series(24, 2)
    inputs = keras.Input(x.shape[1:])
    h = TCN(8, dilations=(1, 2, 4), dropout_rate=0.05, **arguments)(inputs)
    return _compiled(keras.Model(inputs, layers.Dense(2)(h)), x, y)


def kan() -> Case:
    """Return a Kolmogorov-Arnold network of keras-efficient-kan."""
    from keras_efficient_kan import KANLinear

    x, y = data.vectors()
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), KANLinear(8), KANLinear(3)]
    )
    return _compiled(model, x, y)


def min_gru() -> Case:
    """Return a minGRU classifier of sequences."""
    from mingru_keras import MinGRU

    x, y = data.series(24, 2)
    inputs = keras.Input(x.shape[1:])
    h = layers.LayerNormalization()(MinGRU(16)(inputs))
    h = layers.GlobalAveragePooling1D()(MinGRU(16)(h))
    return _compiled(keras.Model(inputs, layers.Dense(2)(h)), x, y)


@keras.saving.register_keras_serializable("zoo")
class Attentive(keras.Model):
    """An LSTM with the attention layer of `attention`.

    The layer's `__call__` does not work in a functional model.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        from attention import Attention

        self.lstm = layers.LSTM(16, return_sequences=True)
        self.attention = Attention(units=8)
        self.out = layers.Dense(2)

    def call(self, x: Any) -> Any:
        """Return logits."""
        return self.out(self.attention(self.lstm(x)))


def attention() -> Case:
    """Return a classifier with attention."""
    x, y = data.series(24, 2)
    model = Attentive()
    model(x[:8])
    return _compiled(model, x, y)


def uncertain() -> Case:
    """Return a Bayesian network of keras-proba."""
    from keras_proba.layers import DenseFlipout, SpectralNormalization

    x, y = data.vectors()
    inputs = keras.Input(x.shape[1:])
    h = SpectralNormalization(layers.Dense(16, activation="relu"))(inputs)
    h = DenseFlipout(16, activation="relu", kl_weight=1e-3)(h)
    return _compiled(keras.Model(inputs, layers.Dense(3)(h)), x, y)


def mobile_vit() -> Case:
    """Return MobileViT of keras-vision."""
    from keras_vision.MobileViT_v1 import build_MobileViT_v1

    model = build_MobileViT_v1(
        model_type="XXS",
        pretrained=False,
        include_top=True,
        num_classes=3,
        input_shape=(SIZE, SIZE, 3),
    )
    x, y = data.images(SIZE, samples=16)
    return _compiled(model, x, y, batch_size=4)


def yolo() -> Case:
    """Return the smallest YOLO v8 of kyolo; a head on its features learns."""
    from kyolo.models import yolov8n

    network = yolov8n(nc=3, input_shape=(64, 64, 3))
    inputs = keras.Input((64, 64, 3))
    levels = keras.tree.flatten(network(inputs))
    h = layers.GlobalAveragePooling2D()(levels[0])
    model = keras.Model(inputs, layers.Dense(3, name="head")(h))
    x, y = data.images(64, samples=16)
    return _compiled(model, x, y, batch_size=4)


MODELS: dict[str, Make] = {
    "keras-tcn": tcn,
    "keras-tcn, batch norm": functools.partial(tcn, use_batch_norm=True),
    "keras-efficient-kan": kan,
    "mingru-keras": min_gru,
    "attention": attention,
    "keras-proba": uncertain,
    "keras-vision MobileViT": mobile_vit,
    "kyolo YOLO v8": yolo,
}
