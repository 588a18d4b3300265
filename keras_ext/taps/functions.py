"""ReLUs that a person's own code calls as plain functions.

A layer's `call` may well be `return keras.ops.relu(self.dense(x))`: no
object stands for that ReLU. Whatever name it is called by, Keras's functions
look up that of the backend's library at the moment of the call, so it is
there, and for the length of a training step or its trace, that a function
which captures takes its place.
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
    """Return whether calling it may run code that only a person knows.

    Args:
        thing: A layer or a function.
    """
    if isinstance(thing, keras.layers.TorchModuleWrapper):
        return True
    if isinstance(thing, keras.layers.Layer):
        thing = type(thing).call
    if not callable(thing):
        return False
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    return package not in _KNOWN_PACKAGES


class Running:
    """Whose code is running, and so whose ReLUs are captured.

    Args:
        capture: Called with an owner, the number of ReLUs that this call of it
            has called before, and a ReLU's output; returns what takes the
            output's place.
    """

    def __init__(self, capture: Callable[[Any, int, Tensor], Tensor]):
        self._capture = capture
        # A layer may be computed anew by another thread, for its gradient.
        self._of_thread = threading.local()

    def owned(self, owner: Any, call: Callable) -> Callable:
        """Return `call`, whose ReLUs belong to the owner.

        Args:
            owner: What `capture` is told; `None` leaves the ReLUs uncaptured.
            call: A function.
        """

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
        """Listen to ReLUs for the length of the block."""
        with contextlib.ExitStack() as stack:
            for module in modules():
                for name in _RELUS:
                    if hasattr(module, name):
                        captured = self._captured(getattr(module, name))
                        stack.enter_context(replaced(module, name, captured))
            yield

    def _captured(self, relu: Callable) -> Callable:
        # One such function may call another.
        alone = self.owned(None, relu)

        @functools.wraps(relu, updated=())
        def call_and_capture(*args: Any, **kwargs: Any) -> Any:
            output = alone(*args, **kwargs)
            calls = vars(self._of_thread)["calls"]
            if not calls or calls[-1][0] is None:
                return output
            owner, count = calls[-1]
            calls[-1][1] += 1
            return self._capture(owner, count, output)

        return call_and_capture
