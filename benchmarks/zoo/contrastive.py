"""Self-supervised learning: SimCLR and BYOL."""

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


MODELS: dict[str, Make] = {
    "SimCLR": lambda: two_views(SimCLR),
    "BYOL": lambda: two_views(BYOL),
}
