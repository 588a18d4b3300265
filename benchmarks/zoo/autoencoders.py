"""Autoencoders: VAE and VQ-VAE."""

from typing import Any

import keras
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep

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


MODELS: dict[str, Make] = {
    "VAE, own train_step": vae_train_step,
    "VAE, add_loss": vae_add_loss,
    "VQ-VAE": vq_vae,
}
