"""What a ready search has to say: its data, and the space of its models."""

import argparse
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_ext.cli.search.settings import Settings

# Kinds of task, by their last layer: softmax, one sigmoid unit, linear.
CLASSES, BINARY, REGRESSION = "classification", "binary", "regression"


@dataclass
class Split:
    """Inputs of shape `(rows, ...)` and targets of shape `(rows,)`.

    Classes are whole numbers from 0 on.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass
class Data:
    """Prepared rows in three parts.

    Attributes:
        train: What the models are fitted to.
        validation: What the trials are compared on.
        test: What nothing is chosen by.
        kind: `CLASSES`, `BINARY` or `REGRESSION`.
        classes: Number of classes; 1 for a regression.
        preparation: What was done to the inputs, as JSON; who uses the model
            has to do the same.
        rows: What a row is called, in the plural.
        unit: Of a regression: the standard deviation that the targets were
            divided by.
        notes: What else is to be said before the search, a line each.
    """

    train: Split
    validation: Split
    test: Split
    kind: str
    classes: int
    preparation: dict[str, Any]
    rows: str = "rows"
    unit: float = 1.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """What a model is built for.

    Attributes:
        kind: `CLASSES`, `BINARY` or `REGRESSION`.
        shape: Shape of an input, without the batch.
        classes: Number of classes; 1 for a regression.
        rows: Rows of one epoch of training.
        epochs: Epochs of a trial at the most.
        tuned_epochs: Whether the number of epochs is a hyperparameter; not
            where the tuner chooses it.
    """

    kind: str
    shape: tuple[int, ...]
    classes: int
    rows: int
    epochs: int
    tuned_epochs: bool = True


class Definition:
    """A ready search.

    Attributes:
        help: One line that says what is learnt.
    """

    help = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments that other searches do not have.

        Args:
            parser: The parser of this search.
        """

    def load(self, settings: Settings) -> Data:
        """Return the data.

        Args:
            settings: The search: `data_file`, `seed`, ….

        Raises:
            keras_ext.cli.usage.UsageError: The data cannot be used.
        """
        raise NotImplementedError

    def build(self, hp: Any, task: Task) -> keras.Model:
        """Return a compiled model.

        Args:
            hp: The `keras_tuner.HyperParameters`.
            task: What it is for.
        """
        raise NotImplementedError

    def fit_arguments(
        self, hp: Any, task: Task, objective: Any
    ) -> dict[str, Any]:
        """Return the arguments of `fit` that the hyperparameters decide.

        Args:
            hp: The hyperparameters, as `build` has asked for them.
            task: What the model is for.
            objective: A `keras_tuner.Objective`.

        Returns:
            `batch_size`, `epochs` and `callbacks`.
        """
        raise NotImplementedError
