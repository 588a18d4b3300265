"""Swaps the built-ins of a model for their counterparts in keras_ext."""

import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_ext._convert import compiling, reloading, report


def convert(
    model: Any, *, print_fn: Callable[[str], Any] | None = print
) -> Any:
    """Swap the built-ins of a model for those of `keras_ext`.

    `convert` swaps each layer, activation, initializer, regularizer, loss and
    optimizer that has a counterpart of the same name in `keras_ext`: in nested
    models, wrappers, cells, arguments of layers and arguments of `compile`. It
    keeps weights, optimizer state, seeds, dtype policies, LoRA, frozen layers
    and the attributes that you have set. A class of your own that subclasses
    a built-in stays; only its parts are swapped.

    The given model does not change. For a moment both models are in memory,
    and once more on disk.

    Args:
        model: A Keras model that Keras can save and load: built or not,
            compiled or not. Its own classes need a `get_config` if their
            constructors take more than numbers and strings.
        print_fn: Function that takes the report: one line per kind of
            component, then what was left alone and why, then what was lost;
            `None` for no report. Defaults to `print`.

    Returns:
        The new model.

    Raises:
        ValueError: If `model` is not a Keras model, or Keras cannot save it
            and load it again.

    Warns:
        UserWarning: If the new model lacks something, for example an
            optimizer that cannot be made again.

    Example:
    >>> import keras
    >>> import keras_ext
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(8, activation="relu"),
    ...         keras.layers.Dense(1),
    ...     ]
    ... )
    >>> model.compile("sgd", "mse")
    >>> model = keras_ext.convert(model)
    layers: 2 Dense
    activations: 1 linear, 1 relu
    initializers: 2 GlorotUniform, 2 Zeros
    losses: 1 mean_squared_error
    optimizers: 1 SGD
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model}"
        )
    notes = report.Report()
    new, config = reloading.reload(model)
    carrier = compiling.Compiling(notes)
    carrier.pairing.walk(model, new)
    for old_layer, layer in carrier.pairing.layers:
        if isinstance(old_layer, keras.Model):
            carrier.carry(old_layer, layer)
    carrier.pairing.set_optimizers()
    notes.compare_saved(config)
    if notes.lost:
        warnings.warn(
            f"`convert` could not keep: {'; '.join(notes.lost)}",
            stacklevel=2,
        )
    if print_fn is not None:
        print_fn(str(notes))
    return new
