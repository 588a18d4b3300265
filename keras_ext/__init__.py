"""Drop-in components, training monitors and tracked tuners for Keras 3.

Importing the package registers its components with Keras (as
`keras_ext>Name`) and imports neither MLflow nor keras-tuner: `callbacks`,
`tracking` and `tuners` load when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ext import activations as activations
from keras_ext import initializers as initializers
from keras_ext import layers as layers
from keras_ext import losses as losses
from keras_ext import optimizers as optimizers
from keras_ext import regularizers as regularizers
from keras_ext.convert import convert as convert
from keras_ext.version import __version__ as __version__

if TYPE_CHECKING:
    from keras_ext import callbacks as callbacks
    from keras_ext import doctor as doctor
    from keras_ext import plots as plots
    from keras_ext import tracking as tracking
    from keras_ext import tuners as tuners

_LAZY = ("callbacks", "doctor", "plots", "tracking", "tuners")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"keras_ext.{name}")
    raise AttributeError(f"module 'keras_ext' has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = {"Any", "TYPE_CHECKING", "importlib"}
    return sorted({*globals(), *_LAZY} - hidden)
