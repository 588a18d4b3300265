"""The kernels of the running backend."""

import importlib
from typing import Any

import keras

_FILES = {"tensorflow": "_tensorflow", "torch": "_torch"}
_kernels = importlib.import_module(
    "keras_ext.optimizers." + _FILES.get(keras.config.backend(), "_plain")
)

AdagradKernel: Any = _kernels.AdagradKernel
AdamKernel: Any = _kernels.AdamKernel
RMSpropKernel: Any = _kernels.RMSpropKernel
SGDKernel: Any = _kernels.SGDKernel
