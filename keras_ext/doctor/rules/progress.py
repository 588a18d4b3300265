"""Rules on the learning rate: how the loss and the weights move."""

import math

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    FAIR_IMPROVEMENT,
    LEARNED,
    LEARNING_PACE,
    MIN_STEPS,
    LearningSummary,
)
from keras_ext.doctor.rules.shared import finding_of

# ||dw|| / ||w|| of a step. Healthy runs have 0.01, and rarely 0.1 at first.
LARGE_UPDATE, LARGE_IF_FAILING, WHOLE_UPDATE = 0.3, 0.15, 1.0
LATE_UPDATE, CLIMBING_UPDATE = 0.03, 0.05
# What a lower learning rate is computed from.
USUAL_UPDATE = 0.1
# Loss / first loss, which counts as at least `MIN_FIRST_LOSS`.
DIVERGED, MIN_FIRST_LOSS = 3.0, 0.1
# Early epochs in which a run with some improvement is left alone.
SOME_IMPROVEMENT, EARLY_EPOCHS = 0.1, 2
# An oscillating loss. Of 1,219 measured runs 9 were so, and all but one of
# these had too high a learning rate.
LOSS_RISE, RISING_EPOCHS, OSCILLATING_UPDATE = 0.05, 2, 0.02
OSCILLATING_BELOW, OSCILLATING_BELOW_AT_END = 0.4, 0.6
SECOND_HALF = 0.5
# Sum of ||dw|| / ||w|| over a whole run; in a short run, one step's.
SHORT_PATH, ENOUGH_STEPS, TINY_UPDATE = 0.1, 200, 1e-4
FEW_EPOCHS = 2
# Of a run that ended too early: epochs, below which it was meant to be short,
# and what is left of the gradient.
SHORT_TRAINING, LASTING = 5, 0.1
# Relative decrease of a custom loss that shows learning.
CUSTOM_DECREASE = 0.05

CONDITIONS = {
    "learning_rate_too_high": f"""
‖Δw‖ / ‖w‖ above {LARGE_UPDATE:g} in the first 10 sampled steps, no learning.
Above {LARGE_IF_FAILING:g}, in a run that fails.
Above {CLIMBING_UPDATE:g}, with a loss {DIVERGED:g} times the first one,
  which counts as {MIN_FIRST_LOSS:g} or more.
Above {LARGE_UPDATE:g}, in a plateau below {FAIR_IMPROVEMENT:.0%} improvement.
Above {WHOLE_UPDATE:g}, and {LATE_UPDATE:g} in the second half of the steps.
An oscillating loss, if all of these hold:
  {SECOND_HALF:.0%} of the training is done;
  the loss rose by {LOSS_RISE:.0%} in {RISING_EPOCHS} epochs or more;
  ‖Δw‖ / ‖w‖ stays above {OSCILLATING_UPDATE:g};
  the normalized improvement is below {OSCILLATING_BELOW:.0%},
  or {OSCILLATING_BELOW_AT_END:.0%} when training is over.
Silent: embeddings; the first {MIN_STEPS} steps; a loss that falls steadily;
  the first {EARLY_EPOCHS} epochs,
  if the normalized improvement is above {SOME_IMPROVEMENT:.0%}.
Error: the run fails, or its loss has diverged; warning otherwise.
The remedy aims at ‖Δw‖ / ‖w‖ = {USUAL_UPDATE:g}.
Earliest: first look.
Can be wrong: late warm-up; initial weights close to zero.
""",
    "learning_rate_too_low": f"""
Warning, if both of these hold:
  the normalized improvement is at most {LEARNED:.0%};
  the sum of ‖Δw‖ / ‖w‖ is at most {SHORT_PATH:g},
  or half of that before {SECOND_HALF:.0%} of training.
Before step {ENOUGH_STEPS}: each ‖Δw‖ / ‖w‖ is at most {TINY_UPDATE:g}, too.
Silent: a custom loss that fell by {CUSTOM_DECREASE:.0%}.
Earliest: {FEW_EPOCHS} epochs, or {SECOND_HALF:.0%} of training.
Can be wrong: a long warm-up; the finding is withdrawn afterwards.
""",
    "too_few_epochs": f"""
Only when training is over. Warning, if all of these hold:
  the training had {SHORT_TRAINING} epochs or more, else an info;
  the normalized improvement is below {LEARNED:.0%};
  the loss fell in each of the last epochs, by {LEARNING_PACE:.0%} an epoch;
  the gradient norm is above {LASTING:.0%} of that of the first epoch;
  the validation loss is at its lowest.
Can be wrong: a training that is to be continued.
""",
}


