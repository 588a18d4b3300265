"""Rules on units: dead ones and saturated ones."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.gradient_rules import (
    LARGE_GAIN,
    drive,
    finding_of,
    squashed_by_weights,
)
from keras_ext.doctor.signs import Signs

# Dead share of a layer that cuts the model in two.
MOSTLY_DEAD = 0.9
# Dead share that weighs if the run does not learn.
HALF_DEAD = 0.5
# Share of outputs where the activation is flat.
SATURATED = 0.5


def dead_from_the_beginning(signs: Signs) -> list[Finding]:
    """Look for ReLU layers that are mostly dead in the first step.

    Before anything was learned it is the initial weights or biases that
    keep more than `MOSTLY_DEAD` of a layer silent, or the input. One batch
    is looked at: units that fire rarely may count as dead; hence the epoch's
    share, over all its sampled steps, must agree.
    """
    worst = _worst(signs, first=True)
    if worst is None or signs.learns:
        return []
    layer, share = worst
    if share <= MOSTLY_DEAD:
        return []
    return [_dead(signs, layer, share, 0, "from the first step on", "error")]


def dying_relu(signs: Signs) -> list[Finding]:
    """Look for ReLU layers whose units fire for no input of an epoch.

    More than `MOSTLY_DEAD` of a layer is an error, more than `HALF_DEAD` a
    warning, if the run does not learn. Dead units of a model that learns
    cost capacity and are a remark.
    """
    worst = _worst(signs, first=False)
    if worst is None:
        return []
    layer, share = worst
    steps = signs.records.steps
    step = int(steps[-1]) if len(steps) else None
    if share > MOSTLY_DEAD and not signs.learns:
        return [_dead(signs, layer, share, step, "by now", "error")]
    if share > HALF_DEAD and signs.fails:
        return [_dead(signs, layer, share, step, "by now", "warning")]
    if share > MOSTLY_DEAD:
        return [_dead(signs, layer, share, step, "by now", "info")]
    return []


def saturated_activation(signs: Signs) -> list[Finding]:
    """Look for sigmoid and tanh layers that work where they are flat.

    More than `SATURATED` of a hidden layer's outputs, in the median over
    the sampled steps, in a run that does not learn. An output layer may be
    sure of itself and is left out. Of a layer that cannot be heard, as in a
    recurrent one, initial weights and biases say how far out it starts.
    """
    if signs.learns:
        return []
    shares = signs.norms("saturation/")
    outputs = {layer.path for layer in signs.records.facts.layers[-1:]}
    found = {
        layer: float(np.median(values))
        for layer, values in shares.items()
        if len(values) and layer not in outputs
    }
    layer = max(found, key=found.__getitem__) if found else ""
    if not found or found[layer] <= SATURATED:
        return _unheard(signs, set(found))
    at_start = float(shares[layer][0])
    if not (at_start > SATURATED or signs.fails):
        return []
    step = 0 if at_start > SATURATED else int(signs.records.steps[-1])
    evidence = {
        "saturated share of outputs": found[layer],
        "share in the first step": at_start,
        "threshold": SATURATED,
    }
    message = (
        f"`{layer}` is saturated: {found[layer]:.0%} of its outputs lie where "
        "its activation is flat and passes hardly any gradient on."
    )
    return [
        finding_of(
            signs, "saturated_activation", layer, step, evidence, message
        )
    ]


def _unheard(signs: Signs, heard: set[str]) -> list[Finding]:
    """Judge by their weights layers whose activation runs inside a loop."""
    layers = [x for x in squashed_by_weights(signs) if x.path not in heard]
    if not layers or not signs.epochs:
        return []
    layer = max(layers, key=drive)
    evidence = {
        "gain of initial weights or size of biases": drive(layer),
        "threshold": LARGE_GAIN,
    }
    message = (
        f"`{layer.path}` starts saturated: its initial weights drive its "
        f"{layer.activation} {drive(layer):.3g} times as far as inputs of "
        "size one should, to where it is flat."
    )
    return [
        finding_of(
            signs, "saturated_activation", layer.path, 0, evidence, message
        )
    ]


def _worst(signs: Signs, first: bool) -> tuple[str, float] | None:
    """Return the layer with most dead units, and their share.

    Args:
        signs: What is known.
        first: Whether to look at the first step, or at the last epoch.
    """
    records = signs.records
    shares = {}
    for layer, values in records.of_kind("dead_relu/").items():
        epochs = records.epochs.get(f"dead_relu/{layer}", values[-1:])
        if not len(values):
            continue
        if first:
            share = min(values[0], epochs[0] if len(epochs) else 1.0)
        else:
            share = epochs[-1] if len(epochs) else values[-1]
        shares[layer] = float(share)
    if not shares:
        return None
    layer = max(shares, key=shares.__getitem__)
    return layer, shares[layer]


def _dead(
    signs: Signs,
    layer: str,
    share: float,
    step: int | None,
    when: str,
    severity: str,
) -> Finding:
    evidence = {"dead share of units": share, "threshold": MOSTLY_DEAD}
    if severity == "warning":
        evidence["threshold"] = HALF_DEAD
    message = (
        f"{share:.0%} of the ReLU units of `{layer}` are dead {when}: they "
        "are 0 for every input, get no gradient and cannot come back."
    )
    return finding_of(
        signs, "dying_relu", layer, step, evidence, message, severity
    )
