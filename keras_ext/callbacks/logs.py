"""Reading Keras's logs, which hold whatever a `train_step` returns."""

from collections.abc import Mapping
from typing import Any


def numbers_in(logs: Mapping[Any, Any] | None) -> dict[Any, float]:
    """Return the entries of logs that are single numbers, as floats.

    A `train_step` of one's own may also return `None`, texts, arrays or
    dictionaries.
    """
    numbers = {}
    for key, value in (logs or {}).items():
        if isinstance(value, str | bytes) or len(getattr(value, "shape", ())):
            continue
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers
