"""Learning from another model, and from triplets."""

from typing import Any

import keras
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

Tensor = Any
SIZE = 24
register = keras.saving.register_keras_serializable("zoo")


def _encoder(width: int = 16, name: str | None = None) -> Any:
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(8, 3, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(width, activation="relu"),
        ],
        name=name,
    )


def _normalized(x: Tensor) -> Tensor:
    return ops.normalize(x, axis=-1)


@register
class Distiller(keras.Model):
    """A student learns labels and the softened outputs of a teacher."""

    def __init__(self, student: Any, teacher: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.student, self.teacher = student, teacher
        self.teacher.trainable = False

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the student's logits."""
        return self.student(x, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Add the divergence from the teacher to the loss."""
        loss = super().compute_loss(
            x, y, y_pred, sample_weight, training=training
        )
        if x is None:
            return loss
        soft = ops.softmax(self.teacher(x, training=False) / 3.0)
        found = ops.softmax(y_pred / 3.0)
        return 0.3 * loss + 9.0 * 0.7 * ops.mean(
            keras.losses.kl_divergence(ops.stop_gradient(soft), found)
        )

    def get_config(self) -> dict[str, Any]:
        """Return both models."""
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "student": serialize(self.student),
            "teacher": serialize(self.teacher),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Distiller":
        """Make the model again."""
        for key in ("student", "teacher"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _classifier(width: int, name: str) -> Any:
    return keras.Sequential(
        [_encoder(width, f"{name}_encoder"), layers.Dense(3)], name=name
    )


def distillation() -> Case:
    """Return a student and its teacher."""
    model = Distiller(_classifier(8, "student"), _classifier(32, "teacher"))
    x, y = data.images(SIZE)
    model(x[:2])
    return compiled_classifier(model, x, y, keras.optimizers.Adam(3e-3))


@register
class Siamese(keras.Model):
    """One encoder for anchor, positive and negative; a triplet loss."""

    def __init__(self, margin: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.margin = margin
        self.encoder = _encoder(8, "encoder")

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """Return the squared distances to positive and negative."""
        anchor, positive, negative = (
            _normalized(self.encoder(x, training=training)) for x in inputs
        )
        return ops.stack(
            [
                ops.sum((anchor - positive) ** 2, axis=-1),
                ops.sum((anchor - negative) ** 2, axis=-1),
            ],
            axis=-1,
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the triplet loss."""
        near, far = y_pred[:, 0], y_pred[:, 1]
        return ops.mean(ops.maximum(near - far + self.margin, 0.0))


def siamese_triplet() -> Case:
    """Return a siamese network and triplets."""
    x, y = data.images(SIZE, classes=2, samples=64)
    first, second = x[y == 0][:24], x[y == 1][:24]
    count = min(len(first), len(second)) // 2
    triplets = [first[:count], first[count : 2 * count], second[:count]]
    model = Siamese()
    model([t[:2] for t in triplets])
    model.compile(keras.optimizers.RMSprop(1e-3))
    return Case(model, triplets, batch_size=4, epochs=5)


MODELS: dict[str, Make] = {
    "Distillation": distillation,
    "Siamese triplet": siamese_triplet,
}
