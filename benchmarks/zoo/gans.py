"""Generative adversarial networks: WGAN-GP and CycleGAN."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep, gradient_of

Tensor = Any
SIZE = 16
register = keras.saving.register_keras_serializable("zoo")


def _downwards(*filters: int, activation: str = "relu") -> list[Any]:
    return [
        layers.Conv2D(n, 3, strides=2, padding="same", activation=activation)
        for n in filters
    ]


@register
class WGAN(OwnStep):
    """A Wasserstein GAN with gradient penalty: two critic steps a step."""

    def __init__(self, width: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        self.width = width
        self.generator = keras.Sequential(
            [
                keras.Input((width,)),
                layers.Dense(4 * 4 * 8),
                layers.LeakyReLU(0.2),
                layers.Reshape((4, 4, 8)),
                layers.UpSampling2D(),
                layers.Conv2D(8, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.LeakyReLU(0.2),
                layers.UpSampling2D(),
                layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
            ]
        )
        self.critic = keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 1)),
                *_downwards(8, 16, activation="leaky_relu"),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        self.seed = keras.random.SeedGenerator(3)

    def compile(self, critic_optimizer: Any, generator_optimizer: Any) -> None:
        """Take the two optimizers."""
        super().compile()
        self.critic_optimizer = critic_optimizer
        self.generator_optimizer = generator_optimizer
        self.build_optimizers(
            {
                "critic_optimizer": self.critic.trainable_variables,
                "generator_optimizer": self.generator.trainable_variables,
            }
        )

    def call(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.generator(noise)

    def _noise(self, x: Tensor) -> Tensor:
        shape = (ops.shape(x)[0], self.width)
        return keras.random.normal(shape, seed=self.seed)

    def _critic_loss(self, real: Tensor) -> Tensor:
        made = self.generator(self._noise(real), training=True)
        made = ops.stop_gradient(made)
        mix = keras.random.uniform(
            (ops.shape(real)[0], 1, 1, 1), seed=self.seed
        )
        slopes = gradient_of(self.critic, mix * real + (1 - mix) * made)
        norms = ops.sqrt(ops.sum(slopes**2, axis=(1, 2, 3)) + 1e-12)
        difference = ops.mean(self.critic(made)) - ops.mean(self.critic(real))
        return difference + 10 * ops.mean((norms - 1) ** 2)

    def step(self, data: Any) -> dict[str, Tensor]:
        """Train the critic twice, then the generator."""
        real = data[0] if isinstance(data, tuple | list) else data
        for _ in range(2):
            critic_loss = self.minimize(
                lambda: self._critic_loss(real),
                self.critic.trainable_variables,
                self.critic_optimizer,
            )
        loss = self.minimize(
            lambda: (
                -ops.mean(
                    self.critic(
                        self.generator(self._noise(real), training=True)
                    )
                )
            ),
            self.generator.trainable_variables,
            self.generator_optimizer,
        )
        return {"critic_loss": critic_loss, "generator_loss": loss}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return super().get_config() | {"width": self.width}


def wgan_gp() -> Case:
    """Return a WGAN-GP. Its `call` makes images from noise."""
    model = WGAN()
    model(np.zeros((2, 4), "float32"))
    model.critic(np.zeros((2, SIZE, SIZE, 1), "float32"))
    model.compile(
        keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.9),
        keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.9),
    )
    noise = np.random.default_rng(1).normal(size=(8, 4)).astype("float32")
    return Case(model, data.pictures(SIZE), example=noise)


def _translator(name: str) -> Any:
    x = inputs = keras.Input((SIZE, SIZE, 1))
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.GroupNormalization(-1)(x)
    x = layers.Activation("relu")(x)
    h = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same")(h)])
    outputs = layers.Conv2D(1, 3, padding="same", activation="tanh")(x)
    return keras.Model(inputs, outputs, name=name)


def _patches(name: str) -> Any:
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            *_downwards(8, 8, activation="leaky_relu"),
            layers.Conv2D(1, 3, padding="same"),
        ],
        name=name,
    )


@register
class CycleGAN(OwnStep):
    """Two translators and two discriminators, with four optimizers."""

    PARTS = ("forth", "back", "judge_a", "judge_b")

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.forth, self.back = _translator("forth"), _translator("back")
        self.judge_a, self.judge_b = _patches("judge_a"), _patches("judge_b")

    def compile(self, optimizers: Any) -> None:
        """Take one optimizer for each part."""
        super().compile()
        for part, optimizer in zip(self.PARTS, optimizers, strict=True):
            setattr(self, f"{part}_optimizer", optimizer)
        self.build_optimizers(
            {
                f"{part}_optimizer": getattr(self, part).trainable_variables
                for part in self.PARTS
            }
        )

    def call(self, x: Tensor) -> Tensor:
        """Translate forth."""
        return self.forth(x)

    def step(self, data: Any) -> dict[str, Tensor]:
        """Train each part once."""
        a, b = data[0] if len(data) < 2 else data[:2]

        def is_one(judge: Any, x: Tensor) -> Tensor:
            return ops.mean((judge(x) - 1) ** 2)

        def translates(
            there: Any, home: Any, judge: Any, x: Tensor, y: Tensor
        ) -> Tensor:
            made = there(x, training=True)
            cycle = ops.mean(ops.abs(home(made, training=True) - x))
            same = ops.mean(ops.abs(there(y, training=True) - y))
            return is_one(judge, made) + 10 * cycle + 5 * same

        def judges(judge: Any, there: Any, x: Tensor, real: Tensor) -> Tensor:
            made = ops.stop_gradient(there(x, training=True))
            return 0.5 * (is_one(judge, real) + ops.mean(judge(made) ** 2))

        losses = {
            "forth": lambda: translates(
                self.forth, self.back, self.judge_b, a, b
            ),
            "back": lambda: translates(
                self.back, self.forth, self.judge_a, b, a
            ),
            "judge_a": lambda: judges(self.judge_a, self.back, b, a),
            "judge_b": lambda: judges(self.judge_b, self.forth, a, b),
        }
        return {
            f"{part}_loss": self.minimize(
                losses[part],
                getattr(self, part).trainable_variables,
                getattr(self, f"{part}_optimizer"),
            )
            for part in self.PARTS
        }


def cycle_gan() -> Case:
    """Return a CycleGAN that makes bright squares dark and back."""
    model = CycleGAN()
    x = data.pictures(SIZE)
    model(x[:2])
    model.compile([keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(4)])
    return Case(model, x, -data.pictures(SIZE, seed=1), example=x[:8])


MODELS: dict[str, Make] = {
    "WGAN-GP": wgan_gp,
    "CycleGAN": cycle_gan,
}
