"""Whether a training can still come to something: findings, weighed."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from keras_ext.doctor import Finding
from keras_ext.doctor.rules.gradients import VANISHED
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.run_history import RunHistory

BROKEN = "numerical_instability"
# What no training comes back from, if it has learned nothing with it.
HOPELESS = (
    "exploding_gradient",
    "dying_relu",
    "vanishing_gradient",
    "symmetric_units",
)
# Ends of epochs in a row at which it must be found.
PATIENCE = 2
# Share of the way from a guess to a perfect fit that counts as progress.
PROGRESS = 0.05


class Prognosis:
    """Tells of a running training whether it is hopeless.

    The doctor says what is wrong; much of that a training outgrows. Hopeless
    is one

    - whose numbers are not finite, and still are not in the last sampled
      step. It is given up at once; or
    - in which the doctor found an error of `HOPELESS` at the ends of
      `PATIENCE` epochs in a row, which had its time (three epochs, or 30 %
      of those planned), has come less than `PROGRESS` of the way from a guess
      to a perfect fit, and whose loss does not fall.

    A gradient that vanishes may come back: it then grows by a factor from
    epoch to epoch, long before the loss moves. So a vanished gradient is
    hopeless only if it would, at the pace of the last epochs, still be
    vanished when the planned epochs are over.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def is_broken(
        self, findings: Sequence[Finding], records: RunHistory
    ) -> Finding | None:
        """Return what says that the numbers are no longer finite.

        Args:
            findings: The doctor's.
            records: The doctor's.

        Returns:
            The finding; `None` if there is none, or if only some earlier
            step was so, which something mended.
        """
        for finding in _all(findings):
            if finding.problem == BROKEN:
                return finding if _ends_nonfinite(records) else None
        return None

    def at_epoch_end(
        self, findings: Sequence[Finding], records: RunHistory
    ) -> Finding | None:
        """Return why the training is hopeless; call it once an epoch.

        Args:
            findings: The doctor's.
            records: The doctor's.

        Returns:
            The finding, or `None`.
        """
        broken = self.is_broken(findings, records)
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
        summary = LearningSummary(records)
        if not summary.fails or summary.improvement >= PROGRESS:
            return None
        for finding in errors:
            comes_back = (
                finding.problem == "vanishing_gradient"
                and _comes_back(finding, records)
            )
            if self._times[finding.problem] >= PATIENCE and not comes_back:
                return finding
        return None


def _all(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield findings and what follows from them, the causes first."""
    for finding in findings:
        yield finding
        yield from finding.consequences


def _ends_nonfinite(records: RunHistory) -> bool:
    """Return whether the last sampled step is not finite."""
    if "grad_norm/global" in records.series:
        series = {key: values[-1:] for key, values in records.series.items()}
        end = dataclasses.replace(
            records, logs={}, steps=records.steps[-1:], series=series
        )
    else:
        logs = {key: values[-1:] for key, values in records.logs.items()}
        end = dataclasses.replace(records, logs=logs)
    return LearningSummary(end).first_nonfinite is not None


def _comes_back(finding: Finding, records: RunHistory) -> bool:
    """Return whether a vanished gradient grows fast enough to return."""
    norms = records.epochs.get(f"grad_norm/{finding.layer}", np.zeros(0))
    latest = [
        float(values[-1])
        for key, values in records.epochs.items()
        if key.startswith("grad_norm/") and len(values)
    ]
    if len(norms) < 3 or not min(norms[-1], norms[-3]) > 0:
        return False
    pace = np.sqrt(norms[-1] / norms[-3])
    left = max((records.planned_epochs or 2 * len(norms)) - len(norms), 0)
    # In logarithms: the power overflows.
    forecast = np.log(norms[-1]) + left * np.log(pace)
    return bool(forecast > np.log(VANISHED * np.nanmax(latest)))
