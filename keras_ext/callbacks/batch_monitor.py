"""Recording what the batches look like, and the loss on each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext import taps
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series
from keras_ext.doctor.records import BatchFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BatchMonitor(Monitor):
    """Records the loss between sampled steps, and the first batch.

    What a step of Keras's returns as `loss` is the mean since the epoch
    began. `loss` in `steps` is the mean over the steps since the sampled
    one before.

    Args:
        every_n_steps: See `Monitor`.
        max_points: See `Monitor`.

    Attributes:
        classes: Number of classes that the targets tell, or 0.
        running_mean: Whether the step returns a running mean.
        batch: What the first batch looks like; `None` before that.
        bad_batch: The same of the first batch with entries that are not
            finite, or `None`.
    """

    _TABLES = {"loss": "Loss"}

    def __init__(self, every_n_steps: int = 10, max_points: int | None = 4096):
        self.classes = 0
        self.running_mean = True
        super().__init__(every_n_steps, None, max_points)

    def plot(self) -> "Figure":
        """Not done here: the doctor's report shows it."""
        raise NotImplementedError

    def _forget(self) -> None:
        super()._forget()
        self.batch: BatchFacts | None = None
        self.bad_batch: BatchFacts | None = None
        self._seen = (0, 0.0)

    def _merge(self, key: str) -> Callable:
        return np.mean

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the steps from zero."""
        super().on_epoch_begin(epoch, logs)
        self._seen = (0, 0.0)

    def _renewed_gauge(self, model: Any) -> Any:
        if self._can_go_on(model, self.classes):  # type: ignore[arg-type]
            return self._gauge
        return taps.BatchGauge(
            self.classes, self.every_n_steps, model.steps_per_execution
        )

    def _step_values(self, rows: np.ndarray) -> Series:
        width = len(taps.batch_gauge.STATISTICS)
        for row in rows:
            if self.batch is None:
                self.batch = self._facts(row)
            if self.bad_batch is None and not (
                row[4] == 0.0 and not row[width + 4] > 0.0
            ):
                self.bad_batch = self._facts(row)
        return {"loss": rows[:, 2 * width]}

    def _complete(self, block: Series, index: np.ndarray) -> None:
        if not self.running_mean:
            return
        count, total = self._seen
        counts = np.concatenate([[count], index + 1])
        totals = np.concatenate([[total], block["loss"] * (index + 1)])
        self._seen = int(counts[-1]), float(totals[-1])
        with np.errstate(invalid="ignore"):  # infinity - infinity
            block["loss"] = np.diff(totals) / np.diff(counts)

    def _facts(self, row: np.ndarray) -> BatchFacts:
        width = len(taps.batch_gauge.STATISTICS)
        x, y, (_, size), rest = np.split(row, [width, 2 * width, 2 * width + 2])
        features = self._gauge.features
        return BatchFacts(
            **{f"x_{k}": v for k, v in _named(x).items() if k != "fraction"},
            **{f"y_{k}": v for k, v in _named(y).items() if k != "fraction"},
            y_units=self._gauge.y_units,
            y_whole=bool(y[-1] == 0.0),
            feature_scales=rest[:features],
            class_shares=rest[features:],
            size=int(size) if np.isfinite(size) else 0,
        )


def _named(numbers: np.ndarray) -> dict[str, float]:
    names = taps.batch_gauge.STATISTICS
    return dict(zip(names, map(float, numbers), strict=True))
