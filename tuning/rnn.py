"""`rnn`: recurrent networks that read images of digits row by row."""

import argparse
from typing import Any

import keras

from keras_ext.cli.search.definition import Data, Task
from keras_ext.cli.search.settings import Settings

from .data import add_data_file, load
from .layers import dense_layers, output, style
from .training import Training, compiled

_CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple": keras.layers.SimpleRNN,
}


class RNN(Training):
    """1 or 2 recurrent layers, then fully connected ones."""

    help = "classify digits, read row by row, with recurrent networks"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add `--data-file`."""
        add_data_file(parser)

    def load(self, settings: Settings) -> Data:
        """Return images as sequences of rows; see `Definition`."""
        return load(settings.data_file, settings.seed, "sequences")

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        look = style(hp)
        cell = _CELLS[hp.Choice("cell", list(_CELLS))]
        count = hp.Int("recurrent_layers", 1, 2)
        width = hp.Choice("recurrent_units", [32, 16, 64])
        both_ways = hp.Boolean("bidirectional")
        with hp.conditional_scope("cell", ["simple"]):
            activation = hp.Choice("cell_activation", ["tanh", "relu"])
        x = inputs = keras.Input(task.shape)
        for number in range(1, count + 1):
            layer = cell(
                width,
                activation=activation or "tanh",
                return_sequences=number < count,
                name=f"recurrent_{number}",
                **look.kernel(),
            )
            if both_ways:
                layer = keras.layers.Bidirectional(layer)
            x = layer(x)
        x = dense_layers(hp, x, look, 2, [32, 16, 64])
        model = keras.Model(inputs, output(x, look, task))
        return compiled(hp, model, task)
