"""The MLflow run of one attempt at one trial."""

import functools
import math
import time
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ext.plots.layers_over_epochs import gradient_heatmap
from keras_ext.tracking import RunWriter
from keras_ext.tracking.redaction import scrub
from keras_ext.tracking.runs import Parent, begin_run
from keras_ext.tuners.pruning.search_pruning import TrialPruned
from keras_ext.tuners.results import Rows
from keras_ext.tuners.trial_callbacks import EpochTracker

_LAST_EPOCHS = 3


class TrialRun:
    """The child run of one attempt at one trial.

    With one execution per trial, this run has the metrics of each epoch, with
    the epoch as step. With more, each execution has a run of its own below
    this one (`execution 0`, ...), and this run has, for each epoch, the mean
    over the executions that reached it.

    Attributes:
        reason: Why the trial failed, in one line; `None` if it did not.
        pruned: How the trial was pruned; `None` if it was not.
        score_std: Standard deviation of the score over folds or executions;
            `None` for a single one.
    """

    def __init__(
        self,
        client: Any,
        parent: Parent,
        trial_id: str,
        attempt: int,
        executions: int = 1,
    ):
        self.client = client
        self.trial_id = trial_id
        self.reason: str | None = None
        self.pruned: TrialPruned | None = None
        self.score_std: float | None = None
        self._started = time.monotonic()
        self._parent = parent
        self.run_id = begin_run(
            client,
            parent,
            f"trial {trial_id}",
            {"trial_id": trial_id, "attempt": str(attempt)},
        )
        self.writer = RunWriter(client, self.run_id)
        self._executions = executions
        self._execution: RunWriter | None = None
        self._histories: list[Rows] = []
        self._params: set[str] = set()

    def add_params(self, hyperparameters: Mapping[str, Any]) -> None:
        """Log the hyperparameters that are not logged yet."""
        new = {
            name: value
            for name, value in hyperparameters.items()
            if name not in self._params
        }
        self._params.update(new)
        self.writer.params(new)

    @property
    def executions(self) -> int:
        """Number of executions that have begun."""
        return len(self._histories)

    def begin_execution(
        self, name: str | None = None
    ) -> tuple[str, EpochTracker]:
        """Return the id of the execution's run, and the execution's tracker."""
        tracker = EpochTracker()
        self._histories.append(tracker.epochs)
        if self._executions == 1:
            return self.run_id, tracker
        name = name or f"execution {self.executions - 1}"
        run_id = begin_run(
            self.client, self._parent.with_run(self.run_id), name
        )
        self._execution = RunWriter(self.client, run_id)
        return run_id, tracker

    def log_before(self, rows: Rows, first: int = 0) -> None:
        """Log the epochs of an earlier attempt, counted from `first`."""
        writer = self._execution or self.writer
        self._histories[-1].extend(rows)
        for key, values in _mean([rows]).items():
            steps = [first + epoch for epoch in values]
            writer.series(key, steps, list(values.values()))
        if rows:
            writer.tags({"resumed_at_epoch": str(first + len(rows))})

    def end_execution(self, status: str) -> None:
        """End the execution's run, if it has one of its own."""
        if self._execution is not None:
            self._execution.end(status)
            self._execution = None

    def failed(self, error: BaseException) -> None:
        """Log the exception of a failed trial."""
        self.reason = scrub(f"{type(error).__name__}: {error}")
        trace = "".join(traceback.format_exception(error))
        self.writer.tags({"exception": type(error).__name__})
        self.writer.text(trace, "traceback.txt")

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the trial that its `TrialState` stores."""
        means = _mean(self._histories)

        def of_layers(kind: str) -> dict[str, list[float]]:
            return {
                key.removeprefix(kind): list(values.values())
                for key, values in means.items()
                if key.startswith(kind) and not key.endswith("/global")
            }

        def medians(layers: dict[str, list[float]]) -> dict[str, float]:
            return {
                layer: float(np.median(values[-_LAST_EPOCHS:]))
                for layer, values in layers.items()
            }

        norms = of_layers("grad_norm/")
        last = [values[-1] for values in norms.values()]
        dead = list(means.get("dead_relu/global", {}).values())
        return {
            "duration": self._duration(),
            # Unlike `min`, `np.min` returns NaN if there is one.
            "min_grad_norm": float(np.min(last)) if last else None,
            "dead_relu": dead[-1] if dead else None,
            "grad_norms": medians(norms),
            "dead_units": medians(of_layers("dead_relu/")),
        }

    def close(
        self,
        status: str,
        reason: str | None = None,
        score: float | None = None,
        step: int = 0,
    ) -> None:
        """Log the outcome of the trial, and end its runs.

        `step` is the epoch of `score`.
        """
        self.end_execution(status)
        if self._executions > 1:
            for key, values in _mean(self._histories).items():
                self.writer.series(key, [*values], [*values.values()])
        if self._executions > 1 or not (status == "FINISHED" or self.pruned):
            # The logger draws only at the end of a `fit`.
            self._draw()
        self.writer.metrics({"duration": self._duration()}, step=0)
        if score is not None and math.isfinite(score):
            self.writer.metrics({"score": score}, step=step)
        if self.score_std is not None and math.isfinite(self.score_std):
            self.writer.metrics({"score_std": self.score_std}, step=step)
        if self._executions > 1 and self.pruned and self.pruned.finding:
            # With one execution, its doctor logs more.
            finding = self.pruned.finding
            self.writer.tags(
                {
                    "doctor.problem": finding.problem,
                    "doctor.severity": finding.severity,
                    "doctor.layer": finding.layer or "none",
                }
            )
        if reason is not None:
            self.writer.tags({"reason": reason})
        # The next trial does not wait for MLflow.
        self.writer.end(status)

    def _duration(self) -> float:
        return time.monotonic() - self._started

    def _draw(self) -> None:
        norms = {
            key: list(values.values())
            for key, values in _mean(self._histories).items()
            if key.startswith("grad_norm/")
        }
        if norms:
            draw = functools.partial(gradient_heatmap, norms)
            self.writer.figure_later(draw, "gradient_norms.png")


def _mean(histories: list[Rows]) -> dict[str, dict[int, float]]:
    """Return each key's mean over the executions, for each epoch."""
    values: dict[str, dict[int, list[float]]] = {}
    for epoch in range(max(map(len, histories), default=0)):
        for rows in histories:
            for key, value in rows[epoch].items() if epoch < len(rows) else ():
                of_key = values.setdefault(key, {})
                of_key.setdefault(epoch, []).append(value)
    return {
        key: {epoch: float(np.mean(some)) for epoch, some in of_key.items()}
        for key, of_key in values.items()
    }
