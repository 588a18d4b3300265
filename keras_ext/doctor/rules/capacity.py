"""Rules on what keeps a model from learning more than little."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.gradients import finding_of
from keras_ext.doctor.rules.learning_summary import (
    FAIR,
    LEVEL,
    STRONG_PENALTY,
    LearningSummary,
)
from keras_ext.doctor.rules.progress import VIOLENT

# A share of the way from a guess to a perfect fit that is too little.
POOR = 0.1
# Error, relative to the targets' standard deviation, which no constant answer
# exceeds; and the metrics that tell it, with its power.
WORSE = 1.5
_ERRORS = {
    "mae": 1,
    "mean_absolute_error": 1,
    "root_mean_squared_error": 1,
    "mse": 2,
    "mean_squared_error": 2,
}
# What holds a model back, beside `STRONG_PENALTY`: units of a layer, dropout
# rate.
NARROW, STRONG_DROPOUT = 2, 0.75


def smothered(summary: LearningSummary) -> list[Finding]:
    """Look for a model that dropout or a penalty keeps from learning.

    By a dropout rate of `STRONG_DROPOUT` or a penalty of `STRONG_PENALTY`, in
    a run that fails, or whose loss has levelled off, or which ends, at less
    than `FAIR` of the way from a guess to a perfect fit. What else is large,
    small or dead then follows from it: what dropout leaves over it scales up,
    ten-fold if it takes 90 %, and each layer anew.

    It can be wrong of a penalty whose loss is not a mean but a sum.
    """
    clue = _smothered(summary)
    if clue is None or not _is_stuck(summary):
        return []
    return [_underfits(summary, FAIR, *clue)]


def held_back(summary: LearningSummary) -> list[Finding]:
    """Look for a model that is too simple, and that has levelled off.

    By a layer of one or two units, or because no hidden layer has an
    activation, in a run that fails, or whose loss has levelled off, or which
    ends, at less than `FAIR` of the way from a guess to a perfect fit. What
    else is small or dead then follows from it.

    It can be wrong where layers of one's own are what is not linear.
    """
    if summary.first_nonfinite is not None or not _is_stuck(summary):
        return []
    if summary.baseline is None and not summary.fails:
        return []
    violent = len(summary.updates) and summary.updates[:10].max() > VIOLENT
    clue = _narrow(summary) or _linear(summary)
    if clue is None or violent:
        return []
    return [_underfits(summary, FAIR, *clue)]


def _is_stuck(summary: LearningSummary) -> bool:
    """Return whether a run fails, or ends up below `FAIR`."""
    if not summary.has_begun and summary.first_nonfinite is None:
        return False
    if summary.fails:
        return True
    if (
        summary.share_done < 0.6
        or summary.epochs < 3
        or summary.improvement >= FAIR
    ):
        return False
    if summary.history.finished or not summary.learns:
        return True
    return summary.has_levelled_off(FAIR)


def underfitting(summary: LearningSummary) -> list[Finding]:
    """Look for a run that has levelled off far from a good fit.

    It is what is left to say when the run had its time, no longer gains, has
    come less than `POOR` of the way from a guess to a perfect fit, and nothing
    else explains it.

    Not of a run that has been twice as far: that swings, or falls back.

    It can be wrong where the data tell no more than that. Where it is not
    known what a guess would lose, as with a loss of one's own, there is an
    info on a run whose metric, a mean absolute or squared error, is that of a
    worse answer than any constant: `WORSE` times the targets' spread. No more
    than that, since such a loss may ask for it, as that of a high quantile.
    """
    if summary.baseline is None:
        return _worse_than_a_constant(summary)
    losses = summary.epoch_losses[np.isfinite(summary.epoch_losses)]
    has_been = summary.improvement_of(np.min(losses)) if len(losses) else 0.0
    if not summary.has_levelled_off(POOR) or has_been > 2 * POOR:
        return []
    return [_underfits(summary, POOR)]


def _worse_than_a_constant(summary: LearningSummary) -> list[Finding]:
    """Look for errors that are larger than those of a constant answer."""
    batch, outputs = summary.history.batch, summary.history.facts.outputs
    if batch is None or len(outputs) != 1 or not batch.y_std > 0:
        return []
    if summary.share_done < 0.6 or summary.epochs < 3 or not summary.has_begun:
        return []
    for name, power in _ERRORS.items():
        values = summary.history.logs.get(name, np.zeros(0))[-3:]
        if not len(values) or not (
            np.min(values) ** (1 / power) > WORSE * batch.y_std
        ):
            continue
        evidence: dict[str, float | str] = {
            name: float(values[-1]),
            "spread of the targets": batch.y_std,
            "threshold": WORSE,
        }
        message = (
            f"Its {name} is {values[-1]:.3g}, more than that of a constant "
            "answer, as the targets' standard deviation is "
            f"{batch.y_std:.3g}: unless the loss asks for that, the model "
            "underfits."
        )
        return [
            finding_of(
                summary, "underfitting", None, None, evidence, message, "info"
            )
        ]
    return []


def _underfits(
    summary: LearningSummary,
    threshold: float,
    layer: str | None = None,
    reason: str = "",
) -> Finding:
    evidence: dict[str, float | str] = {
        "share of the way from a guess to a perfect fit": summary.improvement,
        "threshold": threshold,
    }
    rests = not summary.history.finished or summary.recent_gain <= LEVEL
    how = "levelled off" if rests else "ended"
    message = (
        f"The model underfits: its training has {how} at "
        f"{summary.improvement:.0%} of the way from a guess to a perfect fit"
    )
    if reason:
        message += f", and {reason}"
    return finding_of(
        summary, "underfitting", layer, None, evidence, message + ".", "warning"
    )


def _smothered(summary: LearningSummary) -> tuple[str, str] | None:
    """Return a layer that keeps the model from learning, and how."""
    for layer in summary.history.facts.layers[:-1]:
        if layer.dropout >= STRONG_DROPOUT:
            return layer.path, f"`{layer.path}` drops {layer.dropout:.0%}"
        if layer.penalty >= STRONG_PENALTY:
            return (
                layer.path,
                f"`{layer.path}` has a penalty of {layer.penalty:g}",
            )
    return None


def _narrow(summary: LearningSummary) -> tuple[str, str] | None:
    """Return a hidden layer that lets next to nothing through."""
    if _encodes(summary):
        return None
    for layer in summary.history.facts.layers[:-1]:
        narrow = layer.fan_in and 0 < (layer.units or 0) <= NARROW
        if narrow and "output" not in (layer.feeds or ()):
            units = "1 unit" if layer.units == 1 else f"{layer.units} units"
            return layer.path, f"`{layer.path}` has only {units}"
    return None


def _linear(summary: LearningSummary) -> tuple[str, str] | None:
    """Return the first layer of a model that is deep, but linear."""
    layers = summary.history.facts.layers
    weighted = [layer for layer in layers if layer.weight_std is not None]
    hidden = [x for x in weighted if x.feeds and "output" not in x.feeds]
    known = all(
        layer.kind.startswith(("Dense", "Conv"))
        and layer.feeds
        and "?" not in layer.feeds
        for layer in weighted
    )
    bent = [
        layer
        for layer in layers
        if layer.activation is not None and "output" not in (layer.feeds or ())
    ]
    if not hidden or not known or bent or _encodes(summary):
        return None
    reason = "no hidden layer has an activation: it is a linear model"
    return hidden[0].path, reason


def _encodes(summary: LearningSummary) -> bool:
    """Return whether the targets are vectors, as those of autoencoders."""
    batch, outputs = summary.history.batch, summary.history.facts.outputs
    one_hot = any(
        (output.loss or "").startswith("categorical") for output in outputs
    )
    return batch is not None and (batch.y_units or 0) > 1 and not one_hot
