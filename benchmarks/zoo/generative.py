"""Generative models: VAE, VQ-VAE, GANs and diffusion."""

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


def _upwards(*filters: int) -> list[Any]:
    return [
        layers.Conv2DTranspose(
            n, 3, strides=2, padding="same", activation="relu"
        )
        for n in filters
    ]


@register
class Sample(layers.Layer):
    """Draws z = μ + σ ε in training; returns μ otherwise."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(11)

    def call(self, mean: Tensor, log_variance: Tensor, training: bool = False):
        """Return the code."""
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + ops.exp(0.5 * log_variance) * noise


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)), summed over the code."""
    terms = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
    return ops.mean(-0.5 * ops.sum(terms, axis=-1))


@register
class VAE(OwnStep):
    """A variational autoencoder whose losses its train step adds."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.encoder = keras.Sequential(
            [keras.Input((SIZE, SIZE, 1)), *_downwards(8, 16), layers.Flatten()]
        )
        self.mean = layers.Dense(4, name="mean")
        self.log_variance = layers.Dense(4, name="log_variance")
        self.sample = Sample()
        self.decoder = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(4 * 4 * 16, activation="relu"),
                layers.Reshape((4, 4, 16)),
                *_upwards(16, 8),
                layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
            ]
        )
        self.total = keras.metrics.Mean(name="loss")
        self.kl = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self) -> list[Any]:
        """The two losses."""
        return [self.total, self.kl]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the code."""
        h = self.encoder(x)
        return self.mean(h), self.log_variance(h)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the reconstruction."""
        code = self.sample(*self.encode(x), training=training)
        return self.decoder(code)

    def step(self, data: Any) -> dict[str, Tensor]:
        """Minimize reconstruction error and divergence."""
        x = data[0] if isinstance(data, tuple | list) else data

        def loss() -> Tensor:
            mean, log_variance = self.encode(x)
            y = self.decoder(self.sample(mean, log_variance, training=True))
            kl = _divergence(mean, log_variance)
            error = keras.losses.binary_crossentropy(x, y)
            self.kl.update_state(kl)
            return ops.mean(ops.sum(error, axis=(1, 2))) + kl

        value = self.minimize(loss, self.trainable_variables)
        self.total.update_state(value)
        return {m.name: m.result() for m in self.metrics}


def vae_train_step() -> Case:
    """Return a VAE with a train step of its own."""
    model = VAE()
    x = data.pictures(SIZE)
    model(x[:2])
    model.compile(keras.optimizers.Adam(1e-3))
    return Case(model, x)


@register
class Divergence(layers.Layer):
    """Draws the code and adds the divergence to the losses."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.sample = Sample()

    def call(self, mean: Tensor, log_variance: Tensor, training: bool = False):
        """Return the code."""
        self.add_loss(0.01 * _divergence(mean, log_variance))
        return self.sample(mean, log_variance, training=training)

    def compute_output_shape(
        self, mean_shape: Any, log_variance_shape: Any
    ) -> Any:
        """Return the shape of the mean."""
        return mean_shape


def vae_add_loss() -> Case:
    """Return a functional VAE whose layer adds its loss."""
    x = inputs = keras.Input((SIZE, SIZE, 1))
    for layer in [*_downwards(8, 16), layers.Flatten()]:
        x = layer(x)
    code = Divergence(name="divergence")(
        layers.Dense(4, name="mean")(x), layers.Dense(4, name="variance")(x)
    )
    x = layers.Dense(4 * 4 * 16, activation="relu")(code)
    x = layers.Reshape((4, 4, 16))(x)
    for layer in _upwards(16, 8):
        x = layer(x)
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    pictures = data.pictures(SIZE)
    return Case(model, pictures, pictures)


@register
class Codebook(layers.Layer):
    """Replaces each vector by the nearest of a learned set (VQ-VAE)."""

    def __init__(self, size: int, beta: float = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.beta = size, beta

    def build(self, shape: Any) -> None:
        """Create the vectors."""
        self.vectors = self.add_weight(
            name="vectors",
            shape=(self.size, shape[-1]),
            initializer=keras.initializers.RandomUniform(-0.1, 0.1),
        )

    def call(self, x: Tensor) -> Tensor:
        """Return the nearest vectors, with the gradient of the input."""
        flat = ops.reshape(x, (-1, x.shape[-1]))
        distances = (
            ops.sum(flat**2, axis=1, keepdims=True)
            - 2 * flat @ ops.transpose(self.vectors)
            + ops.sum(ops.square(self.vectors), axis=1)
        )
        nearest = ops.take(self.vectors, ops.argmin(distances, axis=1), axis=0)
        nearest = ops.reshape(nearest, ops.shape(x))
        commitment = ops.mean((ops.stop_gradient(nearest) - x) ** 2)
        self.add_loss(
            self.beta * commitment
            + ops.mean((nearest - ops.stop_gradient(x)) ** 2)
        )
        return x + ops.stop_gradient(nearest - x)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return super().get_config() | {"size": self.size, "beta": self.beta}


def vq_vae() -> Case:
    """Return a VQ-VAE."""
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            *_downwards(8, 16),
            layers.Conv2D(8, 1),
            Codebook(16, name="codebook"),
            *_upwards(16, 8),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    x = data.pictures(SIZE)
    return Case(model, x, x)


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
        self.track_optimizers(
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
            lambda: -ops.mean(
                self.critic(self.generator(self._noise(real), training=True))
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
        self.track_optimizers(
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
    "VAE, own train_step": vae_train_step,
    "VAE, add_loss": vae_add_loss,
    "VQ-VAE": vq_vae,
    "WGAN-GP": wgan_gp,
    "CycleGAN": cycle_gan,
    "DDPM with EMA": lambda: diffusion("ddpm"),
    "DDIM with EMA": lambda: diffusion("ddim"),
}