def learning_rate_too_high(summary: LearningSummary) -> Finding | None:
    """Look for steps that change too much of the weights.

    Embeddings do not count: they start close to zero and have to grow by
    many times their norm.
    """
    if not len(summary.updates) or not summary.may_be_judged:
        return None
    largest = _largest_update(summary)
    oscillates = _oscillates(summary)
    if summary.learns and not (oscillates or _is_slowed(summary, largest)):
        return None
    losses = summary.loss[np.isfinite(summary.loss)]
    climbs = (
        len(losses) > 1
        and losses[0] > 0
        and float(losses[1:].max()) > DIVERGED * max(losses[0], MIN_FIRST_LOSS)
    )
    threshold = LARGE_IF_FAILING if summary.fails else LARGE_UPDATE
    if not (largest > threshold or (climbs and largest > CLIMBING_UPDATE)):
        return oscillates
    improves = (
        summary.baseline is not None and summary.improvement > SOME_IMPROVEMENT
    )
    early = improves and summary.epochs <= EARLY_EPOCHS
    on_its_way = summary.falls_steadily and not summary.learns
    if not climbs and (early or on_its_way):
        return None
    evidence: dict[str, float | str] = {
        "largest ||dw|| / ||w|| of a step": largest,
        "threshold": threshold,
    }
    if climbs:
        evidence["highest loss / first loss"] = float(
            losses[1:].max() / losses[0]
        )
    evidence |= _learning_rate(summary)
    severity = "error" if climbs or summary.fails else "warning"
    message = (
        f"The learning rate is too high: single steps change the weights by "
        f"{largest:.0%} of their norm, and the loss "
    )
    if climbs and not largest > threshold:
        climb = evidence["highest loss / first loss"]
        message += f"rose to {climb:.2g} times the first."
    elif summary.learns:
        message += "does not fall as far as it could."
    else:
        message += "does not fall."
    return finding_of(
        summary,
        "learning_rate_too_high",
        evidence,
        message,
        step=0,
        severity=severity,
        rate_times=_power_of_ten(USUAL_UPDATE / largest, -9, -1),
    )


def _learning_rate(summary: LearningSummary) -> dict[str, float]:
    rate = summary.history.facts.learning_rate
    return {} if rate is None else {"learning rate": rate}


def _power_of_ten(times: float, least: int, most: int) -> float:
    """Return the nearest power of ten between two."""
    power = round(math.log10(max(times, 1e-12)))
    return 10.0 ** min(max(power, least), most)


def _oscillates(summary: LearningSummary) -> Finding | None:
    """Return a finding on a loss that goes up and down, if it does."""
    losses = summary.epoch_losses
    ended = summary.history.finished
    if (
        summary.share_done <= SECOND_HALF
        or summary.baseline is None
        or not summary.improvement
        < (OSCILLATING_BELOW_AT_END if ended else OSCILLATING_BELOW)
        or not np.isfinite(losses).all()
        or not (losses > 0).all()
    ):
        return None
    rises = int((np.diff(losses) > LOSS_RISE * losses[:-1]).sum())
    late = _late_update(summary)
    if rises < RISING_EPOCHS or not late > OSCILLATING_UPDATE:
        return None
    evidence: dict[str, float | str] = {
        "epochs in which the loss rose": rises,
        "median ||dw|| / ||w||, second half": late,
        "threshold": OSCILLATING_UPDATE,
    }
    evidence |= _learning_rate(summary)
    message = (
        f"The learning rate is too high: the loss goes up and down. It rose "
        f"in {rises} of {len(losses)} epochs, and a step still changes the "
        f"weights by {late:.1%} of their norm."
    )
    return finding_of(
        summary, "learning_rate_too_high", evidence, message, severity="warning"
    )


