"""Saving and loading a model, as Keras does it.

Layers that have a counterpart are swapped while the new model is made: those
in the config, and those that a constructor makes.
"""

import contextlib
import json
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_ext._convert.counterparts import table


def reload(model: Any) -> Any:
    """Save and load a model, with its layers swapped, but not compiled.

    Args:
        model: The model, which does not change.

    Returns:
        The new model.

    Raises:
        ValueError: If Keras cannot save the model, or not load it again.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            path = Path(folder) / "model.keras"
            # An unbuilt model has no weights to save; a lambda is loaded.
            warnings.filterwarnings("ignore", ".*has not yet been built")
            warnings.filterwarnings("ignore", ".*includes a `lambda`")
            # `compiling.py` copies the optimizer.
            warnings.filterwarnings("ignore", "Skipping variable loading")
            with uncompiled(model):
                keras.saving.save_model(model, path)
            with zipfile.ZipFile(path) as file:
                config = json.loads(file.read("config.json"))
            with _swapping_layers():
                return keras.saving.load_model(
                    path,
                    custom_objects=custom_objects(config, model),
                    compile=False,
                    safe_mode=False,
                )
    except Exception as error:
        raise ValueError(
            "`model` must be one that Keras can save and load again. "
            f"Received: model={model}, {_culprit(model, error)}which failed "
            f"with: {error}"
        ) from error


def copy(value: Any) -> Any:
    """Return a copy of an object that Keras can serialize.

    Args:
        value: Such as a metric. Its variables are new ones.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*includes a `lambda`")
        config = keras.saving.serialize_keras_object(value)
    return keras.saving.deserialize_keras_object(
        config, custom_objects=custom_objects(config, value), safe_mode=False
    )


@contextlib.contextmanager
def uncompiled(model: Any) -> Iterator[None]:
    """Leave out of the config what the models were compiled with.

    Arguments of `compile` need not be serializable here: they are carried
    over as objects.
    """
    models = [x for x in layers_of(model) if isinstance(x, keras.Model)]
    for x in models:
        vars(x)["get_compile_config"] = lambda: None
    try:
        yield
    finally:
        for x in models:
            del vars(x)["get_compile_config"]


def layers_of(model: Any) -> list[Any]:
    """Return a model and its layers of any depth, each once."""
    # Keras lists a shared layer once for each use.
    return list({id(x): x for x in model._flatten_layers()}.values())


def attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes of an object, layers among them."""
    held = getattr(thing, "__dict__", {})
    # Where PyTorch keeps layers.
    return {**held, **(held.get("_modules") or {})}


def custom_objects(config: Any, root: Any) -> dict[str, Any]:
    """Return the classes and functions that a config names.

    Keras alone finds only what is registered.

    Args:
        config: A serialized object.
        root: The object.
    """
    # No other names: Keras takes any string of a config for such a name.
    wanted: dict[str, Any] = {}
    _collect_names(config, wanted)
    found: dict[str, Any] = {}
    seen: set[int] = set()
    queue = [root]
    while queue and len(found) < len(wanted):
        thing = queue.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            queue += thing.values()
        elif isinstance(thing, list | tuple | set):
            queue += thing
        elif hasattr(thing, "get_config") or hasattr(thing, "__name__"):
            named = thing if hasattr(thing, "__name__") else type(thing)
            name = keras.saving.get_registered_name(named)
            if name in wanted:
                found.setdefault(name, named)
            if named is not thing:
                queue += attributes(thing).values()
    for name, module in wanted.items():
        thing = getattr(sys.modules.get(module or "__main__"), name, None)
        if thing is not None:
            found.setdefault(name, thing)
    return found


def _collect_names(config: Any, wanted: dict[str, Any]) -> None:
    """Collect the names of a person's objects, with their modules."""
    if isinstance(config, list | tuple):
        for item in config:
            _collect_names(item, wanted)
    if not isinstance(config, dict):
        return
    for item in config.values():
        _collect_names(item, wanted)
    name = config.get("class_name")
    if name == "function":
        name = config.get("config")
    elif config.get("registered_name"):
        name = config["registered_name"]
    module = config.get("module")
    if (
        isinstance(name, str)
        and isinstance(module, str | None)
        and "config" in config
        and (module or "").partition(".")[0] != "keras"
        and keras.saving.get_registered_object(name) is None
    ):
        wanted[name] = module


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
    for layer in reversed(layers_of(model)[1:]):
        try:
            with uncompiled(layer):
                copy(layer)
        except Exception as its_error:
            # Layers that a constructor makes may fail alone: no harm.
            if str(its_error) and str(its_error) in str(error):
                return f"layer '{layer.name}' of class {type(layer).__name__}, "
    return ""
