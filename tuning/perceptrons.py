"""Multilayer perceptrons: the models of the searches on tables and pixels."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_ext.cli.search.definition import Task

from .layers import dense_layers, output, style
from .training import compiled


def perceptron(
    hp: Any,
    task: Task,
    depth: int,
    units: Sequence[int],
    faults: bool = False,
) -> keras.Model:
    """Return a compiled multilayer perceptron.

    Args:
        hp: The hyperparameters.
        task: What the model is for.
        depth: The largest number of hidden layers.
        units: Choices for their width.
        faults: Whether to add choices that must fail.
    """
    look = style(hp, faults)
    inputs = keras.Input(task.shape)
    x = dense_layers(hp, inputs, look, depth, units)
    model = keras.Model(inputs, output(x, look, task))
    return compiled(hp, model, task, faults)
