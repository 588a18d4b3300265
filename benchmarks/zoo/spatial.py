"""Pixels and points: super-resolution, U-Net and PointNet."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

Tensor = Any
SIZE = 32
register = keras.saving.register_keras_serializable("zoo")


def super_resolution(scale: int = 2) -> Case:
    """Return a sub-pixel convolution network (Shi et al., 2016)."""
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(16, 5, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(scale**2, 3, padding="same")(x)
    model = keras.Model(inputs, PixelShuffle(scale, name="shuffle")(x))
    model.compile(keras.optimizers.Adam(2e-3), "mse", metrics=["mae"])
    x = data.pictures(SIZE)
    return Case(model, x[:, ::scale, ::scale], x)


@register
class PixelShuffle(layers.Layer):
    """Moves channels into space."""

    def __init__(self, scale: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x: Tensor) -> Tensor:
        """Return larger images with fewer channels."""
        s, (_, h, w, _) = self.scale, ops.shape(x)
        x = ops.reshape(x, (-1, h, w, s, s, x.shape[-1] // s**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, h * s, w * s, x.shape[-1]))

    def compute_output_shape(self, shape: Any) -> Any:
        """Return the shape of the larger images."""
        n, h, w, c = shape
        s = self.scale
        return (n, h and h * s, w and w * s, c // s**2)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return super().get_config() | {"scale": self.scale}


def u_net(size: int = 32) -> Case:
    """Return a U-Net that finds squares (Ronneberger et al., 2015)."""

    def block(x: Tensor, width: int) -> Tensor:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        return x

    inputs = keras.Input((size, size, 3))
    first = block(inputs, 8)
    second = block(layers.MaxPooling2D()(first), 16)
    x = block(layers.MaxPooling2D()(second), 16)
    for skip, width in ((second, 16), (first, 8)):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = block(layers.Concatenate()([x, skip]), width)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    x, y = data.masks(size, samples=32)
    model.compile(
        keras.optimizers.Nadam(2e-3),
        "binary_crossentropy",
        metrics=[keras.metrics.BinaryIoU(name="iou"), "accuracy"],
    )
    return Case(model, x, y, epochs=3)


@register
class Orthogonal(keras.regularizers.Regularizer):
    """Penalizes ‖A Aᵀ - I‖² of the predicted matrices."""

    def __init__(self, size: int, factor: float = 1e-3):
        self.size, self.factor = size, factor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty of a batch."""
        a = ops.reshape(x, (-1, self.size, self.size))
        product = a @ ops.transpose(a, (0, 2, 1)) - ops.eye(self.size)
        return self.factor * ops.sum(product**2)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"size": self.size, "factor": self.factor}


def point_net(points: int = 32) -> Case:
    """Return a PointNet with its transformation nets (Qi et al., 2017)."""

    def block(x: Tensor, width: int, kind: Any) -> Tensor:
        x = kind(width)(x)
        x = layers.BatchNormalization(momentum=0.5)(x)
        return layers.Activation("relu")(x)

    def pointwise(width: int) -> Any:
        return layers.Conv1D(width, 1)

    def transformed(x: Tensor, size: int) -> Tensor:
        h = block(block(x, 8, pointwise), 16, pointwise)
        h = block(layers.GlobalMaxPooling1D()(h), 16, layers.Dense)
        matrix = layers.Dense(
            size * size,
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(
                np.eye(size).flatten().tolist()
            ),
            activity_regularizer=Orthogonal(size),
        )(h)
        return layers.Dot(axes=(2, 1))(
            [x, layers.Reshape((size, size))(matrix)]
        )

    inputs = keras.Input((points, 3))
    x = transformed(inputs, 3)
    x = block(x, 8, pointwise)
    x = transformed(x, 8)
    x = block(block(x, 16, pointwise), 32, pointwise)
    x = block(layers.GlobalMaxPooling1D()(x), 16, layers.Dense)
    x = layers.Dropout(0.3, seed=2)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    return compiled_classifier(
        model, *data.clouds(points), keras.optimizers.Adam(1e-3)
    )


MODELS: dict[str, Make] = {
    "Super-resolution": super_resolution,
    "U-Net": u_net,
    "PointNet": point_net,
}
