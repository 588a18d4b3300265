"""The built-ins that have a counterpart in `keras_ext`."""

import functools
import inspect
from typing import Any

import keras

from keras_ext import (
    activations,
    initializers,
    layers,
    losses,
    optimizers,
    regularizers,
)

# In the order of the report.
MODULES = {
    "layers": layers,
    "activations": activations,
    "initializers": initializers,
    "regularizers": regularizers,
    "losses": losses,
    "optimizers": optimizers,
}


@functools.cache
def table() -> dict[Any, Any]:
    """Map each built-in class and function to its counterpart."""
    pairs: dict[Any, Any] = {}
    for kind, module in MODULES.items():
        for name, ours in vars(module).items():
            builtin = getattr(getattr(keras, kind), name, None)
            if inspect.isclass(builtin) and inspect.isclass(ours):
                # Not for an alias, whose `__name__` is another one.
                if issubclass(ours, builtin) and ours.__name__ == name:
                    pairs[builtin] = ours
            elif inspect.isfunction(builtin) and inspect.isfunction(ours):
                pairs[builtin] = ours
    return pairs


def counterpart(value: Any) -> Any:
    """Return the class or function that replaces a value, or `None`.

    Args:
        value: An object of a built-in class, such a class, or a function.
    """
    if inspect.isfunction(value):
        return table().get(value)
    kind = value if inspect.isclass(value) else type(value)
    for base in kind.__mro__:
        # With PyTorch, optimizers are of a private class of the same name.
        if base in table() and (
            base is kind or (base.__name__ == kind.__name__ and is_keras(kind))
        ):
            return table()[base]
    return None


def builtin_base(kind: type) -> type | None:
    """Return the built-in that a person's class extends, or `None`.

    Args:
        kind: A class. Built-ins without a counterpart are no person's.
    """
    if is_keras(kind) or in_package(kind, "keras_ext"):
        return None
    return next((base for base in kind.__mro__ if base in table()), None)


def is_keras(thing: Any) -> bool:
    """Return whether Keras has defined a class or function."""
    return in_package(thing, "keras")


def in_package(thing: Any, *packages: str) -> bool:
    """Return whether one of the packages has defined a class or function."""
    module = getattr(thing, "__module__", None) or ""
    return module.partition(".")[0] in packages


def remake(value: Any) -> Any:
    """Return the counterpart of an object, with the same settings.

    Args:
        value: An initializer, regularizer or loss with a counterpart.

    Raises:
        ValueError: If the counterpart refuses an argument.
    """
    ours = counterpart(value)
    config = value.get_config()
    if isinstance(value, keras.losses.Loss):
        names = inspect.signature(ours).parameters
        # Keras leaves these out of configs, for example Huber's `delta`.
        missing = {**getattr(value, "_fn_kwargs", {}), "dtype": value.dtype}
        config = {k: v for k, v in missing.items() if k in names} | config
    new = ours.from_config(config)
    if isinstance(value, keras.initializers.Initializer) and (
        getattr(value, "seed", None) is not None
    ):
        new.seed = value.seed  # Drawn, if none was given.
    return new
