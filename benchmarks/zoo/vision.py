"""Image classifiers: MLP-Mixer, ConvMixer, Perceiver, ResNet."""

from typing import Any

import keras
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

Tensor = Any
SIZE = 32
register = keras.saving.register_keras_serializable("zoo")


def mlp_mixer(blocks: int = 3, width: int = 32) -> Case:
    """Return an MLP-Mixer (Tolstikhin et al., 2021)."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(width, 8, strides=8)(inputs)
    x = layers.Reshape((-1, width))(x)
    places = x.shape[1]
    for _ in range(blocks):
        h = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        h = layers.Dense(32, activation="gelu")(h)
        h = layers.Permute((2, 1))(layers.Dense(places)(h))
        x = layers.Add()([x, h])
        h = layers.LayerNormalization()(x)
        h = layers.Dense(64, activation="gelu")(h)
        x = layers.Add()([x, layers.Dense(width)(h)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    return compiled_classifier(model, *data.images(SIZE))


def conv_mixer(blocks: int = 3, width: int = 16) -> Case:
    """Return a ConvMixer (Trockman & Kolter, 2022)."""

    def normalized(x: Tensor) -> Tensor:
        x = layers.Activation("gelu")(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((SIZE, SIZE, 3))
    x = normalized(layers.Conv2D(width, 4, strides=4)(inputs))
    for _ in range(blocks):
        h = layers.DepthwiseConv2D(5, padding="same")(x)
        x = layers.Add()([normalized(h), x])
        x = normalized(layers.Conv2D(width, 1)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    return compiled_classifier(model, *data.images(SIZE))


@register
class Learned(layers.Layer):
    """Learned vectors, the same for each example."""

    def __init__(self, count: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count, self.width = count, width

    def build(self, shape: Any) -> None:
        """Create the vectors."""
        self.vectors = self.add_weight(
            name="vectors",
            shape=(self.count, self.width),
            initializer=keras.initializers.TruncatedNormal(0.1),
        )

    def call(self, x: Tensor) -> Tensor:
        """Return the vectors for each example of the batch."""
        shape = (ops.shape(x)[0], self.count, self.width)
        return ops.broadcast_to(self.vectors[None], shape)

    def compute_output_shape(self, shape: Any) -> Any:
        """Return the shape of the vectors."""
        return (shape[0], self.count, self.width)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"count": self.count, "width": self.width}
        return super().get_config() | own


def perceiver(blocks: int = 2, width: int = 16) -> Case:
    """Return a Perceiver with shared blocks (Jaegle et al., 2021)."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(width, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((-1, width))(x)
    x = x + Learned(x.shape[1], width, name="places")(x)
    latent = Learned(8, width, name="latents")(x)
    looks = layers.MultiHeadAttention(2, 8, name="looks")
    thinks = layers.MultiHeadAttention(2, 8, name="thinks")
    wide = layers.Dense(32, activation="gelu", name="wide")
    narrow = layers.Dense(width, name="narrow")
    norms = [layers.LayerNormalization(name=f"norm_{i}") for i in range(3)]
    for _ in range(blocks):
        latent = latent + looks(norms[0](latent), x)
        h = norms[1](latent)
        latent = latent + thinks(h, h)
        latent = latent + narrow(wide(norms[2](latent)))
    x = layers.GlobalAveragePooling1D()(latent)
    model = keras.Model(inputs, layers.Dense(3)(x))
    return compiled_classifier(model, *data.images(SIZE))


@register
class Residual(layers.Layer):
    """A residual block whose `call` uses plain functions."""

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = layers.Conv2D(filters, 3, padding="same")
        self.norm = layers.BatchNormalization()
        self.second = layers.Conv2D(filters, 3, padding="same")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the input plus what the block adds."""
        h = ops.relu(self.norm(self.first(x), training=training))
        return ops.relu(x + self.second(h))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return super().get_config() | {"filters": self.filters}


@register
class ResidualNet(keras.Model):
    """A subclassed residual network."""

    def __init__(self, blocks: int = 3, filters: int = 8, **kwargs: Any):
        super().__init__(**kwargs)
        self.blocks_count, self.filters = blocks, filters
        self.stem = layers.Conv2D(filters, 3, strides=2)
        self.blocks = [Residual(filters) for _ in range(blocks)]
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(3)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return logits."""
        x = ops.relu(self.stem(x))
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.pool(x))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"blocks": self.blocks_count, "filters": self.filters}
        return super().get_config() | own


def residual_net() -> Case:
    """Return a subclassed ResNet, which the first batch builds."""
    model = ResidualNet()
    x, y = data.images(SIZE)
    return compiled_classifier(
        model, x, y, keras.optimizers.SGD(0.05, momentum=0.9)
    )


MODELS: dict[str, Make] = {
    "MLP-Mixer": mlp_mixer,
    "ConvMixer": conv_mixer,
    "Perceiver": perceiver,
    "ResNet, subclassed": residual_net,
}
