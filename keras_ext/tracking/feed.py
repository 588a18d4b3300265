"""Passing a monitor's records on to a run while they grow."""

from collections.abc import Mapping
from typing import Any

from keras_ext.tracking.writer import RunWriter


class Feed:
    """What of one monitor's records has been written.

    Args:
        monitor: Has `epochs` (for each key one value per epoch) and `steps`
            (for each key one value per sampled step, and their indices
            under `step`).
        is_behind: Whether the monitor's turn comes after the feed's, so that
            the values of an epoch are there only when the next one ends.
        with_steps: Whether to write values of single steps.
    """

    def __init__(self, monitor: Any, is_behind: bool, with_steps: bool):
        self.monitor = monitor
        self.is_behind = is_behind
        self.with_steps = with_steps
        self._steps = 0
        self._epochs: dict[str, int] = {}

    def send(
        self,
        writer: RunWriter,
        last_epoch: int,
        written: Mapping[str, Any],
    ) -> None:
        """Write what is new.

        Args:
            writer: Writes to the run.
            last_epoch: The epoch that the monitor finished last.
            written: Values of that epoch that have been written already.
        """
        for key, values in self.monitor.epochs.items():
            count = len(values)
            for index in range(self._epochs.get(key, 0), count):
                if index == count - 1 and key in written:
                    break
                epoch = last_epoch - (count - 1 - index)
                writer.metrics({key: values[index]}, epoch)
            self._epochs[key] = count
        if not self.with_steps:
            return
        series = self.monitor.steps
        steps = series.get("step", ())
        if len(steps) > self._steps:
            new = slice(self._steps, len(steps))
            for key, values in series.items():
                if key != "step":
                    writer.series(f"step/{key}", steps[new], values[new])
            self._steps = len(steps)
