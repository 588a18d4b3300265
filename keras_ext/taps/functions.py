"""Capturing the ReLUs that a person's own code calls as plain functions.

A layer's `call` may be `return keras.ops.relu(self.dense(x))`: no object
stands for that ReLU. All of Keras's ReLU functions look up the function of
the backend's library when they are called. So a capturing function replaces
the library's function during a training step or its trace.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import keras

from keras_ext.taps.patch import replaced

Tensor = Any

_RELUS = ("relu", "relu_", "relu6")
_KNOWN_PACKAGES = ("keras", "keras_ext", "tensorflow", "jax", "torch")


def modules() -> list[ModuleType]:
    """Return the modules of the backend's library that have activations."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return [tf.nn]
    if backend == "jax":
        import jax

        return [jax.nn]
    import torch

    return [torch, torch.nn.functional]


def is_someones_own(thing: Any) -> bool:
    """Return whether a layer or function may run a person's own code."""
    if isinstance(thing, keras.layers.TorchModuleWrapper):
        return True
    if isinstance(thing, keras.layers.Layer):
        thing = type(thing).call
    if not callable(thing):
        return False
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    return package not in _KNOWN_PACKAGES


class ReluCapture:
    """Captures each ReLU under the owner of the code that calls it.

    Args:
        capture: Called with the owner, the number of ReLUs that this call of
            the owner has run before, the ReLU's arguments and its output.
            Returns the tensor that replaces the output.
    """

    def __init__(self, capture: Callable[[Any, int, Any, Tensor], Tensor]):
        self._capture = capture
        # Recomputation for a gradient may run a layer in another thread.
        self._of_thread = threading.local()

    def owned(self, owner: Any, call: Callable) -> Callable:
        """Return `call` with its ReLUs under the owner, `None` for no one."""

        @functools.wraps(call, updated=())
        def call_as_owner(*args: Any, **kwargs: Any) -> Any:
            calls = vars(self._of_thread).setdefault("calls", [])
            calls.append([owner, 0])
            try:
                return call(*args, **kwargs)
            finally:
                calls.pop()

        return call_as_owner

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Capture the library's ReLUs inside the block."""
        with contextlib.ExitStack() as stack:
            for module in modules():
                for name in _RELUS:
                    if hasattr(module, name):
                        relu = self._capturing_relu(getattr(module, name))
                        stack.enter_context(replaced(module, name, relu))
            yield

    def _capturing_relu(self, relu: Callable) -> Callable:
        # One of the functions may call another one.
        alone = self.owned(None, relu)

        @functools.wraps(relu, updated=())
        def call_and_capture(*args: Any, **kwargs: Any) -> Any:
            output = alone(*args, **kwargs)
            calls = vars(self._of_thread)["calls"]
            if not calls or calls[-1][0] is None:
                return output
            owner, count = calls[-1]
            calls[-1][1] += 1
            return self._capture(owner, count, (args, kwargs), output)

        return call_and_capture
