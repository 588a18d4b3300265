"""The kernels of the running backend."""

import importlib
from typing import Any

import keras

_FILES = {"tensorflow": "_tensorflow", "torch": "_torch"}
_kernels = importlib.import_module(
    "keras_ext.layers." + _FILES.get(keras.config.backend(), "_plain")
)

normalize_batch: Any = _kernels.normalize_batch
