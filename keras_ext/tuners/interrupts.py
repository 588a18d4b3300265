"""Letting no Ctrl-C get lost in a search."""

import signal
import threading
from typing import Any

import keras


class Interrupts:
    """Raises a `KeyboardInterrupt` again that something swallowed.

    Python drops an exception that is raised in a destructor or in a callback
    of the garbage collector, and there is much of both between two trials.
    A context manager; the handler of SIGINT is changed inside it, unless it
    is not Python's own or the thread is not the main one.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._changed = False

    def __enter__(self) -> "Interrupts":
        handler = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._changed = True
        return self

    def __exit__(self, *error: Any) -> None:
        if self._changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._changed = False

    def check(self) -> None:
        """Raise if Ctrl-C was pressed and the work goes on all the same."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: Any) -> None:
        self._pressed = True
        signal.default_int_handler(number, frame)


class InterruptCheck(keras.callbacks.Callback):
    """Checks at the end of each epoch.

    Args:
        interrupts: What to check.
    """

    def __init__(self, interrupts: Interrupts):
        super().__init__()
        self._interrupts = interrupts

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Raise if a Ctrl-C was swallowed."""
        self._interrupts.check()
