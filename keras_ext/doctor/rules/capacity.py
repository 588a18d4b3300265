"""Rules on what keeps a model from learning more than a little."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    FAIR_IMPROVEMENT,
    MIN_EPOCHS,
    PLATEAU_PACE,
    PLATEAU_SHARE,
    STRONG_PENALTY,
    STRONG_SHARE,
    LearningSummary,
)
from keras_ext.doctor.rules.progress import LARGE_UPDATE
from keras_ext.doctor.rules.shared import finding_of

# Normalized improvement of a run that underfits for no known reason.
POOR_IMPROVEMENT = 0.1
NARROW, STRONG_DROPOUT = 2, 0.75
# Share of the most frequent class; how far an accuracy may be above it.
UNEVEN, NO_BETTER = 0.8, 0.02
# Error / standard deviation of the targets, and the metrics that measure it
# with its power. No constant prediction exceeds it.
CONSTANT_ERROR = 1.5
_ERRORS = {
    "mae": 1,
    "mean_absolute_error": 1,
    "root_mean_squared_error": 1,
    "mse": 2,
    "mean_squared_error": 2,
}

CONDITIONS = {
    "underfitting": f"""
Warning: a plateau below {POOR_IMPROVEMENT:.0%} normalized improvement,
  which never was above {2 * POOR_IMPROVEMENT:.0%}.
Warning: a run that fails, plateaus or ends below {FAIR_IMPROVEMENT:.0%}, with:
  a hidden layer of {NARROW} units or fewer;
  or hidden layers without any activation;
  or dropout of {STRONG_DROPOUT:g}, or a penalty of {STRONG_PENALTY:g};
  or a penalty that adds {STRONG_SHARE:g} times the baseline to the first loss.
Info, custom loss: an error above {CONSTANT_ERROR:g} times the targets' std.
Earliest: {MIN_EPOCHS} epochs and {PLATEAU_SHARE:.0%} of training,
  or, with such a layer, when the run fails.
Can be wrong: data without more information; penalties on a summed loss.
""",
    "class_imbalance": f"""
Warning, if all of these hold:
  the most frequent class has {UNEVEN:.0%} of the labels;
  the accuracy is its share, within {NO_BETTER:.0%}, where it is logged;
  the run fails or is half learned, or training is over.
