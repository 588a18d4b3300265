"""Rules on units: dead ones and saturated ones."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.gradients import (
    LARGE_GAIN,
    drive,
    finding_of,
    is_normalized,
    squashed_by_weights,
)
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.rules.static import applied

# Dead share of a layer that cuts the model in two.
MOSTLY_DEAD = 0.9
# Dead share that weighs if the run does not learn; and if the initial
# weights keep units silent.
LARGELY_DEAD, HALF_DEAD = 0.75, 0.5
# By how many standard deviations the initial weights pull units below zero,
# if all inputs are 1; those of usual initializers by 1 / sqrt(units).
LEANING, FEWEST_UNITS = 1.5, 8
# How far a run has come, of the way to a perfect fit, if dead units do not
# hurt it.
WELL = 0.8
# Share of outputs where the activation is flat.
SATURATED = 0.5


def dead_from_the_beginning(summary: LearningSummary) -> list[Finding]:
    """Look for ReLU layers that are mostly dead in the first step.

    Before anything was learned it is the initial weights or biases that
    keep more than `MOSTLY_DEAD` of a layer silent, or the input; more than
    `HALF_DEAD`, if it shows in the weights: see `dying_relu`. One batch
    is looked at: units that fire rarely may count as dead; hence the epoch's
    share, over all its sampled steps, must agree.
    """
    shares = _shares(summary, first=True)
    most = max(shares.values(), default=0.0)
    if summary.learns:
        return []
    if most <= (HALF_DEAD if _leaning(summary) else MOSTLY_DEAD):
        return []
    return [_dead(summary, shares, 0, "from the first step on", "error")]


def dying_relu(summary: LearningSummary) -> list[Finding]:
    """Look for ReLU layers whose units fire for no input of an epoch.

    More than `MOSTLY_DEAD` of a layer is an error, if the run does not
    learn, and more than `LARGELY_DEAD` a warning, if it fails. Half of a
    layer may well be dead in a healthy model, above all in an autoencoder.
    But if the initial weights of a ReLU layer are negative in the mean, so
    that inputs above zero (as from a ReLU) pull its units `LEANING` standard
    deviations below zero, it is no accident: then more than `HALF_DEAD` is a
    warning in any run that has not come `WELL`. (Layers that were trained
    before may lean so, too; they have biases, and do not count.) Other dead
    units of a model that learns cost capacity and are a remark.

    After a step that is not finite all units are dead, and that is told.

    It can be wrong where the inputs are such that few units fire for any.
    """
    if summary.first_nonfinite is not None:
        return []
    shares = _shares(summary, first=False)
    most = max(shares.values(), default=0.0)
    had_time = summary.epochs >= 3 or summary.share_done >= 0.3
    if most > MOSTLY_DEAD and not summary.learns:
        severity = "error"
    elif most > LARGELY_DEAD and summary.fails:
        severity = "warning"
    elif (
        most > HALF_DEAD
        and _leaning(summary)
        and had_time
        and summary.improvement < WELL
    ):
        severity = "warning"
    elif most > MOSTLY_DEAD:
        severity = "info"
    else:
        return []
    steps = summary.history.steps
    step = int(steps[-1]) if len(steps) else None
    return [_dead(summary, shares, step, "by now", severity)]


def _leaning(summary: LearningSummary) -> float:
    """Return how far initial weights pull ReLU units below zero, or 0.

    In standard deviations of what the weights make of inputs that are all 1,
    of the layer where it is most.
    """
    layers = summary.history.facts.layers
    pulls = [
        -layer.weight_mean * layer.fan_in**0.5 / layer.weight_std
        for layer in layers
        if layer.weight_std
        and layer.fan_in
        and layer.trainable
        and not layer.bias_size  # others were trained before
        and (layer.units or 0) >= FEWEST_UNITS
        and applied(layer, layers) in ("relu", "relu6")
        and not is_normalized(layer, layers)
    ]
    largest = max(pulls, default=0.0)
    return largest if largest > LEANING else 0.0


def saturated_from_the_beginning(summary: LearningSummary) -> list[Finding]:
    """Look for sigmoid and tanh layers that start where they are flat.

    More than `SATURATED` of a hidden layer's outputs in the first step and
    in the median over all sampled steps, in a run that does not learn. An
    output layer may be sure of itself and is left out. Of a layer that
    cannot be captured, as in a recurrent one, initial weights and biases say
    how far out it starts.
    """
    if summary.learns:
        return []
    found = _saturation(summary)
    at_start = {k: v for k, v in found.items() if v[0] > SATURATED}
    if not at_start:
        return _uncaptured(summary, set(found))
    return [_saturated(summary, at_start, 0)]


def saturated_activation(summary: LearningSummary) -> list[Finding]:
    """Look for sigmoid and tanh layers that came to work where they are flat.

    As `saturated_from_the_beginning`, by the median over the sampled steps,
    in a run that had its time and did not learn.
    """
    if not summary.fails or not len(summary.history.steps):
        return []
    found = _saturation(summary)
    if not found:
        return []
    return [_saturated(summary, found, int(summary.history.steps[-1]))]


def _saturation(summary: LearningSummary) -> dict[str, np.ndarray]:
    """Return the saturated shares of hidden layers that mostly saturate."""
    outputs = {layer.path for layer in summary.history.facts.layers[-1:]}
    return {
        layer: values
        for layer, values in summary.norms("saturation/").items()
        if len(values)
        and layer not in outputs
        and np.median(values) > SATURATED
    }


def _saturated(
    summary: LearningSummary, found: dict[str, np.ndarray], step: int
) -> Finding:
    layer = max(found, key=lambda name: float(np.median(found[name])))
    share = float(np.median(found[layer]))
    evidence: dict[str, float | str] = {
        "saturated share of outputs": share,
        "share in the first step": float(found[layer][0]),
        "threshold": SATURATED,
    }
    message = (
        f"`{layer}` is saturated: {share:.0%} of its outputs lie where "
        "its activation is flat and passes hardly any gradient on."
    )
    return finding_of(
        summary, "saturated_activation", layer, step, evidence, message
    )


def _uncaptured(summary: LearningSummary, captured: set[str]) -> list[Finding]:
    """Judge by their weights layers whose activation runs inside a loop."""
    layers = [x for x in squashed_by_weights(summary) if x.path not in captured]
    if not layers or not summary.epochs:
        return []
    layer, facts = max(layers, key=drive), summary.history.facts.layers
    evidence: dict[str, float | str] = {
        "gain of initial weights or size of biases": drive(layer),
        "threshold": LARGE_GAIN,
    }
    message = (
        f"`{layer.path}` starts saturated: its initial weights drive its "
        f"{applied(layer, facts)} {drive(layer):.3g} times as far as inputs "
        "of size one should, to where it is flat."
    )
    return [
        finding_of(
            summary, "saturated_activation", layer.path, 0, evidence, message
        )
    ]


def _shares(summary: LearningSummary, first: bool) -> dict[str, float]:
    """Return each layer's share of dead units.

    Args:
        summary: What is known.
        first: Whether to look at the first step, or at the last epoch.
    """
    history = summary.history
    shares = {}
    for layer, values in history.of_kind("dead_relu/").items():
        epochs = history.epochs.get(f"dead_relu/{layer}", values[-1:])
        if not len(values):
            continue
        if first:
            share = min(values[0], epochs[0] if len(epochs) else 1.0)
        else:
            share = epochs[-1] if len(epochs) else values[-1]
        shares[layer] = float(share)
    return shares


def _dead(
    summary: LearningSummary,
    shares: dict[str, float],
    step: int | None,
    when: str,
    severity: str,
) -> Finding:
    layer = max(shares, key=shares.__getitem__)
    share, leaning = shares[layer], _leaning(summary)
    threshold = MOSTLY_DEAD
    if leaning:
        threshold = HALF_DEAD
    elif severity == "warning":
        threshold = LARGELY_DEAD
    evidence: dict[str, float | str] = {
        "dead share of units": share,
        "threshold": threshold,
    }
    if leaning:
        evidence["pull of the initial weights below zero"] = leaning
    known = summary.history.facts.knows(layer)
    where = f"`{layer}`" if known else f"the `call` of `{layer}`"
    message = (
        f"{share:.0%} of the ReLU units of {where} are dead {when}: they are 0 "
        "for every input, get no gradient and cannot come back."
    )
    others = [x for x in shares if x != layer and shares[x] > threshold]
    if others:
        evidence["layers as dead as that"] = 1 + len(others)
        message += f" Likewise {_listed(others)}."
    return finding_of(
        summary, "dying_relu", layer, step, evidence, message, severity
    )


def _listed(layers: list[str]) -> str:
    """Return the names of the first few."""
    names = [f"`{layer}`" for layer in layers[:3]]
    if len(layers) > 3:
        names.append(f"{len(layers) - 3} more")
    return " and ".join([", ".join(names[:-1]), names[-1]][-len(names) :])
