"""Rules on how the loss and the weights move."""

import math

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.gradients import finding_of
from keras_ext.doctor.rules.learning_summary import FAIR, LearningSummary

# A step that changes the weights by this share of their length: in a run that
# does not learn, in one that fails, and in one that learns for all that but
# still changes them by `RESTLESS` in the second half of its steps. Healthy
# runs make steps of 0.01, few of them one of 0.1, in the beginning.
VIOLENT, ROUGH, OVERTHROWN = 0.3, 0.15, 1.0
RESTLESS = 0.03
# A share that is not too large: what a lower rate is reckoned from.
USUAL = 0.1
# A loss that goes up and down: by which share it rises, in how many epochs, and
# how large the steps of the second half still are, in a run that has come less
# far than `TOSSED_BELOW`, or `TOSSED_IN_THE_END`. Of 1,219 recorded runs 9 are
# so, and all but one of those were given too high a rate.
RISE, RISES, TOSSING = 0.05, 2, 0.02
TOSSED_BELOW, TOSSED_IN_THE_END = 0.4, 0.6
# How far a run has come that has begun to learn.
BEGUN = 0.1
# By how much of their length the weights have moved in the whole run.
UNMOVED = 0.1
ENOUGH_STEPS, TINY = 200, 1e-4
# Share by which a loss fell that does not stay where it was.
FELL = 0.05
# Loss, relative to the first, of a run that diverges.
DIVERGED = 3.0


def learning_rate_too_high(summary: LearningSummary) -> list[Finding]:
    """Look for steps that throw the weights about.

    A step changes the weights by more than `VIOLENT` of their length, early
    in a run that does not learn, or by `ROUGH` in one that fails, or the loss
    climbs beyond `DIVERGED` times the first one. In the first two epochs a
    run that has come `BEGUN` of the way from a guess to a perfect fit is left
    alone. Embeddings do not count: they start next to zero, and have to grow
    by many times their length.

    A run that learns is told of if its steps were `VIOLENT` and it has
    levelled off below `FAIR`; or if one step was as long as all the weights,
    `OVERTHROWN`, and those of its second half still are `RESTLESS`.

    Where no single step is so large, the loss may be tossed up and down: in
    the second half of a run that has come no further than `TOSSED_BELOW` (in
    the end `TOSSED_IN_THE_END`), it has risen by `RISE` in at least `RISES`
    epochs, and steps still are `TOSSING`.

    It can be wrong of a model whose initial weights are next to nothing.
    """
    if not len(summary.updates):
        return []
    largest = _largest_update(summary)
    tossed = _tossed(summary)
    if summary.learns and not (tossed or _learns_in_spite(summary, largest)):
        return []
    losses = summary.loss[np.isfinite(summary.loss)]
    climbs = (
        len(losses) > 1
        and losses[0] > 0
        and float(losses[1:].max()) > DIVERGED * max(losses[0], 0.1)
    )
    threshold = ROUGH if summary.fails else VIOLENT
    if not (largest > threshold or (climbs and largest > 0.05)):
        return [tossed] if tossed else []
    begun = summary.baseline is not None and summary.improvement > BEGUN
    if begun and summary.epochs <= 2 and not climbs:
        return []
    evidence: dict[str, float | str] = {
        "largest change of weights in a step": largest,
        "threshold": threshold,
    }
    if climbs:
        evidence["highest loss / first loss"] = float(
            losses[1:].max() / losses[0]
        )
    rate = summary.history.facts.learning_rate
    if rate is not None:
        evidence["learning rate"] = rate
    severity = "error" if climbs or summary.fails else "warning"
    message = (
        f"The learning rate is too high: single steps change the weights by "
        f"{largest:.0%} of their length, and the loss "
    )
    if climbs and not largest > threshold:
        climb = evidence["highest loss / first loss"]
        message += f"climbed to {climb:.2g} times the first."
    elif summary.learns:
        message += "does not come down as far as it could."
    else:
        message += "does not come down."
    return [
        finding_of(
            summary,
            "learning_rate_too_high",
            None,
            0,
            evidence,
            message,
            severity,
            _power_of_ten(USUAL / largest, -9, -1),
        )
    ]


