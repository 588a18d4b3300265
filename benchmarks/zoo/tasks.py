"""Text, speech, tables, graphs and games from scratch; LoRA and int8."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep

Tensor = Any
register = keras.saving.register_keras_serializable("zoo")


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
            ops.full((count,), n, "int32") for n in (y.shape[1], y_pred.shape[1])
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


def wide_and_deep() -> Case:
    """Return Wide & Deep (Cheng et al., 2016) with two outputs."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(96, 6)).astype("float32")
    shop = rng.integers(0, 10, 96).astype("int32")
    kind = rng.integers(0, 5, 96).astype("int32")
    chance = numbers[:, 0] + (shop % 2) - 0.5
    targets = {
        "buys": (chance > 0).astype("float32")[:, None],
        "amount": (numbers[:, :1] ** 2 + kind[:, None] / 5).astype("float32"),
    }
    inputs = {
        "numbers": keras.Input((6,), name="numbers"),
        "shop": keras.Input((), dtype="int32", name="shop"),
        "kind": keras.Input((), dtype="int32", name="kind"),
    }
    crossed = layers.HashedCrossing(32, output_mode="one_hot")
    wide = crossed((inputs["shop"], inputs["kind"]))
    deep = layers.Concatenate()(
        [
            inputs["numbers"],
            layers.Embedding(10, 4)(inputs["shop"]),
            layers.Embedding(5, 4)(inputs["kind"]),
        ]
    )
    for width in (32, 16):
        deep = layers.Dense(width, activation="relu")(deep)
    both = layers.Concatenate()([wide, deep])
    model = keras.Model(
        inputs,
        {
            "buys": layers.Dense(1, "sigmoid", name="buys")(both),
            "amount": layers.Dense(1, name="amount")(both),
        },
    )
    model.compile(
        keras.optimizers.Adagrad(0.05),
        {"buys": "binary_crossentropy", "amount": "mse"},
        loss_weights={"buys": 1.0, "amount": 0.5},
        metrics={"buys": ["accuracy"], "amount": ["mae"]},
    )
    x = {"numbers": numbers, "shop": shop, "kind": kind}
    return Case(model, x, targets)


