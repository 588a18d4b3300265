"""Replacing attributes of one object for the length of a `with` block."""

import contextlib
from collections.abc import Iterator
from typing import Any

_MISSING = object()


@contextlib.contextmanager
def replaced(obj: Any, name: str, value: Any) -> Iterator[None]:
    """Let `obj.name` be `value` inside the block, on this instance only.

    The instance dictionary is written directly: Keras's own `__setattr__`
    would track the value and, on a built layer, refuse it. What stood there
    before stands there again afterwards, also after an exception.

    Args:
        obj: Object whose attribute is replaced.
        name: Name of the attribute.
        value: What stands there meanwhile.
    """
    attributes = vars(obj)
    before = attributes.get(name, _MISSING)
    attributes[name] = value
    try:
        yield
    finally:
        if before is _MISSING:
            del attributes[name]
        else:
            attributes[name] = before
