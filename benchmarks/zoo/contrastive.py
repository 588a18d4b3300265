"""Self-supervised learning, metric learning and distillation."""

from typing import Any

import keras
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep

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


def _head(width: int, name: str) -> Any:
    return keras.Sequential(
        [
            keras.Input((width,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8),
        ],
        name=name,
    )


def _normalized(x: Tensor) -> Tensor:
    return ops.normalize(x, axis=-1)


class _TwoViews(OwnStep):
    """Makes two random views of each image."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.augment = keras.Sequential(
            [
                layers.RandomFlip("vertical", seed=1),
                layers.RandomBrightness(0.3, (0, 1), seed=2),
                layers.GaussianNoise(0.1, seed=3),
            ]
        )
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        """The mean loss."""
        return [self.tracker]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the projection."""
        return self.projector(self.encoder(x, training=training))

    def step(self, data: Any) -> dict[str, Tensor]:
        """Minimize the loss of two views."""
        x = data[0] if isinstance(data, tuple | list) else data
        views = [
            ops.stop_gradient(self.augment(x, training=True)) for _ in range(2)
        ]
        value = self.minimize(lambda: self.loss_of(*views), self.online)
        self.tracker.update_state(value)
        self.after()
        return {"loss": self.tracker.result()}

    @property
    def online(self) -> list[Any]:
        """The variables that the gradient updates."""
        return self.trainable_variables

    def after(self) -> None:
        """Do what follows the update."""


@register
class SimCLR(_TwoViews):
    """Contrastive learning: a view finds the other view in the batch."""

    def __init__(self, temperature: float = 0.2, **kwargs: Any):
        super().__init__(**kwargs)
        self.temperature = temperature
        self.encoder = _encoder(name="encoder")
        self.projector = _head(16, "projector")

    def loss_of(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the NT-Xent loss."""
        a = _normalized(self(first, training=True))
        b = _normalized(self(second, training=True))
        alike = a @ ops.transpose(b) / self.temperature
        which = ops.arange(ops.shape(a)[0])
        losses = [
            keras.losses.sparse_categorical_crossentropy(
                which, logits, from_logits=True
            )
            for logits in (alike, ops.transpose(alike))
        ]
        return ops.mean(losses[0] + losses[1]) / 2


@register
class BYOL(_TwoViews):
    """Predicts the projection of a slowly moving target network."""

    def __init__(self, decay: float = 0.95, **kwargs: Any):
        super().__init__(**kwargs)
        self.decay = decay
        self.encoder = _encoder(name="encoder")
        self.projector = _head(16, "projector")
        self.predictor = _head(8, "predictor")
        self.target_encoder = _encoder(name="target_encoder")
        self.target_projector = _head(16, "target_projector")
        for target, source in self._pairs:
            target.trainable = False
            target.set_weights(source.get_weights())

    @property
    def _pairs(self) -> list[tuple[Any, Any]]:
        return [
            (self.target_encoder, self.encoder),
            (self.target_projector, self.projector),
        ]

    def loss_of(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of predictions from targets."""
        total = 0.0
        for seen, other in ((first, second), (second, first)):
            found = self.predictor(self(seen, training=True))
            target = self.target_projector(self.target_encoder(other))
            target = ops.stop_gradient(_normalized(target))
            dots = ops.sum(_normalized(found) * target, axis=-1)
            total += ops.mean(2 - 2 * dots)
        return total

    def after(self) -> None:
        """Move the target network."""
        for target, source in self._pairs:
            for slow, fast in zip(target.weights, source.weights, strict=True):
                slow.assign(self.decay * slow + (1 - self.decay) * fast)


def two_views(kind: Any) -> Case:
    """Return a model that learns from views of images."""
    model = kind()
    x, _ = data.images(SIZE)
    model(x[:2])
    if kind is BYOL:
        model.predictor(model(x[:2]))
    model.compile(keras.optimizers.Adam(1e-3))
    return Case(model, x)


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
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Case(model, x, y)


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
    "SimCLR": lambda: two_views(SimCLR),
    "BYOL": lambda: two_views(BYOL),
    "Distillation": distillation,
    "Siamese triplet": siamese_triplet,
}
