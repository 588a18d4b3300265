"""The base class of all losses."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Loss(keras.losses.Loss):
    """Keeps a loss's arguments as attributes and in its config.

    It comes before the Keras loss among the bases of a class. Keras leaves
    `dtype`, and in some losses other arguments, out of the config, so that a
    loaded loss would have the defaults.
    """

    def __init__(
        self,
        *,
        reduction: str | None,
        name: str | None,
        dtype: Any,
        **arguments: Any,
    ):
        accepted = inspect.signature(super().__init__).parameters
        super().__init__(
            reduction=reduction,
            name=name,
            dtype=dtype,
            **{k: v for k, v in arguments.items() if k in accepted},
        )
        for argument, value in arguments.items():
            setattr(self, argument, value)
        self._argument_names = tuple(arguments)
        self._config_dtype = dtype

    @property
    def _arguments(self) -> dict[str, Any]:
        """Arguments of the loss's function."""
        return {name: getattr(self, name) for name in self._argument_names}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        dtype = self._config_dtype
        if dtype is not None:
            policy = keras.dtype_policies.get(dtype)
            dtype = keras.dtype_policies.serialize(policy)
        arguments = {
            name: np.asarray(value).tolist()
            if isinstance(value, Sequence | np.ndarray | np.generic)
            else value
            for name, value in self._arguments.items()
        }
        return super().get_config() | arguments | {"dtype": dtype}
