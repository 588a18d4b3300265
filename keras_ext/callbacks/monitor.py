"""What the monitors have in common."""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ext import taps
from keras_ext.callbacks import fit_scope

Series = dict[str, np.ndarray]

# Of the keys of these kinds the progress bar shows `<kind>global` alone.
KEY_KINDS = ("grad_norm/", "dead_relu/", "zero_fraction/")


class Monitor(keras.callbacks.Callback):
    """Base class of the callbacks that measure inside the training step.

    The monitors of one `fit` share one tap (see `keras_ext/taps/README.md`),
    which the first of them handles. What was measured stays on the device
    and is fetched in blocks, at the latest at the end of each epoch.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to measure, `None` for all. The
            name of a nested model stands for the layers in it. Defaults to
            `None`.
    """

    # What belongs to one `fit` and is not copied with the callback.
    _OF_THIS_FIT = ("_model", "_gauge", "_tap", "_team")

    def __init__(
        self, every_n_steps: int = 10, layers: Sequence[str] | None = None
    ):
        super().__init__()
        if not isinstance(every_n_steps, int) or every_n_steps < 1:
            raise ValueError(
                "`every_n_steps` must be a positive integer. "
                f"Received: every_n_steps={every_n_steps!r}"
            )
        if isinstance(layers, str):
            raise ValueError(
                "`layers` must be a list of layer names or `None`. "
                f"Received: layers={layers!r}"
            )
        self.every_n_steps = every_n_steps
        self.layers = None if layers is None else list(layers)
        self._gauge: Any = None
        self._tap: taps.Tap | None = None
        self._team: list[Monitor] | None = None
        self._blocks: list[Series] = []
        self._epoch_blocks: list[Series] = []
        self._epochs: dict[str, list[float]] = {}
        self._first_step = 0
        self._steps_done = 0
        self._steps_seen = 0
        self._forget()

    @abc.abstractmethod
    def _renewed_gauge(self, model: Any) -> Any:
        """Return what measures the model, or `None` if there is nothing.

        The gauge of the last `fit` if it measures just that: its trace can
        be used again.
        """

    @abc.abstractmethod
    def _step_values(self, rows: np.ndarray) -> Series:
        """Return, for each key, one value per row of the gauge."""

    @abc.abstractmethod
    def _epoch_values(self, steps: Series) -> dict[str, float]:
        """Return, for each key, the value of an epoch from its steps."""

    @property
    def steps(self) -> Series:
        """One value per sampled step for each key.

        `steps["step"]` holds the steps' indices, counted from 0 at the
        beginning of `fit`. Read in mid-epoch it waits for the device.
        """
        self._fetch()
        self._blocks = [_joined(self._blocks)]
        return dict(self._blocks[0])

    @property
    def epochs(self) -> Series:
        """One value per epoch for each key."""
        return {key: np.array(v) for key, v in self._epochs.items()}

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the places to measure and the monitors to share a tap with."""
        self._forget()
        taps.Tap.release(self._model)
        self._gauge = self._renewed_gauge(self._model)
        self._team = [self]
        callback_list = fit_scope.current_callback_list()
        if callback_list is not None:
            monitors = [
                c for c in callback_list.callbacks if isinstance(c, Monitor)
            ]
            if self in monitors:
                self._team = monitors
            fit_scope.keep_off_progress_bar(callback_list, _is_detail)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count the steps of the epoch."""
        self._first_step += self._steps_done
        self._steps_done = self._steps_seen = 0
        self._epoch_blocks = []
        if self._leads():
            self._shared_tap().begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Let the coming step be measured."""
        if self._leads():
            self._shared_tap().arm()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Fetch what was measured if the device holds enough of it."""
        if self._leads():
            self._shared_tap().step_done()
        if self._gauge is None:
            return
        self._steps_seen += self._model.steps_per_execution
        if self._gauge.store.is_full(self._steps_seen):
            self._fetch()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epoch's values into the logs."""
        self._fetch()
        if not self._epoch_blocks:
            return
        values = self._epoch_values(_joined(self._epoch_blocks))
        for key, value in values.items():
            self._epochs.setdefault(key, []).append(value)
        if logs is not None:
            logs.update(values)

    def on_train_end(self, logs: Any = None) -> None:
        """Fetch the rest and let go of the model's train function."""
        self._fetch()
        if self._tap is not None:
            self._tap.disarm()

    def _forget(self) -> None:
        self._blocks = []
        self._epoch_blocks = []
        self._epochs = {}
        self._first_step = 0
        self._steps_done = 0
        self._steps_seen = 0

    def _can_go_on(self, model: Any, points: Sequence[Any]) -> bool:
        """Return whether the gauge of the last `fit` measures the points."""
        return (
            self._gauge is not None
            and self._gauge.every_n_steps == self.every_n_steps
            and self._gauge.steps_per_execution == model.steps_per_execution
            and self._gauge.measures(points)
        )

    def _leads(self) -> bool:
        return self._team is not None and self._team[0] is self

    def _shared_tap(self) -> taps.Tap:
        """Return the team's tap, made when the whole team is ready."""
        assert self._team
        lead = self._team[0]
        gauges = [m._gauge for m in self._team if m._gauge is not None]
        if lead._tap is None or not lead._tap.serves(self._model, gauges):
            lead._tap = taps.Tap(self._model, gauges)
        return lead._tap

    def _fetch(self) -> None:
        tap = self._team[0]._tap if self._team else None
        if self._gauge is None or tap is None:
            return
        self._steps_done = tap.steps_done()
        index, rows = self._gauge.store.take()
        if len(index):
            step = {"step": self._first_step + index}
            block = step | self._step_values(rows)
            self._blocks.append(block)
            self._epoch_blocks.append(block)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | dict.fromkeys(self._OF_THIS_FIT)


def _joined(blocks: list[Series]) -> Series:
    if not blocks:
        return {}
    return {
        key: np.concatenate([block[key] for block in blocks])
        for key in blocks[0]
    }


def _is_detail(key: str) -> bool:
    return key.startswith(KEY_KINDS) and not key.endswith("/global")
