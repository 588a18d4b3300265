"""Fallback to Keras for names that a module lacks.

So `from keras_ext import layers` can replace `from keras import layers`.
"""

import sys
from collections.abc import Callable
from typing import Any

import keras


def fall_back(module_name: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module that replaces one of Keras.

    Args:
        module_name: Name of the module, such as `"keras_ext.layers"`.
    """
    room = module_name.rpartition(".")[2]

    def __getattr__(name: str) -> Any:
        theirs = getattr(keras, room)
        if name.startswith("_") or not hasattr(theirs, name):
            raise AttributeError(
                f"Neither {module_name!r} nor 'keras.{room}' has an "
                f"attribute {name!r}"
            )
        value = getattr(theirs, name)
        # Some names in Keras are aliases, such as `regularizers.l2`.
        ours = vars(sys.modules[module_name])
        return ours.get(getattr(value, "__name__", ""), value)

    return __getattr__
