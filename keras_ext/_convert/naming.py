"""Making known to Keras what a config names."""

import contextlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import keras

from keras_ext._convert import objects


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
    for thing in objects.parts(root):
        named = thing if hasattr(thing, "__name__") else type(thing)
        name = keras.saving.get_registered_name(named)
        if name in wanted:
            found.setdefault(name, named)
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
    if not {"class_name", "config", "module"} <= config.keys():
        return
    name, module = config["class_name"], config["module"]
    if name == "function":
        name = config["config"]
    elif config.get("registered_name"):
        name = config["registered_name"]
    if (
        isinstance(name, str)
        and isinstance(module, str | None)
        and (module or "").partition(".")[0] != "keras"
        and keras.saving.get_registered_object(name) is None
    ):
        wanted[name] = module


@contextlib.contextmanager
def naming_lambdas(root: Any) -> Iterator[None]:
    """Give each lambda a name, so that Keras can serialize it by name.

    Keras saves the code of a lambda, without the globals that it uses.
    """
    lambdas = [
        thing
        for thing in objects.parts(root)
        if inspect.isfunction(thing) and thing.__name__ == "<lambda>"
    ]
    for number, function in enumerate(lambdas):
        function.__name__ = f"lambda_{number}_of_model"
    try:
        yield
    finally:
        for function in lambdas:
            function.__name__ = "<lambda>"