def _power_of_ten(times: float, least: int, most: int) -> float:
    """Return the nearest power of ten between two."""
    power = round(math.log10(max(times, 1e-12)))
    return 10.0 ** min(max(power, least), most)


def _tossed(summary: LearningSummary) -> Finding | None:
    """Return what tells of a loss that goes up and down, if it does."""
    losses = summary.epoch_losses
    ended = summary.history.finished
    if (
        summary.share_done <= 0.5
        or summary.baseline is None
        or not summary.improvement
        < (TOSSED_IN_THE_END if ended else TOSSED_BELOW)
        or not np.isfinite(losses).all()
        or not (losses > 0).all()
    ):
        return None
    rises = int((np.diff(losses) > RISE * losses[:-1]).sum())
    late = _late_update(summary)
    if rises < RISES or not late > TOSSING:
        return None
    evidence: dict[str, float | str] = {
        "epochs in which the loss rose": rises,
        "median change of weights in a step, second half": late,
        "threshold": TOSSING,
    }
    rate = summary.history.facts.learning_rate
    if rate is not None:
        evidence["learning rate"] = rate
    return finding_of(
        summary,
        "learning_rate_too_high",
        None,
        None,
        evidence,
        f"The learning rate is too high: the loss goes up and down, it rose "
        f"in {rises} of {len(losses)} epochs, and a step still changes the "
        f"weights by {late:.1%} of their length.",
        "warning",
    )


def _late_update(summary: LearningSummary) -> float:
    """Return the median change of weights in the second half of the steps."""
    return float(np.median(summary.updates[len(summary.updates) // 2 :]))


def _learns_in_spite(summary: LearningSummary, largest: float) -> bool:
    """Return whether a run that learns is held up by the size of its steps."""
    if largest > OVERTHROWN and summary.share_done > 0.5:
        if _late_update(summary) > RESTLESS:
            return True
    if summary.baseline is None:
        return False
    return largest > VIOLENT and summary.has_levelled_off(FAIR)


def _largest_update(summary: LearningSummary) -> float:
    """Return the largest change of weights in the first sampled steps."""
    largest = float(summary.updates[:10].max())
    kinds = {layer.path: layer.kind for layer in summary.history.facts.layers}
    if "Embedding" not in kinds.values():
        return largest
    others = [
        float(values[:10].max())
        for layer, values in summary.norms("update_ratio/").items()
        if len(values) and kinds.get(layer) != "Embedding"
    ]
    return min([largest, *([float(np.median(others))] if others else [])])


def learning_rate_too_low(summary: LearningSummary) -> list[Finding]:
    """Look for weights that hardly move, while the gradient is there.

    In all steps they cannot have moved by more than `UNMOVED` of their
    length, and the run does not learn; before half of the run, by half of
    that. In less than `ENOUGH_STEPS` that is no wonder; each change must then
    be below `TINY`. By a loss of a
    person's own the model may have been good from the start; then the loss
    must not have fallen by more than `FELL`.
    """
    had_time = summary.epochs >= 2 or summary.share_done >= 0.5
    if summary.improvement > 0.5 or not had_time or not len(summary.updates):
        return []
    outputs = summary.history.facts.outputs
    if all(output.loss is None for output in outputs) and summary.gain > FELL:
        return []
    steps = int(summary.history.steps[-1]) + 1
    each = float(np.median(summary.updates))
    threshold = UNMOVED * max(summary.share_done, 0.5)
    if summary.travelled > threshold or (steps < ENOUGH_STEPS and each > TINY):
        return []
    evidence: dict[str, float | str] = {
        "way of the weights, relative to their length": summary.travelled,
        "threshold": threshold,
        "median change in a step": each,
    }
    rate = summary.history.facts.learning_rate
    if rate is not None:
        evidence["learning rate"] = rate
    message = (
        "The learning rate is too low: in all its steps the run moved the "
        f"weights by at most {100 * summary.travelled:.2g}% of their length."
    )
    return [
        finding_of(
            summary,
            "learning_rate_too_low",
            None,
            None,
            evidence,
            message,
            "warning",
            _power_of_ten(threshold / max(summary.travelled, 1e-30), 1, 4),
        )
    ]
