"""Keeping measured values: whole curves in bounded memory.

A layer may have no value in some steps: it was frozen, or the step did not
use it. Such places are masked, see `numpy.ma`. NaN is a measured value.
"""

from collections.abc import Callable, Iterable, Sequence

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
        """Return for each key its values, masked where it has none."""
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
        self._sums = np.zeros(0)
        self._counts = np.zeros(0, int)

    def add(self, block: Series, counts: np.ndarray) -> None:
        """Add samples.

        Args:
            block: For each key one value per sample.
            counts: Which of the samples enter the mean.
        """
        keys = [key for key in block if key != "step"]
        if keys != self._keys:
            keys = self._extend(keys)
        # One sum for all keys: there may be hundreds of them.
        columns = [block.get(key, masked(len(counts))) for key in keys]
        values = np.array(columns).reshape(len(keys), len(counts))[:, counts]
        there = np.broadcast_to(True, values.shape)
        if any(map(np.ma.isMaskedArray, columns)):
            there = ~np.array([np.ma.getmaskarray(c)[counts] for c in columns])
        with np.errstate(invalid="ignore"):  # infinity - infinity
            self._sums += np.where(there, values, 0.0).sum(axis=1)
        self._counts += there.sum(axis=1)

    def values(self) -> dict[str, float]:
        """Return the means, without keys of which no sample entered."""
        return {
            key: float(total) / int(count)
            for key, total, count in zip(
                self._keys, self._sums, self._counts, strict=True
            )
            if count
        }

    def _extend(self, keys: list[str]) -> list[str]:
        before, self._keys = self._keys, merged(self._keys, keys)
        place = [self._keys.index(key) for key in before]
        sums, counts = np.zeros(len(self._keys)), np.zeros(len(self._keys), int)
        sums[place], counts[place] = self._sums, self._counts
        self._sums, self._counts = sums, counts
        return self._keys


def masked(length: int) -> np.ndarray:
    """Return an array without a value in any place."""
    return np.ma.array(np.full(length, np.nan), mask=True)


def filled(series: Series) -> Series:
    """Return plain arrays, with NaN where there is no value."""
    return {
        key: np.ma.filled(values, np.nan)
        if np.ma.isMaskedArray(values)
        else values
        for key, values in series.items()
    }


def merged(keys: Iterable[str], more: Iterable[str]) -> list[str]:
    """Return all keys in an order that fits both orders, if there is one."""
    result = list(keys)
    known = set(result)
    place = 0
    for key in more:
        if key in known:
            place = result.index(key) + 1
        else:
            result.insert(place, key)
            place += 1
    return result


def joined(blocks: Sequence[Series]) -> Series:
    """Concatenate blocks; a key is masked in the blocks that lack it."""
    if len(blocks) < 2:
        return blocks[0] if blocks else {}
    keys = list(blocks[0])
    for block in blocks:
        if block.keys() != blocks[0].keys():
            keys = merged(keys, block)
    return {
        key: _concatenated(
            [b[key] if key in b else masked(_length(b)) for b in blocks]
        )
        for key in keys
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


def _concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    if any(map(np.ma.isMaskedArray, parts)):
        return np.ma.concatenate(parts)
    return np.concatenate(parts)


def _length(block: Series) -> int:
    return len(block["step"]) if block else 0


def _cut(block: Series, start: int, end: int) -> Series:
    return {key: values[start:end] for key, values in block.items()}
