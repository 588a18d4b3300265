"""Rules on units: dead ones and saturated ones."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.rules.shared import (
    LARGE_WEIGHTS,
    applied_activation,
    finding_of,
    is_normalized,
    preactivation_scale,
    saturated_by_weights,
)

# Shares of a ReLU layer's units that are dead. Half of a layer may be dead in
# a healthy model, above all in an autoencoder.
MOSTLY_DEAD, LARGELY_DEAD, HALF_DEAD = 0.9, 0.75, 0.5
# How far initial weights pull ReLU units below zero if all inputs are 1, in
# standard deviations. Usual initializers reach 1 / sqrt(units).
NEGATIVE_PULL, MIN_UNITS = 1.5, 8
# Dead units do not hurt a run with this normalized improvement.
WELL_TRAINED = 0.8
# Share of saturated outputs.
SATURATED = 0.5

CONDITIONS = {
    "dying_relu": f"""
A dead unit outputs 0 for all sampled batches of an epoch.
Error: above {MOSTLY_DEAD:.0%} of a layer, in a run that does not learn.
Warning: above {LARGELY_DEAD:.0%}, in a run that fails or is half learned.
Warning: above {HALF_DEAD:.0%}, if both of these hold:
  the normalized improvement is below {WELL_TRAINED:.0%};
  initial weights pull {MIN_UNITS} or more units {NEGATIVE_PULL:g} std below 0.
Info: above {MOSTLY_DEAD:.0%}, in a run that learns.
Silent: after a step that is not finite.
Earliest: first look.
Can be wrong: units that fire rarely count as dead.
""",
    "saturated_activation": f"""
Only hidden sigmoid and tanh layers, in runs that do not learn.
Error: above {SATURATED:.0%} of the outputs, in the median of all sampled steps.
Warning instead: the run is half learned.
Error, in recurrent layers: initial std · √fan_in above {LARGE_WEIGHTS:g}.
Earliest: first look, if the first step saturates; else when the run fails.
Can be wrong: recurrent layers are judged by their weights alone.
""",
}


def dead_at_start(summary: LearningSummary) -> Finding | None:
    """Look for ReLU layers that are mostly dead in the first step.

    Initial weights, biases or inputs are the cause then. The first batch
    alone shows too little, so the share over the epoch must agree.
    """
    shares = _dead_shares(summary, first=True)
    most = max(shares.values(), default=0.0)
    if summary.learns:
        return None
    if most <= (HALF_DEAD if _negative_pull(summary) else MOSTLY_DEAD):
        return None
    return _dead(summary, shares, 0, "from the first step on", "error")


def dying_relu(summary: LearningSummary) -> Finding | None:
    """Look for ReLU layers whose units output 0 for all of an epoch."""
    if summary.first_nonfinite is not None:
        return None
    shares = _dead_shares(summary, first=False)
    most = max(shares.values(), default=0.0)
    if most > MOSTLY_DEAD and not summary.learns:
        severity = "error"
    elif most > LARGELY_DEAD and (summary.fails or summary.is_half_learned):
        severity = "warning"
    elif (
        most > HALF_DEAD
        and _negative_pull(summary)
        and summary.had_time
        and summary.improvement < WELL_TRAINED
    ):
        severity = "warning"
    elif most > MOSTLY_DEAD:
        severity = "info"
    else:
        return None
    steps = summary.history.steps
    step = int(steps[-1]) if len(steps) else None
    return _dead(summary, shares, step, "by now", severity)


def _negative_pull(summary: LearningSummary) -> float:
    """Return the largest pull below zero, or 0 if none is large."""
    layers = summary.history.facts.layers
    pulls = [
        -layer.weight_mean * layer.fan_in**0.5 / layer.weight_std
        for layer in layers
        if layer.weight_std
        and layer.fan_in
        and layer.trainable
        and not layer.bias_size  # A trained layer has biases.
        and (layer.units or 0) >= MIN_UNITS
        and applied_activation(layer, layers) in ("relu", "relu6")
        and not is_normalized(layer, layers)
    ]
    largest = max(pulls, default=0.0)
    return largest if largest > NEGATIVE_PULL else 0.0


def saturated_at_start(summary: LearningSummary) -> Finding | None:
    """Look for sigmoid and tanh layers that are saturated from the start.

    Layers that cannot be captured, such as recurrent ones, are judged by
    their initial weights and biases.
    """
    if summary.learns and not summary.is_half_learned:
        return None
    found = _saturation(summary)
    at_start = {k: v for k, v in found.items() if v[0] > SATURATED}
    if at_start:
        return _saturated(summary, at_start, 0)
    return (
        None if summary.learns else _saturated_uncaptured(summary, set(found))
    )


def saturated_activation(summary: LearningSummary) -> Finding | None:
    """Look for sigmoid and tanh layers that became saturated."""
    if not (summary.fails or summary.is_half_learned):
        return None
    if not len(summary.history.steps):
        return None
    found = _saturation(summary)
    if not found:
        return None
    return _saturated(summary, found, int(summary.history.steps[-1]))


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
        f"`{layer}` is saturated: {share:.0%} of its outputs lie where the "
        "activation is flat. Hardly any gradient passes."
    )
    return finding_of(
        summary,
        "saturated_activation",
        evidence,
        message,
        layer,
        step,
        "warning" if summary.is_half_learned else "error",
    )


def _saturated_uncaptured(
    summary: LearningSummary, captured: set[str]
) -> Finding | None:
    """Judge layers whose activation runs inside a loop by their weights."""
    layers = [
        x for x in saturated_by_weights(summary) if x.path not in captured
    ]
    if not layers or not summary.epochs:
        return None
    layer = max(layers, key=preactivation_scale)
    scale = preactivation_scale(layer)
    activation = applied_activation(layer, summary.history.facts.layers)
    evidence: dict[str, float | str] = {
        "initial std * sqrt(fan_in), or mean |bias|": scale,
        "threshold": LARGE_WEIGHTS,
    }
    message = (
        f"`{layer.path}` starts saturated: for inputs of size 1, its initial "
        f"weights give the {activation} numbers of size {scale:.3g}, where it "
        "is flat."
    )
    return finding_of(
        summary, "saturated_activation", evidence, message, layer.path, 0
    )


def _dead_shares(summary: LearningSummary, first: bool) -> dict[str, float]:
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
    share, pull = shares[layer], _negative_pull(summary)
    threshold = MOSTLY_DEAD
    if pull:
        threshold = HALF_DEAD
    elif severity == "warning":
        threshold = LARGELY_DEAD
    evidence: dict[str, float | str] = {
        "dead share of units": share,
        "threshold": threshold,
    }
    if pull:
        evidence["pull of the initial weights below zero (std)"] = pull
    known = summary.history.facts.knows(layer)
    where = f"`{layer}`" if known else f"the `call` of `{layer}`"
    message = (
        f"{share:.0%} of the ReLU units of {where} are dead {when}: they "
        "output 0 for every input, get no gradient and cannot come back."
    )
    others = [x for x in shares if x != layer and shares[x] > threshold]
    if others:
        evidence["layers as dead as that"] = 1 + len(others)
        message += f" Likewise {_listed(others)}."
    return finding_of(
        summary, "dying_relu", evidence, message, layer, step, severity=severity
    )


def _listed(layers: list[str]) -> str:
    """Return the names of the first few."""
    names = [f"`{layer}`" for layer in layers[:3]]
    if len(layers) > 3:
        names.append(f"{len(layers) - 3} more")
    return " and ".join([", ".join(names[:-1]), names[-1]][-len(names) :])
