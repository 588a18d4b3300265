"""`cnn`: convolutional networks on images of digits."""

import argparse
from typing import Any

import keras

from keras_ext import layers
from keras_ext.cli.search.definition import Data, Task
from keras_ext.cli.search.settings import Settings

from .data import add_data_file, load
from .layers import output, style
from .training import Training, compiled

_POOLING = {
    "max": keras.layers.MaxPooling2D,
    "average": keras.layers.AveragePooling2D,
}


class CNN(Training):
    """1 to 3 blocks of a convolution and a pooling.

    Each block has twice the filters of the one before.
    """

    help = "classify images of digits with convolutional networks"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add `--data-file`."""
        add_data_file(parser)

    def load(self, settings: Settings) -> Data:
        """Return images with a channel at the end; see `Definition`."""
        return load(settings.data_file, settings.seed, "images")

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        look = style(hp)
        depth = hp.Int("depth", 1, 3, default=2)
        filters = hp.Choice("filters", [16, 8, 32])
        kernel_size = hp.Choice("kernel_size", [3, 5])
        pooling = _POOLING[hp.Choice("pooling", list(_POOLING))]
        head = hp.Choice("head", ["flatten", "global_average"])
        look.residual = hp.Boolean("residual")
        x = inputs = keras.Input(task.shape)
        for number in range(1, depth + 1):
            convolution = keras.layers.Conv2D(
                filters * 2 ** (number - 1),
                kernel_size,
                padding="same",
                use_bias=not look.normalized,
                name=f"conv_{number}",
                **look.kernel(),
            )
            x = look.hidden(x, convolution, str(number))
            x = pooling(2, padding="same", name=f"pooling_{number}")(x)
        flat = {
            "flatten": layers.Flatten,
            "global_average": layers.GlobalAveragePooling2D,
        }
        x = flat[head]()(x)
        model = keras.Model(inputs, output(x, look, task))
        return compiled(hp, model, task)
