"""Healthy models of words: embeddings and attention."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.doctor.unusual.common import (
    case,
    classify,
    dense,
    softmax,
)

BINARY = {"loss": "binary_crossentropy"}


def sentences(n: int = 1500) -> tuple[np.ndarray, ...]:
    """Return word numbers; the class is which of two words comes first."""
    rng = np.random.default_rng(1)
    x = rng.integers(3, 60, (n, 16))
    places = np.argsort(rng.random((n, 16)), axis=1)[:, :2]
    rows = np.arange(n)
    x[rows, places[:, 0]], x[rows, places[:, 1]] = 1, 2
    y = (places[:, 0] < places[:, 1]).astype(int)
    return x[:1100], y[:1100], x[1100:], y[1100:]


def topics(n: int = 1200) -> tuple[np.ndarray, ...]:
    """Return word numbers; each of four classes has words of its own."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, n)
    own = rng.integers(0, 60, (n, 20)) + 60 * y[:, None] + 1
    x = np.where(rng.random((n, 20)) < 0.35, own, rng.integers(1, 500, (n, 20)))
    return x[:900], y[:900], x[900:], y[900:]


def attention(x: Any, before: bool, width: int = 16) -> Any:
    """Return a block of a transformer, normalized before or behind."""

    def normalized(value):
        return layers.LayerNormalization()(value)

    y = normalized(x) if before else x
    y = layers.MultiHeadAttention(2, 8)(y, y)
    x = x + layers.Dropout(0.1)(y)
    x = x if before else normalized(x)
    y = normalized(x) if before else x
    y = layers.Dense(2 * width, "gelu")(y)
    x = x + layers.Dense(width)(y)
    return x if before else normalized(x)


class Position(layers.Layer):
    """Adds a learned vector to each place."""

    def build(self, shape):
        """Make the vectors."""
        self.table = self.add_weight(shape[1:], initializer="random_normal")

    def call(self, x):
        """Return the inputs and the places."""
        return x + self.table


def transformer(before: bool, blocks: int = 1) -> Any:
    """Return a classifier of `sentences`."""
    words = keras.Input((16,), dtype="int32")
    x = Position()(layers.Embedding(60, 16)(words))
    for _ in range(blocks):
        x = attention(x, before)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(words, layers.Dense(1, "sigmoid")(x))


@case
def embeddings(doctor):
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(500, 16),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, "relu"),
            softmax(4),
        ]
    )
    return classify(doctor, model, topics(), 0.85, epochs=25)


@case
def embeddings_into_lstm(doctor):
    model = keras.Sequential(
        [
            keras.Input((16,), dtype="int32"),
            layers.Embedding(60, 16, mask_zero=True),
            layers.LSTM(24),
            layers.Dense(1, "sigmoid"),
        ]
    )
    rate = keras.optimizers.Adam(5e-3)
    return classify(doctor, model, sentences(), 0.9, rate, **BINARY, epochs=12)


@case
def transformer_normalized_behind(doctor):
    rate = keras.optimizers.Adam(3e-3)
    model = transformer(before=False)
    return classify(doctor, model, sentences(), 0.9, rate, **BINARY, epochs=20)


@case
def transformer_warmed_up(doctor):
    steps = 20 * 35
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, warmup_target=3e-3, warmup_steps=steps // 10
    )
    model = transformer(before=True, blocks=2)
    optimizer = keras.optimizers.AdamW(rate)
    return classify(
        doctor, model, sentences(), 0.9, optimizer, **BINARY, epochs=20
    )


@case
def bags_of_words(doctor):
    x, y, x_test, y_test = topics()

    def bags(words):
        return np.stack([np.bincount(w, minlength=500) for w in words])

    data = (bags(x).astype("float32"), y, bags(x_test).astype("float32"))
    model = dense((500,), 32, last=softmax(4))
    return classify(doctor, model, (*data, y_test), 0.85, epochs=6)
