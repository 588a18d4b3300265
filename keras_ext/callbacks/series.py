"""Keeping measured values: whole curves in bounded memory."""

from collections.abc import Callable, Sequence

import numpy as np

Series = dict[str, np.ndarray]


class StepSeries:
    """A curve for each key, with at most `max_points` values each.

    A full series merges each two neighbours into one value. From then on, one
    value stands for twice as many samples. So the curve stays whole and
    evenly spaced, at half the resolution.

    Args:
        max_points: The largest number of values for each key, `None` for no
            limit.
        merge: Returns for a key the NumPy reduction, such as `np.max`, that
            merges neighbours.

    Attributes:
        samples_per_point: The number of samples behind one value.
    """

    def __init__(
        self, max_points: int | None, merge: Callable[[str], Callable]
    ):
        # Even, so that halving leaves pairs.
        self._room = max_points and max_points - max_points % 2
        self._merge = merge
        self._points: list[Series] = []
        self._count = 0
        # Samples that do not fill a point yet.
        self._rest: Series = {}
        self.samples_per_point = 1

    def add(self, block: Series) -> None:
        """Append samples.

        Args:
            block: For each key one value per sample.
        """
        if self._room is None:
            self._points.append(block)
            return
        block = joined([self._rest, block] if self._rest else [block])
        while True:
            size, length = self.samples_per_point, _length(block)
            take = min(length // size, self._room - self._count)
            if take:
                self._points.append(self._pooled(_cut(block, 0, take * size)))
                self._count += take
                block = _cut(block, take * size, length)
            if self._count < self._room:
                break
            self._points = [self._pooled(joined(self._points), 2)]
            self._count //= 2
            self.samples_per_point *= 2
        self._rest = block

    def values(self) -> Series:
        """Return for each key its values, as an array."""
        points = self._points = [joined(self._points)] if self._points else []
        if _length(self._rest):
            points = [*points, self._pooled(self._rest, _length(self._rest))]
        return dict(joined(points))

    def _pooled(self, block: Series, size: int | None = None) -> Series:
        size = size or self.samples_per_point
        if size == 1:
            return block
        pooled = {}
        for key, values in block.items():
            rows = values.reshape(-1, size)
            if key == "step":
                pooled[key] = rows[:, 0]
                continue
            with np.errstate(invalid="ignore"):  # infinity - infinity
                pooled[key] = self._merge(key)(rows, axis=1)
        return pooled


class Means:
    """The mean of each key over the samples of an epoch."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._sums: np.ndarray | float = 0.0
        self._count = 0

    def add(self, block: Series, counts: np.ndarray) -> None:
        """Add samples.

        Args:
            block: For each key one value per sample. All calls have the same
                keys.
            counts: Which of the samples enter the mean.
        """
        self._count += int(counts.sum())
        self._keys = [key for key in block if key != "step"]
        # One sum for all keys: there may be hundreds of them.
        values = np.array([block[key] for key in self._keys])
        values = values.reshape(len(self._keys), len(counts))
        with np.errstate(invalid="ignore"):  # infinity - infinity
            self._sums = self._sums + values[:, counts].sum(axis=1)

    def values(self) -> dict[str, float]:
        """Return the means; none if no sample entered them."""
        if not self._count:
            return {}
        means = np.asarray(self._sums / self._count).tolist()
        return dict(zip(self._keys, means, strict=True))


def joined(blocks: Sequence[Series]) -> Series:
    """Concatenate blocks."""
    if len(blocks) < 2:
        return blocks[0] if blocks else {}
    return {
        key: np.concatenate([block[key] for block in blocks])
        for key in blocks[0]
    }


def of_kind(series: Series, kind: str) -> Series:
    """Return the values of one kind of key by layer, `global` last."""
    own = {
        key.removeprefix(kind): values
        for key, values in series.items()
        if key.startswith(kind) and len(values)
    }
    if "global" in own:
        own["global"] = own.pop("global")
    return own


def _length(block: Series) -> int:
    return len(block["step"]) if block else 0


def _cut(block: Series, start: int, end: int) -> Series:
    return {key: values[start:end] for key, values in block.items()}
