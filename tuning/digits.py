"""`digits`: multilayer perceptrons on images of digits."""

import argparse
from typing import Any

import keras

from keras_ext.cli.search.definition import Data, Task
from keras_ext.cli.search.settings import Settings

from .data import add_data_file, load
from .perceptrons import perceptron
from .training import Training


class Digits(Training):
    """Perceptrons of 1 to 6 hidden layers, with good and bad choices.

    The bad choices are zeros, deep sigmoids and a squared error. The gradient
    norms of their trials show why they fail.
    """

    help = "classify digits with perceptrons; some choices must fail"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add `--data-file`."""
        add_data_file(parser)

    def load(self, settings: Settings) -> Data:
        """Return the pixels; see `Definition`."""
        return load(settings.data_file, settings.seed)

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        return perceptron(hp, task, 6, [64, 128, 256], faults=True)