def _late_update(summary: LearningSummary) -> float:
    """Return the median update of the second half of the steps."""
    return float(np.median(summary.updates[len(summary.updates) // 2 :]))


def _is_slowed(summary: LearningSummary, largest: float) -> bool:
    """Return whether large steps slow down a run that learns."""
    if largest > WHOLE_UPDATE and summary.share_done > SECOND_HALF:
        if _late_update(summary) > LATE_UPDATE:
            return True
    if summary.baseline is None:
        return False
    return largest > LARGE_UPDATE and summary.has_plateaued(FAIR_IMPROVEMENT)


def _largest_update(summary: LearningSummary) -> float:
    """Return the largest update of the first sampled steps."""
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


def learning_rate_too_low(summary: LearningSummary) -> Finding | None:
    """Look for weights that hardly move, though there is a gradient.

    Under a custom loss the model may have been good from the start. Then the
    loss must not have fallen.
    """
    had_time = summary.epochs >= FEW_EPOCHS or summary.share_done >= SECOND_HALF
    if (
        summary.improvement > LEARNED
        or not had_time
        or not len(summary.updates)
    ):
        return None
    outputs = summary.history.facts.outputs
    custom = all(output.loss is None for output in outputs)
    if custom and summary.decrease > CUSTOM_DECREASE:
        return None
    steps = int(summary.history.steps[-1]) + 1
    each = float(np.median(summary.updates))
    threshold = SHORT_PATH * max(summary.share_done, SECOND_HALF)
    length = summary.path_length
    if length > threshold or (steps < ENOUGH_STEPS and each > TINY_UPDATE):
        return None
    evidence: dict[str, float | str] = {
        "sum of ||dw|| / ||w||": length,
        "threshold": threshold,
        "median ||dw|| / ||w|| of a step": each,
    }
    evidence |= _learning_rate(summary)
    message = (
        "The learning rate is too low: all steps together moved the weights "
        f"by at most {100 * length:.2g}% of their norm."
    )
    return finding_of(
        summary,
        "learning_rate_too_low",
        evidence,
        message,
        severity="warning",
        rate_times=_power_of_ten(threshold / max(length, 1e-30), 1, 4),
    )


def too_few_epochs(summary: LearningSummary) -> Finding | None:
    """Look for a run that ended while its loss was falling."""
    history = summary.history
    if (
        not history.finished
        or summary.first_nonfinite is not None
        or summary.baseline is None
        or summary.improvement > LEARNED
        or not summary.falls_steadily
    ):
        return None
    norms = history.epochs.get("grad_norm/global", np.ones(1))
    val = history.logs.get("val_loss", np.zeros(0))
    if not norms[-1] > LASTING * norms[0]:
        return None
    if len(val) > 1 and not val[-1] < np.min(val[:-1]):
        return None
    pace = summary.recent_decrease
    evidence: dict[str, float | str] = {
        "decrease of the loss per epoch": pace,
        "threshold": LEARNING_PACE,
        "normalized improvement": summary.improvement,
        "epochs": summary.epochs,
    }
    message = (
        f"The training ended too early: after {summary.epochs} epochs the loss "
        f"still falls by {pace:.0%} an epoch."
    )
    short = summary.epochs < SHORT_TRAINING
    return finding_of(
        summary,
        "too_few_epochs",
        evidence,
        message,
        severity="info" if short else "warning",
    )