Earliest: when the run fails.
Can be wrong: data without more information.
""",
}


def over_regularized(summary: LearningSummary) -> Finding | None:
    """Look for a model that dropout or a penalty keeps from learning.

    It comes first: dropout scales up what it leaves, ten-fold at a rate of
    0.9, in each layer anew. Other findings follow from that.
    """
    reason = _regularization(summary)
    if reason is None or not _is_stuck(summary):
        return None
    return _underfits(summary, FAIR_IMPROVEMENT, *reason)


def too_simple(summary: LearningSummary) -> Finding | None:
    """Look for a model that is too narrow, or linear, and has plateaued.

    It can be wrong where custom layers are the nonlinear ones.
    """
    if summary.first_nonfinite is not None or not _is_stuck(summary):
        return None
    if summary.baseline is None and not summary.fails:
        return None
    large = len(summary.updates) and summary.updates[:10].max() > LARGE_UPDATE
    reason = _narrow(summary) or _linear(summary)
    if reason is None or large:
        return None
    return _underfits(summary, FAIR_IMPROVEMENT, *reason)


def _is_stuck(summary: LearningSummary) -> bool:
    """Return whether a run fails, or ends up below a fair improvement."""
    if not summary.has_begun and summary.first_nonfinite is None:
        return False
    if summary.fails:
        return True
    if not summary.is_late or summary.improvement >= FAIR_IMPROVEMENT:
        return False
    if summary.history.finished or not summary.learns:
        return True
    return summary.has_plateaued(FAIR_IMPROVEMENT)


def class_imbalance(summary: LearningSummary) -> Finding | None:
    """Look for a model that predicts the most frequent class alone."""
    batch = summary.history.batch
    if batch is None or len(batch.class_shares) < 2:
        return None
    top = float(batch.class_shares.max())
    if top < UNEVEN or summary.first_nonfinite is not None:
        return None
    reached = [
        float(values[-1])
        for key, values in summary.history.logs.items()
        if key.removeprefix("val_").endswith(("accuracy", "acc"))
    ]
    stuck = summary.fails or summary.is_half_learned
    if reached:
        stuck = stuck or summary.history.finished
        stuck = stuck and max(reached) <= top + NO_BETTER
    if not stuck:
        return None
    evidence: dict[str, float | str] = {
        "share of the most frequent class": top,
        "threshold": UNEVEN,
    }
    message = (
        f"{top:.0%} of the labels are of one class, and the model hardly does "
        "more than predict this class."
    )
    if reached:
        evidence["accuracy"] = max(reached)
    return finding_of(
        summary, "class_imbalance", evidence, message, severity="warning"
    )


def underfitting(summary: LearningSummary) -> Finding | None:
    """Look for a run that has plateaued far from a good fit.

    No other rule explains it. A run that was twice as good oscillates, or
    falls back, and does not underfit.
    """
    if summary.baseline is None:
        return _worse_than_constant(summary)
    losses = summary.epoch_losses[np.isfinite(summary.epoch_losses)]
    best = summary.improvement_of(np.min(losses)) if len(losses) else 0.0
    plateaued = summary.has_plateaued(POOR_IMPROVEMENT)
    if not plateaued or best > 2 * POOR_IMPROVEMENT:
        return None
    return _underfits(summary, POOR_IMPROVEMENT)


def _worse_than_constant(summary: LearningSummary) -> Finding | None:
    """Look for errors that are larger than a constant prediction's.

    An info only: a custom loss may ask for them, such as a high quantile.
    """
    batch, outputs = summary.history.batch, summary.history.facts.outputs
    if batch is None or len(outputs) != 1 or not batch.y_std > 0:
        return None
    if not summary.is_late or not summary.has_begun:
        return None
    for name, power in _ERRORS.items():
        values = summary.history.logs.get(name, np.zeros(0))[-3:]
        if not len(values) or not (
            np.min(values) ** (1 / power) > CONSTANT_ERROR * batch.y_std
        ):
            continue
        evidence: dict[str, float | str] = {
            name: float(values[-1]),
            "standard deviation of the targets": batch.y_std,
            "threshold": CONSTANT_ERROR,
        }
        message = (
            f"The model underfits, unless the loss asks for it: {name} is "
            f"{values[-1]:.3g}, worse than a constant prediction's. The "
            f"targets' standard deviation is {batch.y_std:.3g}."
        )
        return finding_of(
            summary, "underfitting", evidence, message, severity="info"
        )
    return None


def _underfits(
    summary: LearningSummary,
    threshold: float,
    layer: str | None = None,
    reason: str = "",
) -> Finding:
    evidence: dict[str, float | str] = {
        "normalized improvement": summary.improvement,
        "threshold": threshold,
    }
    plateaued = (
        not summary.history.finished or summary.recent_decrease <= PLATEAU_PACE
    )
    message = (
        "The model underfits: training has "
        f"{'plateaued' if plateaued else 'ended'} at "
        f"{summary.improvement:.0%} of the possible improvement over a "
        "constant prediction."
    )
    if reason:
        message += f" {reason}."
    return finding_of(
        summary, "underfitting", evidence, message, layer, severity="warning"
    )


def _regularization(summary: LearningSummary) -> tuple[str, str] | None:
    """Return a layer that regularizes too much, and how."""
    for layer in summary.history.facts.layers[:-1]:
        if layer.dropout >= STRONG_DROPOUT:
            return layer.path, f"`{layer.path}` drops {layer.dropout:.0%}"
        if summary.is_strong(layer):
            reason = f"`{layer.path}` has a penalty of {layer.penalty:g}"
            if layer.penalty_loss:
                reason += f", which adds {layer.penalty_loss:.3g} to the loss"
            return layer.path, reason
    return None


def _narrow(summary: LearningSummary) -> tuple[str, str] | None:
    """Return a hidden layer with too few units."""
    if _has_vector_targets(summary):
        return None
    for layer in summary.history.facts.layers[:-1]:
        narrow = layer.fan_in and 0 < (layer.units or 0) <= NARROW
        if narrow and "output" not in (layer.feeds or ()):
            units = "1 unit" if layer.units == 1 else f"{layer.units} units"
            return layer.path, f"`{layer.path}` has only {units}"
    return None


def _linear(summary: LearningSummary) -> tuple[str, str] | None:
    """Return the first layer of a model that is deep but linear."""
    layers = summary.history.facts.layers
    weighted = [layer for layer in layers if layer.weight_std is not None]
    hidden = [x for x in weighted if x.feeds and "output" not in x.feeds]
    known = all(
        layer.kind.startswith(("Dense", "Conv"))
        and layer.feeds
        and "?" not in layer.feeds
        for layer in weighted
    )
    nonlinear = [
        layer
        for layer in layers
        if layer.activation is not None and "output" not in (layer.feeds or ())
    ]
    if not hidden or not known or nonlinear or _has_vector_targets(summary):
        return None
    reason = "No hidden layer has an activation, so it is a linear model"
    return hidden[0].path, reason


def _has_vector_targets(summary: LearningSummary) -> bool:
    """Return whether the targets are vectors, as those of autoencoders."""
    batch, outputs = summary.history.batch, summary.history.facts.outputs
    one_hot = any(
        (output.loss or "").startswith("categorical") for output in outputs
    )
    return batch is not None and (batch.y_units or 0) > 1 and not one_hot
