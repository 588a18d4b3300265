"""Diffusion models with a moving average of the network."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep

Tensor = Any
SIZE = 16
register = keras.saving.register_keras_serializable("zoo")


def _denoiser(name: str) -> Any:
    """Return a small U-Net of a noisy image and the level of its noise."""
    image = keras.Input((SIZE, SIZE, 1))
    level = keras.Input((1,))
    place = layers.Dense(16, activation="swish")(level)
    place = layers.Reshape((1, 1, 16))(layers.Dense(16)(place))
    x = layers.Conv2D(16, 3, padding="same")(image)
    x = first = layers.Add()([x, place])
    x = layers.GroupNormalization(4)(x)
    x = layers.Activation("swish")(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="swish")(x)
    flat = layers.Reshape((-1, 16))(x)
    x = layers.Add()([flat, layers.MultiHeadAttention(2, 8)(flat, flat)])
    x = layers.Reshape((SIZE // 2, SIZE // 2, 16))(x)
    x = layers.UpSampling2D()(x)
    x = layers.Concatenate()([x, first])
    x = layers.Conv2D(16, 3, padding="same", activation="swish")(x)
    outputs = layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model([image, level], outputs, name=name)


@register
class Diffusion(OwnStep):
    """Denoising diffusion, with a moving average of the network.

    Args:
        kind: `"ddpm"` trains with 50 discrete levels, `"ddim"` with levels
            drawn from a continuous cosine schedule.
        decay: Factor of the moving average.
    """

    def __init__(self, kind: str, decay: float = 0.9, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind, self.decay = kind, decay
        self.network = _denoiser("network")
        self.average = _denoiser("average")
        self.average.trainable = False
        self.average.set_weights(self.network.get_weights())
        self.seed = keras.random.SeedGenerator(5)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        """The mean loss."""
        return [self.tracker]

    def call(self, inputs: Any) -> Tensor:
        """Return the noise that the averaged network sees."""
        return self.average(inputs)

    def _levels(self, count: Any) -> Tensor:
        """Return one level in [0, 1) for each image."""
        level = keras.random.uniform((count, 1), seed=self.seed)
        return ops.floor(level * 50) / 50 if self.kind == "ddpm" else level

    def step(self, data: Any) -> dict[str, Tensor]:
        """Learn the noise of noisy images; move the average."""
        x = data[0] if isinstance(data, tuple | list) else data
        level = self._levels(ops.shape(x)[0])
        noise = keras.random.normal(ops.shape(x), seed=self.seed)
        angle = ops.reshape(0.05 + 1.45 * level, (-1, 1, 1, 1))
        noisy = ops.cos(angle) * (2 * x - 1) + ops.sin(angle) * noise

        def loss() -> Tensor:
            found = self.network([noisy, level], training=True)
            return ops.mean((found - noise) ** 2)

        value = self.minimize(loss, self.network.trainable_variables)
        for slow, fast in zip(
            self.average.weights, self.network.weights, strict=True
        ):
            slow.assign(self.decay * slow + (1 - self.decay) * fast)
        self.tracker.update_state(value)
        return {"loss": self.tracker.result()}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"kind": self.kind, "decay": self.decay}
        return super().get_config() | own


def diffusion(kind: str) -> Case:
    """Return a diffusion model."""
    model = Diffusion(kind)
    x = data.pictures(SIZE)
    example = [x[:8], np.full((8, 1), 0.5, "float32")]
    model(example)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    return Case(model, x, example=example)


MODELS: dict[str, Make] = {
    "DDPM with EMA": lambda: diffusion("ddpm"),
    "DDIM with EMA": lambda: diffusion("ddim"),
}
