"""Replacing attributes of objects inside a `with` block."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

_MISSING = object()


@contextlib.contextmanager
def replaced(obj: Any, name: str, value: Any) -> Iterator[None]:
    """Set one attribute inside the block, see `all_replaced`."""
    with all_replaced([(obj, name, value)]):
        yield


@contextlib.contextmanager
def all_replaced(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set attributes inside the block, on these instances only.

    The function writes the instance dictionaries: Keras's own `__setattr__`
    would track the value and, on a built layer, refuse it. The old values
    return after the block, also after an exception. A generator of changes
    may compute a value after the values before it are set.
    """
    done = []
    try:
        for obj, name, value in changes:
            attributes = vars(obj)
            done.append((attributes, name, attributes.get(name, _MISSING)))
            attributes[name] = value
        yield
    finally:
        for attributes, name, before in reversed(done):
            if before is _MISSING:
                attributes.pop(name, None)
            else:
                attributes[name] = before
