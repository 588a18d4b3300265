"""A guard that keeps Ctrl-C from getting lost."""

import signal
import threading
from typing import Any


class InterruptGuard:
    """Context manager that raises swallowed `KeyboardInterrupt`s again.

    Python drops an exception that is raised in a destructor or in a callback
    of `gc`, and some libraries catch all exceptions while they are imported.
    `check` and the end of the guard raise the interrupt again. The guard does
    nothing outside the main thread, or where the handler of SIGINT is not
    Python's own.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._installed = False

    def __enter__(self) -> "InterruptGuard":
        self._pressed = False
        handler = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._installed = False
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise if Ctrl-C was pressed and the work continued all the same."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: Any) -> None:
        self._pressed = True
        signal.default_int_handler(number, frame)
