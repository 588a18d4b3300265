"""`csv`: multilayer perceptrons on the user's own table."""

import argparse
from typing import Any

import keras

from keras_ext.cli.search.definition import CLASSES, REGRESSION, Data, Task
from keras_ext.cli.search.settings import Settings

from .perceptrons import perceptron
from .tables import load_table
from .training import Training


class CSV(Training):
    """Perceptrons that predict one column of a table from the others."""

    help = "a column of your own table from the others: perceptrons"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the file, `--target` and `--task`."""
        parser.add_argument(
            "data_file",
            metavar="FILE",
            nargs="?",
            help="a CSV file whose first line has the column names; columns "
            "of text are categories",
        )
        parser.add_argument(
            "--target", metavar="COLUMN", help="the column to predict"
        )
        parser.add_argument(
            "--task",
            choices=(CLASSES, REGRESSION),
            help="default: classification for text and for up to 10 "
            "different integers, else regression",
        )

    def load(self, settings: Settings) -> Data:
        """Return the prepared columns; see `Definition`."""
        return load_table(
            settings.data_file or "",
            settings.target or "",
            settings.task,
            settings.seed,
        )

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        return perceptron(hp, task, 4, [32, 8, 16, 64, 128])
