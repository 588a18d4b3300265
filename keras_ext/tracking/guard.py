"""Ending the run of a training that died."""

import atexit
import os
import sys
import threading
import weakref
from typing import Any, Protocol

_open: set["RunGuard"] = set()


class Ends(Protocol):
    """An object that can end a run, such as a `RunWriter`."""

    def end(self, status: str) -> None:
        """End it, without waiting."""


class RunGuard:
    """Ends a run as FAILED or KILLED unless it was ended before.

    Keras calls no method of a callback when `fit` dies. So the guard watches
    three things: an object that lives as long as `fit`, the end of the
    notebook cell, and the end of the process. It does not wait: the writer's
    thread sends the status.

    Args:
        writer: Ends the run.
        watched: An object that lives as long as the training.
    """

    def __init__(self, writer: Ends, watched: Any = None):
        self.writer = writer
        self._thread = threading.get_ident()
        self._before = {id(error) for error in _last_errors()}
        _open.add(self)
        if watched is not None:
            # At exit `_end_all` comes first: its status is still sent.
            weakref.finalize(watched, self.died).atexit = False
        self._events = _notebook_events()
        if self._events is not None:
            self._events.register("post_run_cell", self._cell_ended)

    def release(self) -> None:
        """Stop watching: the caller ends the run."""
        _open.discard(self)
        if self._events is not None:
            self._events.unregister("post_run_cell", self._cell_ended)
            self._events = None

    def died(self, error: BaseException | None = None) -> None:
        """End the run, unless the guard was released.

        KILLED is for Ctrl-C: an `error`, or an exception that nothing caught
        and Python keeps.
        """
        if self in _open:
            self.release()
            errors = [e for e in _last_errors() if id(e) not in self._before]
            killed = any(
                isinstance(e, KeyboardInterrupt) for e in (error, *errors)
            )
            self.writer.end("KILLED" if killed else "FAILED")

    def _cell_ended(self, result: Any) -> None:
        # A notebook keeps the exception, and with it all objects of `fit`.
        # Work in another thread may outlive the cell that began it.
        if threading.get_ident() == self._thread:
            self.died(result.error_in_exec)


def _last_errors() -> list[BaseException]:
    errors = (sys.exc_info()[1], getattr(sys, "last_value", None))
    return [error for error in errors if error is not None]


def _notebook_events() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "events", None)


@atexit.register
def _end_all() -> None:
    for guard in list(_open):
        guard.died()


# The end of a forked child is not the end of its parent's training.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
