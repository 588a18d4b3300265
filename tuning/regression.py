"""`regression`: multilayer perceptrons on scikit-learn's diabetes data."""

from typing import Any

import keras

from keras_ext.cli.search.definition import REGRESSION, Data, Task
from keras_ext.cli.search.settings import Settings

from .data import from_scikit_learn
from .perceptrons import perceptron
from .training import Training


class Regression(Training):
    """Small perceptrons with one linear output."""

    help = "predict the progress of 442 patients, with small perceptrons"

    def load(self, settings: Settings) -> Data:
        """Return the standardized measurements; see `Definition`."""
        return from_scikit_learn(
            "diabetes", REGRESSION, "patients", settings.seed
        )

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        return perceptron(hp, task, 3, [16, 4, 8, 32, 64])
