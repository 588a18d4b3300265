"""Replacing attributes of one object for the length of a `with` block."""

import contextlib
from collections.abc import Callable, Iterator
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


def listened(function: Callable, listen: Callable[[Any], None]) -> Callable:
    """Return `function`, followed by `listen(result)` at each call."""

    def call_and_listen(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        listen(result)
        return result

    return call_and_listen
