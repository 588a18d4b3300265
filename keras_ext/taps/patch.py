"""Replacing attributes of objects for the length of a `with` block."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

_MISSING = object()


@contextlib.contextmanager
def replaced(obj: Any, name: str, value: Any) -> Iterator[None]:
    """Let `obj.name` be `value` inside the block, on this instance only.

    See `all_replaced`.

    Args:
        obj: Object whose attribute is replaced.
        name: Name of the attribute.
        value: What stands there meanwhile.
    """
    with all_replaced([(obj, name, value)]):
        yield


@contextlib.contextmanager
def all_replaced(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Replace attributes inside the block, on these instances only.

    The instance dictionary is written directly: Keras's own `__setattr__`
    would track the value and, on a built layer, refuse it. What stood there
    before stands there again afterwards, also after an exception.

    Args:
        changes: Objects, names of their attributes, and what stands there
            meanwhile. A value may be found when its turn comes.
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
