"""The hyperparameters that all layers of a model share, and the layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ext import initializers, layers, regularizers
from keras_ext.cli.search.definition import BINARY, CLASSES, Task

_ACTIVATIONS = {
    "relu": layers.ReLU,
    "elu": layers.ELU,
    "selu": layers.SELU,
    "swish": layers.Swish,
    "tanh": layers.Tanh,
    "sigmoid": layers.Sigmoid,
}
_INITIALIZERS = {
    "he_normal": initializers.HeNormal,
    "he_uniform": initializers.HeUniform,
    "glorot_normal": initializers.GlorotNormal,
    "glorot_uniform": initializers.GlorotUniform,
    "lecun_normal": initializers.LecunNormal,
}
_FAULTY = {
    "small_normal": lambda: initializers.RandomNormal(stddev=0.01),
    "zeros": initializers.Zeros,
}


@dataclass
class Style:
    """The settings that all hidden layers of a model share.

    Attributes:
        activation: Name of the activation.
        negative_slope: Negative slope of the leaky ReLU.
        initializer: Name of the kernels' initializer.
        penalty: The kernels' regularizer, or `None`.
        dropout: Drop rate.
        normalized: Whether the layers have batch normalization.
        residual: Whether the layers have skip connections.
    """

    activation: str
    negative_slope: float
    initializer: str
    penalty: keras.regularizers.Regularizer | None
    dropout: float
    normalized: bool
    residual: bool = False

    def kernel(self) -> dict[str, Any]:
        """Return the arguments of a layer with a kernel."""
        known = {**_INITIALIZERS, **_FAULTY}
        return {
            "kernel_initializer": known[self.initializer](),
            "kernel_regularizer": self.penalty,
        }

    def hidden(self, x: Any, layer: keras.layers.Layer, name: str) -> Any:
        """Apply a hidden layer to `x`, with its activation and dropout.

        Args:
            x: A symbolic tensor.
            layer: The layer, without activation.
            name: The end of the other layers' names.
        """
        block = [layer]
        if self.normalized:
            block.append(layers.BatchNormalization())
        block.append(self._activation(name))
        if self.dropout:
            block.append(layers.Dropout(self.dropout))
        if self.residual:
            return layers.Residual(block, name=f"residual_{name}")(x)
        for part in block:
            x = part(x)
        return x

    def _activation(self, name: str) -> keras.layers.Layer:
        name = f"{self.activation}_{name}"
        if self.activation == "leaky_relu":
            return layers.LeakyReLU(self.negative_slope, name=name)
        return _ACTIVATIONS[self.activation](name=name)


def style(hp: Any, faults: bool = False) -> Style:
    """Ask for the settings that the hidden layers share.

    Args:
        hp: The hyperparameters.
        faults: Whether to add initializers that keep networks from learning.
    """
    activation = hp.Choice("activation", [*_ACTIVATIONS, "leaky_relu"])
    with hp.conditional_scope("activation", ["leaky_relu"]):
        slope = hp.Choice("negative_slope", [0.01, 0.1, 0.3])
    names = [*_INITIALIZERS, *(_FAULTY if faults else [])]
    return Style(
        activation,
        slope or 0.0,
        hp.Choice("initializer", names),
        _penalty(hp),
        hp.Float("dropout", 0.0, 0.5, step=0.1),
        hp.Boolean("batch_normalization"),
    )


def _penalty(hp: Any) -> keras.regularizers.Regularizer | None:
    name = hp.Choice("penalty", ["none", "l1", "l2", "l1_l2"])
    with hp.conditional_scope("penalty", ["l1", "l2", "l1_l2"]):
        factor = hp.Float("penalty_factor", 1e-6, 1e-2, sampling="log")
    if name == "none":
        return None
    return regularizers.L1L2(
        l1=factor if "l1" in name else 0.0, l2=factor if "l2" in name else 0.0
    )


def dense_layers(
    hp: Any,
    x: Any,
    style: Style,
    depth: int,
    units: Sequence[int],
) -> Any:
    """Apply 1 to `depth` fully connected layers to `x`.

    Args:
        hp: The hyperparameters.
        x: A symbolic tensor of shape `(batch_size, features)`.
        style: The style of the layers.
        depth: The largest number of layers.
        units: Choices for their width.
    """
    count = hp.Int("depth", 1, depth, default=min(2, depth))
    width = hp.Choice("units", list(units))
    with hp.conditional_scope("depth", list(range(2, depth + 1))):
        style.residual = bool(hp.Boolean("residual"))
    for number in range(1, count + 1):
        dense = layers.Dense(
            width,
            use_bias=not style.normalized,
            name=f"dense_{number}",
            **style.kernel(),
        )
        x = style.hidden(x, dense, str(number))
    return x


def output(x: Any, style: Style, task: Task) -> Any:
    """Apply the output layer: softmax, one sigmoid unit, or linear.

    Args:
        x: A symbolic tensor of shape `(batch_size, features)`.
        style: The style of the layers.
        task: What the model is for.
    """
    activation = {CLASSES: "softmax", BINARY: "sigmoid"}.get(task.kind)
    units = task.classes if task.kind == CLASSES else 1
    return layers.Dense(
        units, activation=activation, name="output", **style.kernel()
    )(x)
