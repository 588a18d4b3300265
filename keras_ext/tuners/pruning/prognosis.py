"""Whether the doctor's findings mean that a training is hopeless."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from keras_ext.doctor import Finding
from keras_ext.doctor.rules.gradients import VANISHED
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.run_history import RunHistory

BROKEN = "numerical_instability"
# Problems that end a training which makes no progress.
HOPELESS = (
    "exploding_gradient",
    "dying_relu",
    "vanishing_gradient",
    "symmetric_units",
)
# Number of epochs in a row at whose end the doctor must find the problem.
PATIENCE = 2
# Normalized improvement over the constant-prediction baseline that counts as
# progress.
PROGRESS = 0.05


class Prognosis:
    """Decides whether a running training is hopeless.

    A training outgrows many of the doctor's findings. It is hopeless if

    - its numbers are not finite, still in the last sampled step (at once); or
    - the doctor found an error of `HOPELESS` at the ends of `PATIENCE` epochs
      in a row, three epochs or 30 % of the planned ones are over, the
      normalized improvement is below `PROGRESS`, and the loss does not fall.

    A vanished gradient may grow again, by a factor from epoch to epoch, long
    before the loss moves. So it is hopeless only if, at the pace of the last
    epochs, it would still be vanished at the end of the planned epochs.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def is_broken(
        self, findings: Sequence[Finding], history: RunHistory
    ) -> Finding | None:
        """Return the finding of numbers that are not finite.

        Returns `None` without one, or if the last sampled step is finite.
        """
        for finding in _all(findings):
            if finding.problem == BROKEN:
                return finding if _ends_nonfinite(history) else None
        return None

    def at_epoch_end(
        self, findings: Sequence[Finding], history: RunHistory
    ) -> Finding | None:
        """Return the finding that makes the training hopeless, or `None`.

        Call this once in each epoch.
        """
        broken = self.is_broken(findings, history)
        if broken is not None:
            return broken
        errors = [
            finding
            for finding in _all(findings)
            if finding.problem in HOPELESS and finding.severity == "error"
        ]
        self._times = {
            finding.problem: self._times.get(finding.problem, 0) + 1
            for finding in errors
        }
        if not errors:
            return None
        summary = LearningSummary(history)
        if not summary.fails or summary.improvement >= PROGRESS:
            return None
        for finding in errors:
            recovers = finding.problem == "vanishing_gradient" and _recovers(
                finding, history
            )
            if self._times[finding.problem] >= PATIENCE and not recovers:
                return finding
        return None


def _all(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield findings, each before its consequences."""
    for finding in findings:
        yield finding
        yield from finding.consequences


def _ends_nonfinite(history: RunHistory) -> bool:
    """Return whether the last sampled step is not finite."""
    if "grad_norm/global" in history.series:
        series = {key: values[-1:] for key, values in history.series.items()}
        end = dataclasses.replace(
            history, logs={}, steps=history.steps[-1:], series=series
        )
    else:
        logs = {key: values[-1:] for key, values in history.logs.items()}
        end = dataclasses.replace(history, logs=logs)
    return LearningSummary(end).first_nonfinite is not None


def _recovers(finding: Finding, history: RunHistory) -> bool:
    """Return whether a vanished gradient grows fast enough."""
    norms = history.epochs.get(f"grad_norm/{finding.layer}", np.zeros(0))
    latest = [
        float(values[-1])
        for key, values in history.epochs.items()
        if key.startswith("grad_norm/") and len(values)
    ]
    if len(norms) < 3 or not min(norms[-1], norms[-3]) > 0:
        return False
    pace = np.sqrt(norms[-1] / norms[-3])
    left = max((history.planned_epochs or 2 * len(norms)) - len(norms), 0)
    # In logarithms: the power overflows.
    forecast = np.log(norms[-1]) + left * np.log(pace)
    return bool(forecast > np.log(VANISHED * np.nanmax(latest)))
