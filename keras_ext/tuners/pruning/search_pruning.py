"""Early ends of a search's trials, and the scores of these trials."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ext._files import write_whole
from keras_ext.callbacks import TrainingDoctor
from keras_ext.doctor import Finding
from keras_ext.tuners.pruning.curves import PRUNED, UNSCORED, Curves
from keras_ext.tuners.pruning.pruners import Pruner
from keras_ext.tuners.pruning.pruning_callback import PruningCallback
from keras_ext.tuners.results import best_value

# The score while no trial of the search has one.
_NO_SCORE = {"min": 1e6, "max": -1e6}


@dataclasses.dataclass(eq=False)
class TrialPruned(Exception):
    """Ends a trial that was given up, with its remaining executions.

    `metrics` are those of epoch `step`, with the objective, for the oracle.
    `scored` is whether the objective's value is the trial's own.
    """

    reason: str
    metrics: dict[str, float]
    step: int
    finding: Finding | None
    scored: bool


class SearchPruning:
    """Watches the trials of a search, and stores their reported values.

    For the oracle, a pruned trial is completed. Its score is the mean, over
    the folds or executions that it began, of the best finite value of the
    objective. A trial without such a value, NaN in its first epoch for
    example, gets the worst score that another trial has of its own, and a new
    one if a still worse trial comes. Oracles then avoid its values, and those
    that fit a function to the scores meet no outlier.
    """

    def __init__(
        self,
        folder: Path,
        oracle: Any,
        stop_unhealthy: bool = False,
        pruner: Pruner | None = None,
    ):
        self.oracle = oracle
        self.objective = oracle.objective
        self.stop_unhealthy = stop_unhealthy
        self.pruner = pruner
        self.curves = Curves(folder / "pruning.jsonl", self.objective.direction)
        self._logs: list[dict[str, float]] = []
        self._ender: PruningCallback | None = None
        self._warned = False

    @property
    def is_on(self) -> bool:
        """Whether anything can end a trial."""
        return self.stop_unhealthy or self.pruner is not None

    def begin_execution(
        self,
        trial_id: str,
        execution: int,
        callbacks: Iterable[keras.callbacks.Callback],
    ) -> tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]:
        """Return the callbacks that watch an execution.

        The first ones (a doctor, if `callbacks` lacks one) belong before the
        other callbacks, the second ones, which end `fit`, after them.
        """
        self._ender = None
        if not self.is_on:
            return [], []
        if execution == 0:
            self._logs = []
        doctors = [c for c in callbacks if isinstance(c, TrainingDoctor)]
        added: list[keras.callbacks.Callback] = []
        if self.stop_unhealthy and not doctors:
            doctors = [TrainingDoctor(on_finding=_ignore)]
            added = [*doctors]

        def judge(epoch: int, value: float) -> str | None:
            return self._judge(trial_id, execution, epoch, value)

        self._ender = PruningCallback(
            self.objective, judge, doctors[0] if self.stop_unhealthy else None
        )
        return added, [self._ender]

    def end_execution(self, trial_id: str, result: Any) -> None:
        """Raise `TrialPruned` if the execution was pruned.

        `result` is that of `HyperModel.fit`.
        """
        ender = self._ender
        if ender is None:
            return
        self._logs.append(ender.best_logs)
        if ender.reason is None:
            self._warn_if_unreported(trial_id)
            return
        metrics = _mean([logs for logs in self._logs if logs])
        score = self.curves.score(trial_id)
        if score is None and not isinstance(result, keras.callbacks.History):
            # A user's `fit` may return a value that the logs do not have.
            value = best_value(result, self.objective)
            score = None if value is None else (value, 0)
        self.curves.end(trial_id, UNSCORED if score is None else PRUNED)
        value, step = score or (self._worst_score(), 0)
        for name in getattr(self.objective, "name_to_direction", ()):
            metrics.setdefault(name, value)
        metrics[self.objective.name] = value
        raise TrialPruned(
            ender.reason, metrics, step, ender.finding, score is not None
        )

    def has_own_score(self, trial: Any) -> bool:
        """Return whether a trial reached its score itself."""
        return trial.trial_id not in self.curves.ended(UNSCORED)

    def rescore(self, trial_folder: Callable[[str], Any]) -> None:
        """Give the trials without a score of their own the worst score."""
        for trial_id in self.curves.ended(UNSCORED):
            trial = self.oracle.trials.get(trial_id)
            worst = self._worst_score()
            if trial and trial.status == "COMPLETED" and trial.score != worst:
                trial.score = worst
                path = Path(trial_folder(trial_id), "trial.json")
                write_whole(path, trial.get_state())

    def _worst_score(self) -> float:
        scores = [
            trial.score
            for trial in self.oracle.trials.values()
            if trial.status == "COMPLETED"
            and trial.score is not None
            and self.has_own_score(trial)
        ]
        direction = self.objective.direction
        choose = min if direction == "max" else max
        return float(choose(scores, default=_NO_SCORE[direction]))

    def _judge(
        self, trial_id: str, execution: int, epoch: int, value: float
    ) -> str | None:
        self.curves.report(trial_id, execution, epoch, value)
        values = self.curves.of(trial_id, execution + 1)
        if self.pruner is None or values is None:
            return None
        finished = {
            trial.trial_id
            for trial in self.oracle.trials.values()
            if trial.status == "COMPLETED"
        }
        others = self.curves.other_trials(trial_id, execution + 1, finished)
        return self.pruner.judge(
            epoch, values, list(others), self.objective.direction
        )

    def _warn_if_unreported(self, trial_id: str) -> None:
        if self.pruner and not self._warned and not self.curves.knows(trial_id):
            self._warned = True
            warnings.warn(
                f"No epoch reports the objective {self.objective.name!r}, so "
                "`pruner` has nothing to compare and ends no trial.",
                stacklevel=2,
            )


def _ignore(finding: Finding) -> None:
    """Print nothing: the search prints the outcome of its trials."""


def _mean(logs: list[dict[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(key for values in logs for key in values)
    means = {
        key: float(np.mean([values[key] for values in logs if key in values]))
        for key in keys
    }
    return {key: value for key, value in means.items() if math.isfinite(value)}
