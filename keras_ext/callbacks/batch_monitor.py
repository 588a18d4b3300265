"""Measuring the batches of data, and the loss of each step."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_ext import taps
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series
from keras_ext.doctor.run_history import BatchFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The number of sampled batches that `batch` summarizes.
_FIRST = 32
# The places of the statistics in a row of the gauge.
_WIDTH = len(taps.batch_gauge.STATISTICS)
_X = {name: i for i, name in enumerate(taps.batch_gauge.STATISTICS)}
_Y = {name: _WIDTH + i for name, i in _X.items()}
_LOSS = 2 * _WIDTH


class BatchMonitor(Monitor):
    """Measures the loss of the steps, and the first batches of data.

    Keras's steps return as `loss` the mean since the epoch began. `loss` in
    `steps` is the mean over the steps since the previous sampled step.

    Attributes:
        classes: The number of classes of the targets, or 0.
        running_mean: Whether the step returns a running mean.
        bad_batch: The first batch with entries that are not finite, in the
            form of `batch`, or `None`.
    """

    _OF_THIS_FIT = (*Monitor._OF_THIS_FIT, "_loss_tracker")
    _TABLES = {"loss": "Loss"}

    def __init__(
        self,
        every_n_steps: int | Literal["auto"] = "auto",
        max_points: int | None = 4096,
    ):
        self.classes = 0
        self.running_mean = True
        super().__init__(every_n_steps, None, max_points)

    def plot(self) -> "Figure":
        """Raise an error: the doctor's report shows the values."""
        raise NotImplementedError

    def _reset(self) -> None:
        super()._reset()
        self._first: list[np.ndarray] = []
        self.bad_batch: BatchFacts | None = None
        # Steps up to the last sampled one, and their total loss, since the
        # running mean began; steps when the counting began anew.
        self._seen = (0, 0.0)
        self._before = 0
        self._loss_tracker: Any = None
        self._features = 0
        self._y_units: int | None = None

    def _merge(self, key: str) -> Callable:
        return np.mean

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the steps from zero."""
        super().on_epoch_begin(epoch, logs)
        self._seen, self._before = (0, 0.0), 0

    def _count_from_zero(self) -> None:
        self._before += self._steps_done
        super()._count_from_zero()

    def _make_gauge(self, model: Any) -> Any:
        tracker = next(iter(model.metrics), None)
        if tracker is not self._loss_tracker:
            # The model was compiled, and has a new running mean.
            self._loss_tracker = tracker
            self._seen, self._before = (0, 0.0), 0
        return self._reused_or_new(taps.BatchGauge, model, self.classes)

    @property
    def batch(self) -> BatchFacts | None:
        """Facts about the first sampled batches, `None` before them."""
        return self._facts(_pooled(self._first)) if self._first else None

    def _step_values(self, rows: np.ndarray) -> Series:
        self._features = self._gauge.features
        self._y_units = self._gauge.y_units
        self._first += list(rows[: _FIRST - len(self._first)])
        for row in rows:
            if self.bad_batch is None and (
                row[_X["nonfinite"]] > 0 or row[_Y["nonfinite"]] > 0
            ):
                self.bad_batch = self._facts(row)
        return {"loss": rows[:, _LOSS]}

    def _complete(self, block: Series, index: np.ndarray) -> None:
        if not self.running_mean:
            return
        count, total = self._seen
        since = self._before + index + 1
        counts = np.concatenate([[count], since])
        totals = np.concatenate([[total], block["loss"] * since])
        self._seen = int(counts[-1]), float(totals[-1])
        with np.errstate(invalid="ignore"):  # infinity - infinity
            block["loss"] = np.diff(totals) / np.diff(counts)

    def _facts(self, row: np.ndarray) -> BatchFacts:
        size, features = row[_LOSS + 1], self._features
        rest = row[_LOSS + 3 :]
        names = [name for name in _X if name != "fraction"]
        return BatchFacts(
            **{f"x_{name}": float(row[_X[name]]) for name in names},
            **{f"y_{name}": float(row[_Y[name]]) for name in names},
            y_unit_std=float(row[_LOSS + 2]),
            y_units=self._y_units,
            y_whole=bool(row[_Y["fraction"]] == 0.0),
            feature_scales=rest[:features],
            class_shares=rest[features:],
            size=int(size) if np.isfinite(size) else 0,
        )


def _pooled(rows: list[np.ndarray]) -> np.ndarray:
    """Return one row for several batches."""
    table = np.stack(rows)
    pooled = table.mean(axis=0)
    for side in (_X, _Y):
        means, deviations = table[:, side["mean"]], table[:, side["std"]]
        pooled[side["low"]] = table[:, side["low"]].min()
        pooled[side["high"]] = table[:, side["high"]].max()
        pooled[side["std"]] = np.sqrt(np.mean(deviations**2) + means.var())
    pooled[_LOSS + 1] = table[0, _LOSS + 1]
    pooled[_LOSS + 2] = np.sqrt(np.mean(table[:, _LOSS + 2] ** 2))
    return pooled
