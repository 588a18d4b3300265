"""The rule on models that are much better in training than in validation."""

from typing import NamedTuple

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    UNFITTED,
    LearningSummary,
    is_accuracy,
)
from keras_ext.doctor.rules.shared import finding_of

# Validation loss / its minimum, and / the training loss.
RISE, LOSS_RATIO = 1.25, 1.5
# Three-epoch mean of the validation loss / the one before, if it still falls.
STILL_FALLING, MIN_EPOCHS = 0.98, 4
# How far validation is behind: in accuracy, in normalized improvement, and in
# cross-entropy (nats), where a wrong and sure answer costs about six nats.
ACCURACY_GAP, IMPROVEMENT_GAP, NATS_GAP = 0.09, 0.25, 0.5
# Factor of these gaps where the evidence is weaker.
STRICTER = 1.5
# Decrease of the validation accuracy since its best.
ACCURACY_DROP = 0.05
# Normalized improvement on validation data of a model that learned nothing
# that holds for them; improvement of accuracy of one that learned a lot.
NO_IMPROVEMENT, FITTED_ACCURACY = 0.1, 0.5
# Training loss / baseline of a perfect fit.
PERFECT = 0.1
# Number of samples, and validation loss / training loss, if the model has
# memorized them.
FEW_SAMPLES, MEMORIZED = 100, 10.0

CONDITIONS = {
    "overfitting": f"""
Only if all of these hold:
  in 3 epochs, the validation loss is {LOSS_RATIO:g} times the training loss;
  its 3-epoch mean is above {STILL_FALLING:g} of the mean before;
  the training loss is below {UNFITTED:g} times the baseline, or
  the accuracy has closed {FITTED_ACCURACY:.0%} of the gap to 1.
With accuracy: validation is {ACCURACY_GAP:g} behind (median of 3 epochs), and:
  the validation loss has risen {RISE:g} times;
  or the validation accuracy fell by {ACCURACY_DROP:g};
  or at most {FEW_SAMPLES} samples have a {MEMORIZED:g} times lower loss;
  or validation is {STRICTER:g} times as far behind.
Without accuracy: validation is {IMPROVEMENT_GAP:g} · baseline behind, and:
  the training loss is below {PERFECT:g} times the baseline;
  or it is {STRICTER:g} times as far behind, and has risen {RISE:g} times;
  or the same, with a normalized improvement below {NO_IMPROVEMENT:.0%}.
  Cross-entropy: {NATS_GAP:g} nats behind; few samples: a third as far.
Custom loss: risen {RISE:g} times, to {2 * LOSS_RATIO:g} times that of training.
Earliest: {MIN_EPOCHS} epochs with validation data.
Can be wrong: few validation data, or validation data of another kind.
""",
}


class _Curves(NamedTuple):
    """The losses of the last three epochs, and the best ones.

    Attributes:
        loss, now: Mean training loss, median validation loss.
        best: The lowest median of three successive validation losses.
        around: The epoch of that.
    """

    loss: float
    now: float
    best: float
    around: int


def overfitting(summary: LearningSummary) -> Finding | None:
    """Look for a model that is much better in training than in validation."""
    curves = _curves(summary)
    if curves is None or summary.is_settling:
        return None
    gap = _accuracy_gap(summary)
    rises = curves.best > 0 and curves.now > RISE * curves.best
    if gap is not None:
        memorized = _has_memorized(summary, curves)
        worse = rises or _accuracy_dropped(summary) or memorized
        threshold = ACCURACY_GAP if worse else STRICTER * ACCURACY_GAP
        found = gap > threshold
        how = {"accuracy, training minus validation": gap}
    elif summary.baseline is not None:
        perfect = curves.loss < PERFECT * summary.baseline
        gap = (curves.now - curves.loss) / summary.baseline
        threshold = IMPROVEMENT_GAP
        if _is_crossentropy(summary):
            threshold = NATS_GAP / summary.baseline
        elif perfect and _has_memorized(summary, curves):
            threshold = IMPROVEMENT_GAP / 3
        threshold *= 1.0 if perfect else STRICTER
        found = gap > threshold and (
            perfect
            or rises
            or summary.improvement_of(curves.now) < NO_IMPROVEMENT
        )
        how = {"normalized improvement, training minus validation": gap}
    else:
        threshold = 2 * LOSS_RATIO
        found = rises and curves.now > threshold * curves.loss
        how = {"validation loss / training loss": curves.now / curves.loss}
    if not found:
        return None
    return _finding(summary, curves, rises, how | {"threshold": threshold})


def _curves(summary: LearningSummary) -> _Curves | None:
    """Return the losses, `None` if they show no overfitting."""
    logs = summary.history.logs
    train, val = logs.get("loss"), logs.get("val_loss")
    if train is None or val is None or len(val) != len(train):
        return None
    if len(val) < MIN_EPOCHS:
        return None
    medians = _medians(val)
    around = int(np.argmin(medians))
    loss, now = float(np.mean(train[-3:])), float(medians[-1])
    if not np.isfinite(val).all() or not loss < train[0]:
        return None
    means = np.convolve(val[-4:], np.ones(3) / 3, "valid")
    still_falls = means[-1] < STILL_FALLING * means[0]
    if still_falls or not np.min(val[-3:]) > LOSS_RATIO * loss:
        return None
    if not _has_fitted(summary, loss):
        return None
    return _Curves(loss, now, float(medians[around]), around + 1)


def _has_fitted(summary: LearningSummary, loss: float) -> bool:
    """Return whether something was learned that could be overfitted."""
    if summary.baseline is None or loss <= UNFITTED * summary.baseline:
        return True
    return any(
        summary.accuracy_improvement(float(values[-1])) > FITTED_ACCURACY
        for _, values in _accuracies(summary)
    )


def _accuracies(summary: LearningSummary) -> list[tuple[str, np.ndarray]]:
    """Return the training accuracies that exist for validation, too."""
    logs = summary.history.logs
    return [
        (key, values)
        for key, values in logs.items()
        if is_accuracy(key) and len(logs.get(f"val_{key}", ())) == len(values)
    ]


def _accuracy_gap(summary: LearningSummary) -> float | None:
    """Return how far the validation accuracy is behind, if there is one."""
    logs = summary.history.logs
    gaps = [
        values[-3:] - logs[f"val_{key}"][-3:]
        for key, values in _accuracies(summary)
    ]
    steady = [g for g in gaps if np.min(g) > ACCURACY_GAP / 2]
    if not steady:
        return 0.0 if gaps else None
    return max(float(np.median(g)) for g in steady)


def _accuracy_dropped(summary: LearningSummary) -> bool:
    logs = summary.history.logs
    for key, _ in _accuracies(summary):
        medians = _medians(logs[f"val_{key}"])
        if np.max(medians) - medians[-1] > ACCURACY_DROP:
            return True
    return False


def _has_memorized(summary: LearningSummary, curves: _Curves) -> bool:
    """Return whether the model knows a few samples, and nothing else."""
    batch = summary.history.batch
    if batch is None:
        return False
    samples = summary.history.steps_per_epoch * batch.size
    return 0 < samples <= FEW_SAMPLES and curves.now > MEMORIZED * curves.loss


def _medians(values: np.ndarray) -> np.ndarray:
    """Return the medians of three successive values."""
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
        summary, "overfitting", evidence, message + ".", severity="warning"
    )
