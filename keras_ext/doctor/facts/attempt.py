"""Reading what may be missing."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def tried(read: Callable[[], Result], default: Result) -> Result:
    """Return what `read` returns, or `default` if it fails.

    Models are custom code, which may raise anything.
    """
    try:
        return read()
    except Exception:
        return default
