"""The formulas for the running backend."""

import importlib
from typing import Any

import keras

_FILES = {"jax": "_jax", "torch": "_torch"}
_formulas = importlib.import_module(
    "keras_ext.losses." + _FILES.get(keras.config.backend(), "_plain")
)

binary: Any = _formulas.binary
huber: Any = _formulas.huber
log_quotient: Any = _formulas.log_quotient
mask: Any = _formulas.mask
softplus: Any = _formulas.softplus
sparse: Any = _formulas.sparse
