"""Swaps the built-ins of a model for their counterparts in keras_ext."""

import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_ext._convert.compiling import Compiling
from keras_ext._convert.reloading import reload
from keras_ext._convert.report import Report


def convert(
    model: Any, *, print_fn: Callable[[str], Any] | None = print
) -> Any:
    """Swap the built-ins of a model for those of `keras_ext`."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model}"
        )
    report = Report()
    new, config = reload(model)
    compiling = Compiling(report)
    compiling.pairing.walk(model, new)
    for old_layer, layer in compiling.pairing.layers:
        if isinstance(old_layer, keras.Model):
            compiling.carry(old_layer, layer)
    compiling.pairing.set_optimizers()
    report.compare_saved(config)
    if report.lost:
        warnings.warn(
            f"`convert` could not keep: {'; '.join(report.lost)}",
            stacklevel=2,
        )
    if print_fn is not None:
        print_fn(str(report))
    return new
