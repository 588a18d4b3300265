"""The interface of a ready search: its data and the space of its models."""

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_ext.cli.search.settings import Settings

# Kinds of task, by their last layer: softmax, one sigmoid unit, linear.
CLASSES, BINARY, REGRESSION = "classification", "binary", "regression"
# The commonest class has this many times the rows of the rarest.
OUT_OF_BALANCE = 3.0


@dataclass
class Split:
    """Inputs of shape `(rows, ...)` and targets of shape `(rows,)`.

    Classes are integers >= 0.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass
class Data:
    """Prepared rows in three parts.

    Attributes:
        train: The rows to fit the models to.
        validation: The rows to compare the trials on.
        test: The rows for the metrics of the best model.
        kind: `CLASSES`, `BINARY` or `REGRESSION`.
        classes: Number of classes; 1 for a regression.
        preparation: How the inputs were prepared, as JSON. Users of a model
            must prepare their inputs in the same way.
        rows: What a row is, in the plural, such as `images`.
        unit: For a regression, the standard deviation of the original
            targets.
        notes: Lines to print before the search.
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

    def commonest_share(self) -> float:
        """Return the share of the test rows that have the commonest class.

        It is the accuracy of a model that always predicts this class.
        """
        counts = np.bincount(self.train.y)
        return float(np.mean(self.test.y == counts.argmax()))

    def constant_error(self, metric: str) -> tuple[str, float]:
        """Return the constant with the smallest error, and its test error.

        Args:
            metric: `mae`, for which the constant is the median of the
                training targets, or `rmse`, for which it is their mean.
        """
        train, test = self.train.y, self.test.y
        if metric == "mae":
            return "median", float(np.abs(test - np.median(train)).mean())
        squares = np.square(test - train.mean())
        return "mean", float(np.sqrt(squares.mean()))

    def is_unbalanced(self) -> bool:
        """Return whether some class is much more frequent than another."""
        if self.kind == REGRESSION:
            return False
        counts = np.bincount(self.train.y, minlength=self.classes)
        return bool(counts.max() >= OUT_OF_BALANCE * counts.min())


@dataclass(frozen=True)
class Task:
    """What a model is built for.

    Attributes:
        kind: `CLASSES`, `BINARY` or `REGRESSION`.
        shape: Shape of an input, without the batch.
        classes: Number of classes; 1 for a regression.
        rows: Rows of one epoch of training.
        epochs: Epochs of a trial, at most.
        tuned_epochs: Whether the number of epochs is a hyperparameter;
            `False` if the tuner chooses it.
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
        help: One line about the models and their task.
    """

    help = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments that only this search has."""

    def load(self, settings: Settings) -> Data:
        """Return the data.

        Args:
            settings: The search: `data_file`, `seed`, ….

        Raises:
            keras_ext.cli.usage.UsageError: The data cannot be used.
        """
        raise NotImplementedError

    def build(self, hp: Any, task: Task) -> Any:
        """Return a compiled `keras.Model` for the task.

        Args:
            hp: The `keras_tuner.HyperParameters`.
            task: What the model is for.
        """
        raise NotImplementedError

    def fit_arguments(
        self, hp: Any, task: Task, objective: Any
    ) -> dict[str, Any]:
        """Return the arguments of `fit` that are hyperparameters.

        Args:
            hp: The hyperparameters that `build` has asked for.
            task: What the model is for.
            objective: A `keras_tuner.Objective`.

        Returns:
            `batch_size`, `epochs` and `callbacks`.
        """
        raise NotImplementedError
