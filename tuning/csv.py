"""`csv`: multilayer perceptrons on the user's own table."""

import argparse
from typing import Any

import keras

from keras_ext.cli.search.definition import CLASSES, REGRESSION, Data, Task
from keras_ext.cli.search.settings import Settings

from .perceptrons import perceptron
from .tables import load_table
from .tables.options import NAMES, Options, add_options
from .training import Training


class CSV(Training):
    """Perceptrons that predict one column of a table from the others."""

    help = "predict a column of your own table, with perceptrons"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the file, `--target`, `--task`, and how to read the file."""
        parser.add_argument(
            "data_file",
            metavar="FILE",
            nargs="?",
            help="a CSV file, separated by commas, semicolons, tabs or bars; "
            "the first line has the column names",
        )
        parser.add_argument(
            "--target", metavar="COLUMN", help="the column to predict"
        )
        parser.add_argument(
            "--task",
            choices=(CLASSES, REGRESSION),
            help="default: classification for text and for up to 10 different "
            "integers, else regression",
        )
        add_options(parser)

    def load(self, settings: Settings) -> Data:
        """Return the prepared columns; see `Definition`."""
        return load_table(
            settings.data_file or "",
            settings.target or "",
            settings.task,
            settings.seed,
            Options(**{name: getattr(settings, name) for name in NAMES}),
        )

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        return perceptron(hp, task, 4, [32, 8, 16, 64, 128])
