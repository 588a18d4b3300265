"""Drop-in components, training monitors and tracked tuners for Keras 3.

Whoever imports this package and Keras, in either order, has its components
registered with Keras (as `keras_ext>Name`). The package itself imports neither
Keras nor a backend, MLflow or keras-tuner: each part loads when it is first
used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ext._lazy import after_keras as _after_keras
from keras_ext.version import __version__ as __version__

if TYPE_CHECKING:
    from keras_ext import (
        activations as activations,
        callbacks as callbacks,
        doctor as doctor,
        initializers as initializers,
        layers as layers,
        losses as losses,
        metrics as metrics,
        optimizers as optimizers,
        plots as plots,
        regularizers as regularizers,
        tracking as tracking,
        tuners as tuners,
    )
    from keras_ext._convert import convert as convert

_COMPONENTS = (
    *("activations", "initializers", "layers", "losses", "metrics"),
    *("optimizers", "regularizers"),
)
_LAZY = (*_COMPONENTS, *("callbacks", "doctor", "plots", "tracking", "tuners"))


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"keras_ext.{name}")
    if name == "convert":
        return importlib.import_module("keras_ext._convert").convert
    raise AttributeError(f"module 'keras_ext' has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = {"Any", "TYPE_CHECKING", "importlib"}
    return sorted({*globals(), *_LAZY, "convert"} - hidden)


def _register() -> None:
    for name in _COMPONENTS:
        importlib.import_module(f"keras_ext.{name}")


_after_keras(_register)
