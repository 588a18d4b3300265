"""Text and speech: Transformer, LoRA, int8, LSTM and CTC."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make

Tensor = Any
register = keras.saving.register_keras_serializable("zoo")


def transformer(length: int = 16, vocabulary: int = 64) -> Any:
    """Return a small Transformer classifier of tokens."""
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, 16, name="tokens")(inputs)
    for i in range(2):
        h = layers.MultiHeadAttention(2, 8, name=f"attention_{i}")(x, x)
        x = layers.LayerNormalization(name=f"norm_{i}")(x + h)
        h = layers.Dense(32, activation="relu", name=f"wide_{i}")(x)
        h = layers.Dropout(0.1, seed=i)(layers.Dense(16, name=f"narrow_{i}")(h))
        x = layers.LayerNormalization(name=f"norm_{i}b")(x + h)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, "softmax", name="out")(x))


def text_classifier() -> Case:
    """Return a Transformer that classifies texts."""
    return _compiled(transformer())


def lora() -> Case:
    """Return a Transformer whose dense layers learn by LoRA only."""
    model = transformer()
    for layer in model.layers:
        if layer.name == "out":
            continue
        layer.trainable = False
        if isinstance(layer, layers.Dense | layers.Embedding):
            layer.trainable = True
            layer.enable_lora(2)
    return _compiled(model)


def int8() -> Case:
    """Return a Transformer with dense layers in int8; the rest is trained."""
    model = transformer()
    for layer in model.layers[:-1]:
        if isinstance(layer, layers.Dense | layers.Embedding):
            layer.quantize("int8")
            layer.trainable = False
    outputs = layers.Dense(2, "softmax", name="new_out")(
        model.layers[-2].output
    )
    return _compiled(keras.Model(model.input, outputs))


def _compiled(model: Any) -> Case:
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, 200)
    model.compile(
        keras.optimizers.Adam(schedule, clipnorm=1.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Case(model, *data.tokens())


def seq2seq() -> Case:
    """Return an LSTM encoder and decoder that reverses sequences."""
    x, _ = data.sequences(8, 20)
    y = x[:, ::-1]
    before = np.concatenate([np.ones((len(y), 1), "int32"), y[:, :-1]], 1)
    source = keras.Input((8,), dtype="int32")
    target = keras.Input((8,), dtype="int32")
    table = layers.Embedding(24, 12, mask_zero=True, name="table")
    _, *state = layers.LSTM(16, return_state=True)(table(source))
    h = layers.LSTM(16, return_sequences=True)(
        table(target), initial_state=state
    )
    outputs = layers.Dense(24, activation="softmax")(h)
    model = keras.Model([source, target], outputs)
    model.compile(
        keras.optimizers.RMSprop(5e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Case(model, [x, before], y)


@register
class CTCModel(keras.Model):
    """Speech recognition: CTC loss in `compute_loss`."""

    def __init__(self, symbols: int = 5, **kwargs: Any):
        super().__init__(**kwargs)
        self.symbols = symbols
        self.conv = layers.Conv1D(16, 3, padding="same", activation="relu")
        self.rnn = layers.Bidirectional(layers.GRU(12, return_sequences=True))
        self.out = layers.Dense(symbols + 1, activation="softmax")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the probability of each symbol at each time."""
        return self.out(self.rnn(self.conv(x)))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the CTC loss; symbol 0 is the blank."""
        count = ops.shape(y)[0]
        lengths = [
            ops.full((count,), n, "int32")
            for n in (y.shape[1], y_pred.shape[1])
        ]
        logits = ops.log(y_pred + 1e-7)
        return ops.mean(ops.ctc_loss(y, logits, *lengths, mask_index=0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return super().get_config() | {"symbols": self.symbols}


def ctc() -> Case:
    """Return a recognizer of noisy sequences of symbols."""
    rng = np.random.default_rng(0)
    y = rng.integers(1, 6, (64, 4)).astype("int32")
    code = rng.normal(size=(6, 6))
    x = np.repeat(code[y], 4, axis=1) + rng.normal(0, 0.1, (64, 16, 6))
    model = CTCModel()
    model(x[:2].astype("float32"))
    model.compile(keras.optimizers.Adam(5e-3))
    return Case(model, x.astype("float32"), y)


MODELS: dict[str, Make] = {
    "Transformer": text_classifier,
    "LoRA": lora,
    "int8": int8,
    "Seq2seq LSTM": seq2seq,
    "CTC": ctc,
}