@register
class GraphAttention(layers.Layer):
    """Graph attention with several heads (Veličković et al., 2018)."""

    def __init__(self, units: int, heads: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.heads = units, heads

    def build(self, features_shape: Any, links_shape: Any) -> None:
        """Create the weights."""
        shape = (features_shape[-1], self.heads, self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        shape = (2, self.heads, self.units)
        self.attention = self.add_weight(name="attention", shape=shape)

    def call(self, features: Tensor, links: Tensor) -> Tensor:
        """Return new features of each node."""
        h = ops.einsum("bnf,fhu->bnhu", features, self.kernel)
        a, b = (ops.sum(h * self.attention[i], axis=-1) for i in (0, 1))
        scores = ops.leaky_relu(a[:, :, None] + b[:, None], 0.2)
        scores = ops.where(links[..., None] > 0, scores, -1e9)
        shares = ops.softmax(scores, axis=2)
        h = ops.einsum("bnmh,bmhu->bnhu", shares, h)
        nodes = features.shape[1]
        return ops.reshape(h, (-1, nodes, self.heads * self.units))

    def compute_output_shape(self, features_shape: Any, links_shape: Any) -> Any:
        """Return the shape of the new features."""
        return (*features_shape[:-1], self.heads * self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"units": self.units, "heads": self.heads}
        return super().get_config() | own


def graph_attention() -> Case:
    """Return a graph attention network that labels nodes."""
    x, links, y = data.graphs()
    features = keras.Input(x.shape[1:], name="features")
    adjacency = keras.Input(links.shape[1:], name="links")
    h = layers.Dense(16, activation="elu")(features)
    for i in range(2):
        h = layers.Add()(
            [h, GraphAttention(8, name=f"attention_{i}")(h, adjacency)]
        )
        h = layers.Activation("elu")(h)
    outputs = layers.Dense(2)(h)
    model = keras.Model([features, adjacency], outputs)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Case(model, [x, links], y)


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


def _corridor(rng: Any, count: int) -> tuple[Any, ...]:
    """Return states, actions, rewards and next states of a corridor."""
    place = rng.integers(0, 6, count)
    action = rng.integers(0, 2, count)
    after = np.clip(place + 2 * action - 1, 0, 5)
    rows = np.eye(6, dtype="float32")
    return rows[place], action, (after == 5).astype("float32"), rows[after]


def deep_q() -> Case:
    """Return deep Q-learning by `train_on_batch`, with a target network."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(24, activation="relu"),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.Huber())
    states = np.eye(6, dtype="float32")
    return Case(model, states, np.ones((6, 2), "float32"), train=_q_learning)


def _q_learning(case: Case, callbacks: list[Any], steps: int | None) -> Any:
    model = case.model
    target = keras.models.clone_model(model)
    target.set_weights(model.get_weights())
    rng = np.random.default_rng(1)
    hooks = keras.callbacks.CallbackList(callbacks, model=model)
    hooks.on_train_begin()
    losses = []
    for epoch in range(2 if steps is None else 1):
        hooks.on_epoch_begin(epoch)
        for step in range(12 if steps is None else steps):
            before, action, reward, after = _corridor(rng, 16)
            best = target.predict_on_batch(after).max(axis=1)
            goal = np.array(model.predict_on_batch(before))
            goal[np.arange(16), action] = reward + 0.9 * best
            hooks.on_train_batch_begin(step)
            loss = model.train_on_batch(before, goal)
            hooks.on_train_batch_end(step, {"loss": loss})
            losses.append(float(loss))
            if step % 6 == 5:
                target.set_weights(model.get_weights())
        hooks.on_epoch_end(epoch, {"loss": losses[-1]})
    hooks.on_train_end()
    return {"loss": losses}


@register
class ActorCritic(OwnStep):
    """Actor and critic on one trunk; `fit` never sees it."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.trunk = layers.Dense(24, activation="relu")
        self.actor = layers.Dense(2, activation="softmax")
        self.critic = layers.Dense(1)

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chance of each action, and the value."""
        h = self.trunk(x)
        return self.actor(h), self.critic(h)


def actor_critic() -> Case:
    """Return actor-critic in a loop by hand, without `fit`."""
    model = ActorCritic()
    states = np.eye(6, dtype="float32")
    model(states)
    model.compile(keras.optimizers.Adam(1e-2))
    model.optimizer.build(model.trainable_variables)
    return Case(
        model,
        states,
        train=_play,
        unmonitored="A loop by hand: no `fit`, so no callbacks.",
    )


def _play(case: Case, callbacks: list[Any], steps: int | None) -> Any:
    model, rng = case.model, np.random.default_rng(1)
    losses = []
    for _ in range(24 if steps is None else steps):
        before, action, reward, after = map(
            ops.convert_to_tensor, _corridor(rng, 16)
        )
        _, value = model(after)
        goal = ops.stop_gradient(reward + 0.9 * value[:, 0])

        def loss(
            before: Any = before, action: Any = action, goal: Any = goal
        ) -> Tensor:
            chances, value = model(before)
            chosen = ops.sum(chances * ops.one_hot(action, 2), axis=-1)
            gain = goal - value[:, 0]
            acting = -ops.log(chosen + 1e-7) * ops.stop_gradient(gain)
            return ops.mean(acting + gain**2)

        losses.append(float(model.minimize(loss, model.trainable_variables)))
    return {"loss": losses}


MODELS: dict[str, Make] = {
    "Transformer": text_classifier,
    "LoRA": lora,
    "int8": int8,
    "Seq2seq LSTM": seq2seq,
    "CTC": ctc,
    "Wide & Deep": wide_and_deep,
    "Graph attention": graph_attention,
    "Deep Q-learning": deep_q,
    "Actor-critic": actor_critic,
}
