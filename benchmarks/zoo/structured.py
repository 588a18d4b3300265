"""Tables and graphs: Wide & Deep, graph attention."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

Tensor = Any
register = keras.saving.register_keras_serializable("zoo")


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
    crossed = layers.CategoryEncoding(50, output_mode="one_hot")
    wide = crossed(5 * inputs["shop"] + inputs["kind"])
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

    def compute_output_shape(
        self, features_shape: Any, links_shape: Any
    ) -> Any:
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
    return compiled_classifier(
        model, [x, links], y, keras.optimizers.Adam(5e-3)
    )


MODELS: dict[str, Make] = {
    "Wide & Deep": wide_and_deep,
    "Graph attention": graph_attention,
}
