"""Under which name Keras saves what is ours."""

from collections.abc import Callable
from typing import Any, TypeVar

import keras

_Component = TypeVar("_Component", bound=Callable[..., Any])


def registered(component: _Component) -> _Component:
    """Register a class or function with Keras, in this package's name.

    Type checkers go on knowing its signature, which Keras's decorator hides.

    Args:
        component: A class or function that a model may hold.

    Returns:
        The same.
    """
    return keras.saving.register_keras_serializable(package="keras_ext")(
        component
    )
