"""`wine`: multilayer perceptrons on scikit-learn's wines."""

from typing import Any

import keras

from keras_ext.cli.search.definition import CLASSES, Data, Task
from keras_ext.cli.search.settings import Settings

from .data import from_scikit_learn
from .perceptrons import perceptron
from .training import Training


class Wine(Training):
    """Small perceptrons, because there are only 178 wines."""

    help = "classify 178 wines by 13 measurements, with small perceptrons"

    def load(self, settings: Settings) -> Data:
        """Return the standardized measurements; see `Definition`."""
        return from_scikit_learn("wine", CLASSES, "wines", settings.seed)

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model; see `Definition`."""
        return perceptron(hp, task, 3, [16, 4, 8, 32])
