"""Reading what may not be there."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def tried(read: Callable[[], Result], default: Result) -> Result:
    """Return what `read` returns, `default` if it fails.

    Models are a person's own code: anything may be raised.
    """
    try:
        return read()
    except Exception:
        return default
