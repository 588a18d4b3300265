"""Saving and loading a model, as Keras does it.

Layers that have a counterpart are swapped while the new model is made: those
in the config, and those that a constructor makes.
"""

import contextlib
import json
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_ext._convert import naming, objects
from keras_ext._convert.counterparts import table
from keras_ext._convert.report import brief


def reload(model: Any) -> tuple[Any, Any]:
    """Save and load a model, with its layers swapped, but not compiled.

    Args:
        model: The model, which does not change.

    Returns:
        The new model, and the config from which it is made.

    Raises:
        ValueError: If Keras cannot save the model, or not load it again.
    """
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            warnings.catch_warnings(),
            _uncompiled(model),
            naming.naming_lambdas(model),
        ):
            # An unbuilt model has no weights to save.
            warnings.filterwarnings("ignore", ".*has not yet been built")
            # `compiling.py` copies the optimizer.
            warnings.filterwarnings("ignore", "Skipping variable loading")
            path = Path(folder) / "model.keras"
            keras.saving.save_model(model, path)
            with zipfile.ZipFile(path) as file:
                config = json.loads(file.read("config.json"))
            with _swapping_layers():
                new = keras.saving.load_model(
                    path,
                    custom_objects=naming.custom_objects(config, model),
                    compile=False,
                    safe_mode=False,  # For code that is here already.
                )
            return new, config
    except Exception as error:
        raise ValueError(
            "`model` must be one that Keras can save and load again. "
            f"Received: model={model}, {_culprit(model, error)}which failed "
            f"with: {brief(error, 600)}"
        ) from error


def copy(value: Any) -> Any:
    """Return a copy of an object that Keras can serialize.

    Args:
        value: Such as a metric. Its variables are new ones.
    """
    with naming.naming_lambdas(value):
        config = keras.saving.serialize_keras_object(value)
        return keras.saving.deserialize_keras_object(
            config,
            custom_objects=naming.custom_objects(config, value),
            safe_mode=False,
        )


@contextlib.contextmanager
def _uncompiled(model: Any) -> Iterator[None]:
    """Leave out of the config what the models were compiled with.

    Arguments of `compile` need not be serializable here: they are carried
    over as objects.
    """
    models = [x for x in objects.layers_of(model) if isinstance(x, keras.Model)]
    for x in models:
        vars(x)["get_compile_config"] = lambda: None
    try:
        yield
    finally:
        for x in models:
            del vars(x)["get_compile_config"]


@contextlib.contextmanager
def _swapping_layers() -> Iterator[None]:
    """Make the constructors of built-in layers return the counterparts.

    Subclasses of built-in layers stay, and so do layers with arguments that
    the counterpart refuses, and layers that other threads make.
    """
    thread = threading.get_ident()
    trying = False

    def make(builtin: Any, ours: Any) -> Any:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal trying
            kind = cls
            here = cls is builtin and threading.get_ident() == thread
            if here and not trying:
                trying = True
                try:
                    # Named, so that no automatic name is used up.
                    ours(*args, **{**kwargs, "name": "trial"})
                    kind = ours
                except Exception:
                    pass  # The report has the reason.
                finally:
                    trying = False
            return super(builtin, cls).__new__(kind, *args, **kwargs)

        return __new__

    pairs: list[tuple[Any, Any]] = [
        (builtin, ours)
        for builtin, ours in table().items()
        if isinstance(builtin, type)
        and issubclass(builtin, keras.layers.Layer)
        and "__new__" not in vars(builtin)
    ]
    for builtin, ours in pairs:
        builtin.__new__ = make(builtin, ours)
    try:
        yield
    finally:
        for builtin, _ in pairs:
            del builtin.__new__


def _culprit(model: Any, error: Exception) -> str:
    """Return which layer fails with an error, as a part of a sentence."""
    # Inner layers first: an outer layer fails because of them.
    for layer in reversed(objects.layers_of(model)[1:]):
        try:
            with _uncompiled(layer):
                copy(layer)
        except Exception as its_error:
            # Layers that a constructor makes may fail alone: no harm.
            if str(its_error) and str(its_error) in str(error):
                return f"layer '{layer.name}' of class {type(layer).__name__}, "
    return ""
