"""Ctrl-C during imports and data loading."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def kept_until_the_end() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the end if a library swallowed it.

    Some libraries catch every exception while they are imported.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        # Ctrl-C is ignored, or has another handler.
        yield
        return
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt
