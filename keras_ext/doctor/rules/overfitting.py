"""The rule on models that are much better in training than in validation."""

from typing import NamedTuple

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.gradients import finding_of
from keras_ext.doctor.rules.learning_summary import (
    UNFITTED,
    LearningSummary,
    is_accuracy,
)

# Validation loss, relative to its minimum, and to the training loss.
RISE, GAP = 1.25, 1.5
# How far validation is behind: in accuracy; in the way to a perfect fit.
BEHIND, SHORT = 0.09, 0.25
# The same in cross-entropy, in nats: a model that is sure of itself pays
# about six of them for each wrong answer.
SHORT_NATS = 0.5
# By how much validation accuracy fell from its best.
FALL = 0.05
# How far from a guess to a perfect fit it has come on validation data if
# nothing of what was learned holds for them.
NOTHING = 0.1
# Training loss of a perfect fit, relative to that of a guess.
PERFECT = 0.1
# Samples that a model learns by heart: so few, of which the training loss is
# so many times lower, while validation is behind by a third of `SHORT`.
FEW, BY_HEART = 100, 10.0


class _Curves(NamedTuple):
    """What the last three epochs say, against all before.

    Attributes:
        loss, now: Mean training loss, median validation loss.
        best: The lowest median of three validation losses in a row.
        around: The epoch of that.
    """

    loss: float
    now: float
    best: float
    around: int


def overfitting(summary: LearningSummary) -> list[Finding]:
    """Look for a model that is much better in training than in validation.

    In each of the last three epochs, since it may swing, the validation loss
    is above `GAP` times the training loss, and the accuracy, if there is one,
    more than half of `BEHIND`. In their median,

    - where there is an accuracy, that of validation is `BEHIND`, and the
      validation loss has risen by `RISE`, its accuracy fallen by `FALL`, or
      `FEW` samples were learned by heart; or it is half as much again behind;
    - where there is none, validation is `SHORT` of the way from a guess to a
      perfect fit behind, and training is `PERFECT`; or half as much again,
      and the validation loss has risen by `RISE` or has come next to
      `NOTHING` of that way; or a third of that, where `FEW` samples were
      learned by heart. Cross-entropy must be `SHORT_NATS` behind: it can
      be high because of few answers that are wrong and very sure.

    Something was learned: the training loss is below `UNFITTED` times that of
    a guess, or its accuracy halfway to 1. With batch normalization,
    validation tells nothing before `SETTLING` steps.

    It can be wrong where validation data are few or other than the training
    data, and, without an accuracy, of a model that is far too sure of few
    wrong answers. Where there is one, that is not told.
    """
    curves = _curves(summary)
    if curves is None or summary.is_settling:
        return []
    behind = _behind(summary)
    rises = curves.best > 0 and curves.now > RISE * curves.best
    if behind is not None:
        by_heart = _knows_by_heart(summary, curves)
        worse = rises or _accuracy_fell(summary) or by_heart
        threshold = BEHIND if worse else 1.5 * BEHIND
        found = behind > threshold
        how = {"accuracy, training minus validation": behind}
    elif summary.baseline is not None:
        perfect = curves.loss < PERFECT * summary.baseline
        short = (curves.now - curves.loss) / summary.baseline
        threshold = SHORT
        if _is_crossentropy(summary):
            threshold = SHORT_NATS / summary.baseline
        elif perfect and _knows_by_heart(summary, curves):
            threshold = SHORT / 3
        threshold *= 1.0 if perfect else 1.5
        found = short > threshold and (
            perfect or rises or summary.improvement_of(curves.now) < NOTHING
        )
        how = {"validation behind, of the way to a perfect fit": short}
    else:
        threshold = 2 * GAP
        found = rises and curves.now > threshold * curves.loss
        how = {"validation loss / training loss": curves.now / curves.loss}
    if not found:
        return []
    return [_finding(summary, curves, rises, how | {"threshold": threshold})]


def _curves(summary: LearningSummary) -> _Curves | None:
    """Return what the losses say, `None` if they say that all is well."""
    logs = summary.history.logs
    train, val = logs.get("loss"), logs.get("val_loss")
    if train is None or val is None or len(val) < 4 or len(val) != len(train):
        return None
    medians = _medians(val)
    around = int(np.argmin(medians))
    loss, now = float(np.mean(train[-3:])), float(medians[-1])
    if not np.isfinite(val).all() or not loss < train[0]:
        return None
    means = np.convolve(val[-4:], np.ones(3) / 3, "valid")
    still_falls = means[-1] < 0.98 * means[0]
    if still_falls or not np.min(val[-3:]) > GAP * loss:
        return None
    if not _has_fitted(summary, loss):
        return None
    return _Curves(loss, now, float(medians[around]), around + 1)


def _has_fitted(summary: LearningSummary, loss: float) -> bool:
    """Return whether something was learned that could be overfitted."""
    if summary.baseline is None or loss <= UNFITTED * summary.baseline:
        return True
    accuracies = (values[-1] for key, values in _accuracies(summary))
    return any(
        summary.accuracy_improvement(float(value)) > 0.5 for value in accuracies
    )


def _accuracies(summary: LearningSummary) -> list[tuple[str, np.ndarray]]:
    """Return the accuracies of training that validation has too."""
    logs = summary.history.logs
    return [
        (key, values)
        for key, values in logs.items()
        if is_accuracy(key) and len(logs.get(f"val_{key}", ())) == len(values)
    ]


def _behind(summary: LearningSummary) -> float | None:
    """Return how far the accuracy of validation is behind, if there is one."""
    logs = summary.history.logs
    gaps = [
        values[-3:] - logs[f"val_{key}"][-3:]
        for key, values in _accuracies(summary)
    ]
    steady = [g for g in gaps if np.min(g) > BEHIND / 2]
    if not steady:
        return 0.0 if gaps else None
    return max(float(np.median(g)) for g in steady)


def _accuracy_fell(summary: LearningSummary) -> bool:
    logs = summary.history.logs
    for key, _ in _accuracies(summary):
        medians = _medians(logs[f"val_{key}"])
        if np.max(medians) - medians[-1] > FALL:
            return True
    return False


def _knows_by_heart(summary: LearningSummary, curves: _Curves) -> bool:
    """Return whether few samples were learned, and nothing beyond them."""
    batch = summary.history.batch
    if batch is None:
        return False
    samples = summary.history.steps_per_epoch * batch.size
    return 0 < samples <= FEW and curves.now > BY_HEART * curves.loss


def _medians(values: np.ndarray) -> np.ndarray:
    """Return the median of each three values in a row."""
    windows = np.lib.stride_tricks.sliding_window_view(values, 3)
    return np.median(windows, axis=-1)


def _is_crossentropy(summary: LearningSummary) -> bool:
    outputs = summary.history.facts.outputs
    return any("crossentropy" in (output.loss or "") for output in outputs)


def _finding(
    summary: LearningSummary,
    curves: _Curves,
    rises: bool,
    how: dict[str, float],
) -> Finding:
    evidence: dict[str, float | str] = {
        "training loss": curves.loss,
        "validation loss": curves.now,
        "lowest validation loss": curves.best,
        **how,
    }
    message = (
        f"The model overfits: its loss is {curves.loss:.3g} in training and "
        f"{curves.now:.3g} in validation"
    )
    if rises:
        message += f", after {curves.best:.3g} around epoch {curves.around}"
    return finding_of(
        summary, "overfitting", None, None, evidence, message + ".", "warning"
    )
