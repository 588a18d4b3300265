"""Registers components with Keras and completes their docstrings."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from keras_ext import _docstrings

_Component = TypeVar("_Component", bound=Callable[..., Any])


def registered(component: _Component) -> _Component:
    """Register a class or function with Keras, in this package's name.

    Type checkers still see its signature, which Keras's decorator hides.

    Args:
        component: A class or function that a model may hold.

    Returns:
        The same, its docstring completed by `keras_ext._docstrings`.
    """
    shared = _docstrings.SHARED[component.__module__.split(".")[1]]
    return _registered(component, shared)


def function_of(loss: Any) -> Callable[[_Component], _Component]:
    """Register the function that a loss class computes.

    Args:
        loss: The class, whose docstring describes the function's arguments.
    """
    path = f"{loss.__module__.rpartition('.')[0]}.{loss.__name__}"
    shared = _docstrings.of_class(path, loss.__doc__ or "")
    return lambda function: _registered(function, shared)


def _registered(component: _Component, shared: str) -> _Component:
    if component.__doc__:  # Python's option -OO leaves docstrings out.
        component.__doc__ = _docstrings.complete(
            inspect.cleandoc(component.__doc__), shared, _defaults(component)
        )
    return keras.saving.register_keras_serializable(package="keras_ext")(
        component
    )


def _defaults(component: Any) -> dict[str, str | None]:
    """Return the default of each argument as text, or `None`."""
    defaults: dict[str, str | None] = {}
    for name, parameter in inspect.signature(component).parameters.items():
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        value = parameter.default
        defaults[stars + name] = (
            None if value is parameter.empty else _docstrings.literal(value)
        )
    return defaults
