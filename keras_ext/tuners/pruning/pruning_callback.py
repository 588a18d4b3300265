"""Ending a `fit` that is hopeless or falls behind."""

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_ext.callbacks import TrainingDoctor
from keras_ext.callbacks.logs import numbers_in
from keras_ext.doctor import Finding
from keras_ext.tuners.pruning.prognosis import BROKEN, Prognosis


class PruningCallback(keras.callbacks.Callback):
    """Sets `stop_training` when the doctor or a pruner gives up a trial.

    It ends `fit` after a batch if the doctor finds NaN, otherwise after an
    epoch, and stands after the doctor among the callbacks. A `HyperModel.fit`
    that calls `fit` again for the same trial gets one more step each time.

    Args:
        objective: A `keras_tuner.Objective`.
        judge: Takes an epoch, counted from 0, and the objective's value;
            returns why the trial falls behind, or `None`.
        doctor: The doctor whose findings count, or `None`.

    Attributes:
        reason: Why `fit` was ended; `None` if it was not.
        finding: The doctor's finding that ended it, if one did.
        best_logs: The logs of the epoch with the objective's best value,
            empty if no epoch had a finite one. An epoch with numbers that are
            not finite does not count.
    """

    def __init__(
        self,
        objective: Any,
        judge: Callable[[int, float], str | None],
        doctor: TrainingDoctor | None = None,
    ):
        super().__init__()
        self._objective = objective
        self._judge = judge
        self._doctor = doctor
        self._prognosis = Prognosis()
        self._seen: list[Finding] | None = None
        self._epoch = 0
        self._best: float | None = None
        self.reason: str | None = None
        self.finding: Finding | None = None
        self.best_logs: dict[str, float] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        """Stop again if the trial was given up."""
        self._prognosis = Prognosis()
        if self.reason is not None:
            self.model.stop_training = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Store the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End a training whose numbers are not finite."""
        doctor = self._doctor
        if doctor is None or doctor.findings is self._seen:
            return
        self._seen = doctor.findings
        if self.reason is None and doctor.findings:
            self._end_if(
                self._prognosis.is_broken(doctor.findings, doctor.history)
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """End a training that is hopeless or falls behind."""
        logs = numbers_in(logs)
        doctor, behind = self._doctor, None
        if self.reason is None and doctor is not None:
            self._end_if(
                self._prognosis.at_epoch_end(doctor.findings, doctor.history)
            )
        if self._objective.has_value(logs):
            value = float(self._objective.get_value(logs))
            if self.finding and self.finding.problem == BROKEN:
                # A model of NaN still has an accuracy.
                value = math.nan
            self._update_best(value, logs)
            behind = self._judge(epoch, value)
        if self.reason is None and behind is not None:
            self._end(behind)

    def _end_if(self, finding: Finding | None) -> None:
        if finding is not None:
            self.finding = finding
            where = "" if finding.layer is None else f" in {finding.layer}"
            self._end(f"{finding.problem}{where} (epoch {self._epoch})")

    def _end(self, reason: str) -> None:
        self.reason = f"pruned: {reason}"
        self.model.stop_training = True

    def _update_best(self, value: float, logs: dict[str, Any]) -> None:
        if math.isfinite(value) and (
            self._best is None or self._objective.better_than(value, self._best)
        ):
            self._best = value
            self.best_logs = {key: float(x) for key, x in logs.items()}
