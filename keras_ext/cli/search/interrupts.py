"""Letting no Ctrl-C get lost."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def kept_until_the_end() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the end if what it met swallowed it.

    Some libraries catch everything while they are imported, and Ctrl-C with
    it.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        # Ctrl-C is ignored here, or somebody else's business.
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
