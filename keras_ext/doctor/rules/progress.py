"""Rules on how the loss and the weights move."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.gradients import finding_of
from keras_ext.doctor.rules.signs import Signs, is_accuracy

# A step that changes the weights by this share of their length.
VIOLENT = 0.3
# How far a run has come that has begun to learn.
BEGUN = 0.1
# By how much of their length the weights have moved in the whole run.
UNMOVED = 0.05
ENOUGH_STEPS, TINY = 200, 1e-4
# Loss, relative to the first, of a run that diverges.
DIVERGED = 3.0
# Validation loss, relative to its minimum, and to the training loss.
RISE, GAP = 1.25, 1.5
# How far validation is behind: in accuracy; in the way to a perfect fit.
BEHIND, SHORT = 0.09, 0.2
# The same in cross-entropy, in nats: a model that is sure of itself pays
# about six of them for each wrong answer.
SHORT_NATS = 0.8
# Training loss, relative to that of a guess, of which nothing was learned
# that could be overfitted.
UNFITTED = 0.7


def learning_rate_too_high(signs: Signs) -> list[Finding]:
    """Look for steps that throw the weights about.

    A step changes the weights by more than `VIOLENT` of their length, early
    in a run that does not learn, or the loss climbs beyond `DIVERGED` times
    the first one. In the first two epochs a run that has come `BEGUN` of the
    way from a guess to a perfect fit is left alone. Embeddings do not count:
    they start next to zero, and have to grow by many times their length.
    """
    if signs.learns or not len(signs.updates):
        return []
    largest = _largest_update(signs)
    losses = signs.loss[np.isfinite(signs.loss)]
    climbs = (
        len(losses) > 1
        and losses[0] > 0
        and float(losses[1:].max()) > DIVERGED * max(losses[0], 0.1)
    )
    if not (largest > VIOLENT or (climbs and largest > 0.05)):
        return []
    begun = signs.baseline is not None and signs.skill > BEGUN
    if begun and signs.epochs <= 2 and not climbs:
        return []
    evidence: dict[str, float | str] = {
        "largest change of weights in a step": largest,
        "threshold": VIOLENT,
    }
    if climbs:
        evidence["highest loss / first loss"] = float(
            losses[1:].max() / losses[0]
        )
    rate = signs.records.facts.learning_rate
    if rate is not None:
        evidence["learning rate"] = rate
    severity = "error" if climbs or signs.fails else "warning"
    message = (
        f"The learning rate is too high: single steps change the weights by "
        f"{largest:.0%} of their length, and the loss does not come down."
    )
    return [
        finding_of(
            signs,
            "learning_rate_too_high",
            None,
            0,
            evidence,
            message,
            severity,
        )
    ]


def _largest_update(signs: Signs) -> float:
    """Return the largest change of weights in the first sampled steps."""
    largest = float(signs.updates[:10].max())
    kinds = {layer.path: layer.kind for layer in signs.records.facts.layers}
    if "Embedding" not in kinds.values():
        return largest
    others = [
        float(values[:10].max())
        for layer, values in signs.norms("update_ratio/").items()
        if len(values) and kinds.get(layer) != "Embedding"
    ]
    return min([largest, *([float(np.median(others))] if others else [])])


def learning_rate_too_low(signs: Signs) -> list[Finding]:
    """Look for weights that hardly move, while the gradient is there.

    In all steps up to now they cannot have moved by more than `UNMOVED` of
    their length, and the run does not learn. In less than `ENOUGH_STEPS` that
    is no wonder; each change must then be below `TINY`.
    """
    had_time = signs.epochs >= 2 or signs.share_done >= 0.5
    if signs.skill > 0.5 or not had_time or not len(signs.updates):
        return []
    steps = int(signs.records.steps[-1]) + 1
    each = float(np.median(signs.updates))
    if signs.travelled > UNMOVED or (steps < ENOUGH_STEPS and each > TINY):
        return []
    evidence: dict[str, float | str] = {
        "way of the weights, relative to their length": signs.travelled,
        "threshold": UNMOVED,
        "median change in a step": each,
    }
    rate = signs.records.facts.learning_rate
    if rate is not None:
        evidence["learning rate"] = rate
    message = (
        "The learning rate is too low: in all its steps the run moved the "
        f"weights by at most {signs.travelled:.1%} of their length."
    )
    return [
        finding_of(
            signs,
            "learning_rate_too_low",
            None,
            None,
            evidence,
            message,
            "warning",
        )
    ]


def overfitting(signs: Signs) -> list[Finding]:
    """Look for a model that is much better in training than in validation.

    The validation loss is above `GAP` times the training loss, and: where
    there is an accuracy, that of validation is `BEHIND` it and the validation
    loss has risen by `RISE`, or it is half as much again behind; where there
    is none, validation is `SHORT` of the way from a guess to a perfect fit
    behind, and training is nearly perfect or the validation loss has risen
    by `RISE`. Cross-entropy without an accuracy must be `SHORT_NATS` behind:
    it can be high because of few answers that are wrong and very sure. It
    takes means of three epochs: single ones swing where there are few
    samples. With batch normalization, validation tells nothing before
    `SETTLING` steps.

    It can be wrong where validation data are few or other than the training
    data. A validation loss that rises while its accuracy keeps up is a model
    that is too sure of itself, and is not told.
    """
    logs = signs.records.logs
    train, val = logs.get("loss"), logs.get("val_loss")
    if train is None or val is None or len(val) < 4 or len(val) != len(train):
        return []
    smooth = np.convolve(val, np.ones(3) / 3, "valid")
    now, best = float(smooth[-1]), float(np.min(smooth))
    loss = float(np.mean(train[-3:]))
    if not (np.isfinite(now) and loss < train[0] and now > GAP * loss):
        return []
    if len(smooth) > 1 and now < 0.98 * smooth[-2]:
        return []  # it still falls
    if signs.baseline is not None and loss > UNFITTED * signs.baseline:
        return []
    if signs.is_settling:
        return []
    rises = best > 0 and now > RISE * best
    behind = [
        float(np.mean(values[-3:] - logs[f"val_{key}"][-3:]))
        for key, values in logs.items()
        if is_accuracy(key) and len(logs.get(f"val_{key}", ())) == len(values)
    ]
    evidence: dict[str, float | str] = {
        "training loss": loss,
        "validation loss": now,
        "lowest validation loss": best,
    }
    epoch = int(np.argmin(smooth)) + 1
    if behind:
        threshold = BEHIND if rises else 1.5 * BEHIND
        found = max(behind) > threshold
        evidence["accuracy, training minus validation"] = max(behind)
        evidence["threshold"] = threshold
    elif signs.baseline is not None:
        perfect = loss < 0.1 * signs.baseline
        short, limit = (now - loss) / signs.baseline, SHORT
        if _is_crossentropy(signs):
            limit = SHORT_NATS / signs.baseline
        threshold = limit if perfect else 1.5 * limit
        found = short > threshold and (perfect or rises)
        evidence["validation behind, of the way to a perfect fit"] = short
        evidence["threshold"] = threshold
    else:
        found = rises and now > 2 * GAP * loss
    if not found:
        return []
    message = (
        f"The model overfits: its loss is {loss:.3g} in training and "
        f"{now:.3g} in validation"
    )
    if rises:
        message += f", after {best:.3g} around epoch {epoch}"
    return [
        finding_of(
            signs, "overfitting", None, None, evidence, message + ".", "warning"
        )
    ]


def _is_crossentropy(signs: Signs) -> bool:
    outputs = signs.records.facts.outputs
    return any("crossentropy" in (output.loss or "") for output in outputs)
