"""Values of trials as numbers, and which of two scores is better."""

import math
from typing import Any

import numpy as np


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, and not a bool."""
    is_bool = isinstance(value, bool)
    is_real = isinstance(value, (int, float, np.number)) and not is_bool
    return is_real and bool(np.isfinite(value))


def as_number(value: Any) -> float:
    """Return a value as a float; NaN if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def sign_of(direction: str) -> int:
    """Return 1 if low scores are good, -1 if high ones are.

    Raises:
        ValueError: `direction` is neither `"min"` nor `"max"`.
    """
    if direction not in ("min", "max"):
        raise ValueError(
            f'`direction` must be "min" or "max". Received: {direction!r}'
        )
    return 1 if direction == "min" else -1


def best_line(name: str, score: float, direction: str, where: str = "") -> str:
    """Return the line of a title with the best score."""
    better = "lower" if direction == "min" else "higher"
    return f"best {name}: {score:.4g}{where} ({better} is better)"
