"""Series of layers over time, ready for a figure."""

from collections.abc import Mapping, Sequence

import numpy as np

Series = Mapping[str, Sequence[float] | np.ndarray]
Steps = Sequence[int] | np.ndarray | None

_LONGEST_NAME = 36


def matrix(
    series: Series, prefix: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return series as a matrix, `global` last.

    Returns:
        The names of the layers; the values, of shape `(layers, times)`,
        filled up with NaN; and where a value was measured, even if it is NaN.

    Raises:
        ValueError: `series` is empty.
    """
    own = {key.removeprefix(prefix): v for key, v in series.items()}
    length = max((len(v) for v in own.values()), default=0)
    if length == 0:
        raise ValueError(
            "`epochs` must hold at least one value of one layer. "
            f"Received: epochs={dict(series)}"
        )
    if "global" in own:
        own["global"] = own.pop("global")
    values = np.full((len(own), length), np.nan)
    for row, numbers in zip(values, own.values(), strict=True):
        row[: len(numbers)] = numbers
    ends = np.array([len(numbers) for numbers in own.values()])
    return list(own), values, np.arange(length) < ends[:, None]


def short_names(names: Sequence[str]) -> list[str]:
    """Cut long paths in the middle, as far as they stay different."""
    limit = _LONGEST_NAME
    while True:
        half = (limit - 1) // 2
        short = [
            name if len(name) <= limit else f"{name[:half]}…{name[-half:]}"
            for name in names
        ]
        if len(set(short)) == len(set(names)):
            return short
        limit += 8
