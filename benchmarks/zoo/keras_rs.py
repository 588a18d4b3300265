"""Recommenders of keras-rs."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.zoo.registry import Case, Make

USERS, ITEMS, ROWS = 20, 30, 96
register = keras.saving.register_keras_serializable("zoo")


def _clicks(seed: int = 0) -> tuple[dict[str, Any], Any]:
    """Return numbers, ids of users and items, and whether they fit."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, USERS, ROWS).astype("int32")
    item = rng.integers(0, ITEMS, ROWS).astype("int32")
    numbers = rng.normal(size=(ROWS, 4)).astype("float32")
    y = ((user % 2 == item % 2) ^ (numbers[:, 0] > 1)).astype("float32")
    return {"numbers": numbers, "user": user, "item": item}, y[:, None]


def _inputs() -> dict[str, Any]:
    return {
        "numbers": keras.Input((4,), name="numbers"),
        "user": keras.Input((), dtype="int32", name="user"),
        "item": keras.Input((), dtype="int32", name="item"),
    }


def _compiled(model: Any, optimizer: Any) -> Case:
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", "auc"])
    return Case(model, *_clicks())


def dlrm() -> Case:
    """Return DLRM: dot products of embeddings (Naumov et al., 2019)."""
    import keras_rs

    inputs = _inputs()
    bottom = layers.Dense(16, activation="relu")(inputs["numbers"])
    bottom = layers.Dense(8, activation="relu")(bottom)
    features = [
        bottom,
        layers.Embedding(USERS, 8, name="users")(inputs["user"]),
        layers.Embedding(ITEMS, 8, name="items")(inputs["item"]),
    ]
    products = keras_rs.layers.DotInteraction()(features)
    x = layers.Concatenate()([bottom, products])
    x = layers.Dense(16, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    return _compiled(model, keras.optimizers.Adagrad(0.1))


def dcn() -> Case:
    """Return DCN v2: crosses of features (Wang et al., 2021)."""
    import keras_rs

    inputs = _inputs()
    start = x = layers.Concatenate()(
        [
            inputs["numbers"],
            layers.Embedding(USERS, 8, name="users")(inputs["user"]),
            layers.Embedding(ITEMS, 8, name="items")(inputs["item"]),
        ]
    )
    for i in range(2):
        cross = keras_rs.layers.FeatureCross(
            projection_dim=8, name=f"cross_{i}"
        )
        x = cross(start, x)
    x = layers.Dense(16, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    return _compiled(model, keras.optimizers.Adam(5e-3))


@register
class Ranks(keras.Model):
    """Embeddings in one distributed table for each kind of id."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        import keras_rs

        def feature(name: str, size: int) -> Any:
            return keras_rs.layers.FeatureConfig(
                name=name,
                table=keras_rs.layers.TableConfig(
                    name=f"{name}_table",
                    vocabulary_size=size,
                    embedding_dim=8,
                    optimizer="adam",
                    placement="default_device",
                ),
                input_shape=(8, 1),
                output_shape=(8, 8),
            )

        self.embedding = keras_rs.layers.DistributedEmbedding(
            {"user": feature("user", USERS), "item": feature("item", ITEMS)}
        )
        self.join = layers.Concatenate()
        self.hidden = layers.Dense(16, activation="relu")
        self.out = layers.Dense(1, activation="sigmoid")

    def call(self, inputs: Any) -> Any:
        """Return the chance of a click."""
        ids = {key: inputs[key] for key in ("user", "item")}
        found = self.embedding(ids)
        x = self.join([inputs["numbers"], found["user"], found["item"]])
        return self.out(self.hidden(x))


def distributed_embedding() -> Case:
    """Return a ranker with a `DistributedEmbedding`."""
    model = Ranks()
    x, y = _clicks()
    x = x | {key: x[key][:, None] for key in ("user", "item")}
    model({key: value[:8] for key, value in x.items()})
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["auc"]
    )
    return Case(model, x, y)


@register
class Retrieval(keras.Model):
    """Two towers with sampled negatives; `call` retrieves items."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        import keras_rs

        self.users = layers.Embedding(USERS, 8, name="users")
        self.items = layers.Embedding(ITEMS, 8, name="items")
        self.tower = layers.Dense(8, name="tower")
        self.find = keras_rs.layers.BruteForceRetrieval(k=3)
        self.correct = keras_rs.layers.RemoveAccidentalHits()
        self.loss_function = keras.losses.CategoricalCrossentropy(
            from_logits=True
        )

    def build(self, shape: Any) -> None:
        """Build both towers and the index."""
        self.users.build(shape)
        self.items.build(shape)
        self.tower.build((None, 8))
        self.find.candidate_embeddings = self.items.embeddings
        self.find.build((None, 8))
        super().build(shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the embeddings of users, and of items in training."""
        user = self.tower(self.users(inputs["user"]))
        return user, self.items(inputs["item"])

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the softmax loss over the items of the batch."""
        user, item = y_pred
        logits = user @ keras.ops.transpose(item)
        labels = keras.ops.eye(keras.ops.shape(logits)[0])
        logits = self.correct(logits, labels, x["item"])
        return self.loss_function(labels, logits)


def retrieval() -> Case:
    """Return a two-tower retrieval model."""
    model = Retrieval()
    x, y = _clicks()
    keep = y[:, 0] > 0
    count = int(keep.sum()) // 8 * 8
    rows = {key: x[key][keep][:count] for key in ("user", "item")}
    model.build((None,))
    model({key: value[:8] for key, value in rows.items()})
    model.compile(keras.optimizers.Adagrad(0.1))
    return Case(model, rows, np.zeros((count, 1), "float32"), epochs=3)


MODELS: dict[str, Make] = {
    "DLRM": dlrm,
    "DCN v2": dcn,
    "DistributedEmbedding": distributed_embedding,
    "Two-tower retrieval": retrieval,
}
