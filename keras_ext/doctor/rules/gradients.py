"""Rules on gradients, and on numbers that are no longer finite."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.rules.static import applied
from keras_ext.doctor.run_history import LayerFacts

# A gradient of this many times the loss, in a loss of order one, moves
# weights of usual size by many times the way to the minimum.
STEEP = 100.0
# A gradient that grows by this factor since the first steps.
GROWTH = 100.0
# Standard deviations of activations that depth multiplies by this factor.
SPREAD = 1e3
# Gradient of the first layers, relative to that of the last: in a run that
# does not learn, and in one that fails. In healthy runs that are slow to
# begin it is above 0.03.
FADED, FAINT = 1e-3, 1e-2
# Gains sqrt(fan_in) * std of initial weights: He's is 1.4.
LARGE_GAIN = 4.0
# How many times a guess's loss the first one is, if weights and activations
# are too large as well.
EXCESS = 3.0
SQUASHING = ("sigmoid", "tanh", "hard_sigmoid", "softsign")


def exploding_from_the_beginning(summary: LearningSummary) -> list[Finding]:
    """Look for gradients far too large for the loss, in the first step.

    The global norm is more than `STEEP` times the loss, or the spread of
    activations grows by more than `SPREAD` from the first to the last hidden
    layer, or the first loss is more than `STEEP` times that of a guess while
    weights or activations are as large, or `EXCESS` times if both are; or
    weights are, and the loss is so high that it is clipped and its gradient
    zero.

    It can be wrong for losses that are tiny by nature; hence losses far
    below the baseline do not count, nor runs that learn, unless what they
    learn is lost on validation data.
    """
    history = summary.history
    norms = history.series.get("grad_norm/global", np.zeros(0))
    if not len(norms) or squashed_by_weights(summary):
        return []
    learns = summary.learns and not summary.is_lost_on_new_data
    if learns and (summary.baseline is not None or not _swollen(summary)):
        return []
    gain = _large_weights(summary)
    if not np.isfinite(summary.first_loss) and not gain:
        return []  # not finite for another reason
    # Of the first step alone: no learning rate had a part in it.
    at_start = float(norms[0]) if np.isfinite(norms[0]) else float("inf")
    loss = summary.first_loss if np.isfinite(summary.first_loss) else 0.0
    loss = max(loss, 1e-12)
    reference = summary.baseline or 0.0
    steepness = at_start / max(loss, 0.1 * reference)
    excess = loss / reference if reference > 0 else 0.0
    spreads = [float(values[0]) for values in _spreads(summary).values()]
    spreads = [s for s in spreads if s > 0 or not np.isfinite(s)]
    growth = max(spreads) / spreads[0] if spreads else 1.0
    evidence: dict[str, float | str] = {}
    if _bad(steepness, STEEP) and at_start > 10.0:
        evidence = {
            "gradient norm at the start": at_start,
            "gradient norm / loss": steepness,
            "threshold": STEEP,
        }
    elif _bad(growth, SPREAD):
        evidence = {
            "growth of activations through the layers": growth,
            "threshold": SPREAD,
        }
    elif excess > STEEP and (gain or _swollen(summary)):
        evidence = {
            "first loss / loss of a guess": excess,
            "threshold": STEEP,
        }
    elif excess > EXCESS and gain and _swollen(summary):
        evidence = {
            "first loss / loss of a guess": excess,
            "threshold": EXCESS,
        }
    elif at_start == 0.0 and gain and excess > EXCESS:
        evidence = {
            "gradient norm at the start": at_start,
            "first loss / loss of a guess": excess,
        }
    if not evidence:
        return []
    if gain:
        evidence["largest gain of initial weights"] = gain
    message = (
        f"The gradient explodes from the first step: its norm is "
        f"{at_start:.3g} at a loss of {loss:.3g}"
    )
    if at_start == 0.0:
        message = (
            f"The activations explode from the first step: the loss is "
            f"{loss:.3g}, so far out that its gradient is 0"
        )
    message += ", since the initial weights are too large." if gain else "."
    return [
        _finding(
            summary,
            "exploding_gradient",
            _steepest(summary),
            0,
            evidence,
            message,
        )
    ]


def exploding_gradient(summary: LearningSummary) -> list[Finding]:
    """Look for a gradient that grows by `GROWTH` while the loss rises.

    It is relative to the first three sampled steps, and above 10. A run
    whose steps throw the weights about has too high a learning rate first.
    """
    history = summary.history
    norms = history.series.get("grad_norm/global", np.zeros(0))
    first = norms[:3][np.isfinite(norms[:3])]
    later = norms[3:][np.isfinite(norms[3:])]
    rises = summary.first_nonfinite is not None or summary.gain < 0
    if summary.learns or not rises or not len(first) or not len(later):
        return []
    at_start, peak = float(np.median(first)), float(later.max())
    if not 0 < at_start or peak <= max(GROWTH * at_start, 10.0):
        return []
    place = int(np.nanargmax(np.where(np.isfinite(norms), norms, -1)))
    step = int(history.steps[place])
    evidence: dict[str, float | str] = {
        "gradient norm at the start": at_start,
        "largest gradient norm": peak,
        "threshold": f"{GROWTH:g} times the start",
    }
    message = (
        f"The gradient grew from {at_start:.3g} to {peak:.3g} by step "
        f"{step}, and the loss with it."
    )
    layer = _steepest(summary)
    return [
        _finding(summary, "exploding_gradient", layer, step, evidence, message)
    ]


def vanishing_gradient(summary: LearningSummary) -> list[Finding]:
    """Look for a gradient that gets lost on its way to the first layers.

    The median norm of one of the first layers (of the front half) is less
    than `FADED` times that of the last, in a run that does not learn, or
    `FAINT` times in one that fails. It needs three layers with weights.

    It can be wrong where early layers have nothing to do; so a run that
    learns is never told of.
    """
    if summary.learns or not _had_time(summary):
        return []
    found = summary.norms()
    layers = [layer for layer, values in found.items() if len(values)]
    if len(layers) < 3:
        return []
    threshold = FAINT if summary.fails else FADED
    # In the beginning or all the time: units that die of it come later.
    for extent in (slice(0, 1), slice(0, 3), slice(None)):
        values = _medians([found[x][extent] for x in layers])
        last = values[-1]
        front = values[: max(len(values) // 2, 1)]
        place = int(np.argmin(front))
        ratio = float(front[place] / last) if last > 0 else 1.0
        if ratio <= threshold:
            break
    else:
        return _faded_signal(summary)
    evidence = {
        "gradient norm of the layer": float(front[place]),
        "gradient norm of the last layer": float(last),
        "ratio": ratio,
        "threshold": threshold,
    }
    message = (
        f"The gradient vanishes on its way back: its norm is {last:.2g} at "
        f"`{layers[-1]}` and {front[place]:.2g} at `{layers[place]}`, so the "
        "first layers learn next to nothing."
    )
    return [
        _finding(
            summary,
            "vanishing_gradient",
            layers[place],
            None,
            evidence,
            message,
        )
    ]


def _faded_signal(summary: LearningSummary) -> list[Finding]:
    """Look for outputs that shrink from layer to layer in the first step."""
    first = {k: float(v[0]) for k, v in _spreads(summary).items()}
    if len(first) < 3:
        return []
    layers, values = list(first), np.array(list(first.values()))
    ratio = float(values[-1] / values[0]) if values[0] > 0 else 1.0
    if not ratio < FADED:
        return []
    evidence = {
        f"spread of the first layer's outputs, `{layers[0]}`": float(values[0]),
        f"spread of the last one's, `{layers[-1]}`": float(values[-1]),
        "ratio": ratio,
        "threshold": FADED,
    }
    message = (
        f"The signal fades from layer to layer, to {ratio:.1g} of what it was,"
        " and the gradient with it: the initial weights are too small."
    )
    return [
        _finding(summary, "vanishing_gradient", layers[0], 0, evidence, message)
    ]


def numerical_instability(summary: LearningSummary) -> list[Finding]:
    """Look for a loss or a gradient that is NaN or infinite.

    Steps that loss scaling skips do not count. It is certain; what caused it
    is for the other rules to say.
    """
    step = summary.first_nonfinite
    if step is None:
        return []
    norms = summary.history.of_kind("grad_norm/")
    place = int(np.searchsorted(summary.history.steps, step))
    bad = [
        layer
        for layer, values in norms.items()
        if place < len(values) and not np.isfinite(values[place])
    ]
    layer = bad[-1] if bad and len(bad) < len(norms) else None
    finite = summary.loss[np.isfinite(summary.loss)]
    evidence: dict[str, float | str] = {"first step that is not finite": step}
    if len(finite):
        evidence["last finite loss"] = float(finite[-1])
    message = (
        f"Loss or gradient is NaN or infinite from step {step} on"
        + (f", first in `{layer}`" if layer else "")
        + ": from then on nothing is learned."
    )
    return [
        _finding(
            summary, "numerical_instability", layer, step, evidence, message
        )
    ]


def _medians(rows: Sequence[np.ndarray]) -> np.ndarray:
    if len(set(map(len, rows))) == 1:  # one call for hundreds of layers
        return np.median(rows, axis=1)
    return np.array([np.median(row) for row in rows])


def _finding(
    summary: LearningSummary,
    problem: str,
    layer: str | None,
    step: int | None,
    evidence: Mapping[str, float | str],
    message: str,
    severity: str = "error",
    rate_times: float | None = None,
) -> Finding:
    history = summary.history
    return Finding(
        problem,
        layer,
        summary.epoch_of(step),
        step,
        severity,
        evidence,
        message,
        remedies_for(problem, history.facts, layer, history.batch, rate_times),
    )


finding_of = _finding


def _had_time(summary: LearningSummary) -> bool:
    return summary.epochs >= 3 or summary.share_done >= 0.3


def _bad(value: float, threshold: float) -> bool:
    """Return whether a value is above a threshold, or not a number."""
    return not value <= threshold


def _large_weights(summary: LearningSummary) -> float:
    """Return the largest gain of initial weights, 0 if none is large."""
    layers = summary.history.facts.layers
    gains = [
        layer.weight_std * layer.fan_in**0.5
        for layer in layers
        if layer.weight_std and layer.fan_in and layer.kind != "Embedding"
    ]
    # What a recurrent kernel multiplies by, it multiplies by at each step.
    again = [
        2 * layer.recurrent_gain for layer in layers if layer.recurrent_gain
    ]
    largest = max([*gains, *again], default=0.0)
    return largest if largest > LARGE_GAIN else 0.0


def _swollen(summary: LearningSummary) -> bool:
    """Return whether activations start far larger than the inputs."""
    batch = summary.history.batch
    size = max(abs(batch.x_mean), batch.x_std, 1.0) if batch else 1.0
    first = [v[0] for v in _spreads(summary).values()]
    return any(_bad(x, 30.0 * size) for x in first)


def _spreads(summary: LearningSummary) -> dict[str, np.ndarray]:
    """Return the activations' standard deviations, of hidden layers."""
    found = list(summary.history.of_kind("activation_std/").items())
    outputs = summary.history.facts.outputs
    if any(o.activation is not None or not o.known for o in outputs):
        found = found[:-1]
    return {k: v for k, v in found if len(v)}


def squashed_by_weights(summary: LearningSummary) -> list[LayerFacts]:
    """Return sigmoid and tanh layers that start far out, by their weights.

    The activation may be a layer of its own; behind a normalization it does
    not matter how large the weights are.
    """
    layers = summary.history.facts.layers
    weighted = [layer for layer in layers if layer.weight_std is not None]
    hidden = weighted[:-1] if len(weighted) > 1 else layers[:-1]
    return [
        layer
        for layer in hidden
        if drive(layer) > LARGE_GAIN
        and applied(layer, layers) in SQUASHING
        and not is_normalized(layer, layers)
    ]


def is_normalized(layer: LayerFacts, layers: tuple[LayerFacts, ...]) -> bool:
    """Return whether a normalization takes what a linear layer puts out.

    Args:
        layer: The layer.
        layers: All of the model's.
    """
    after = layers[layers.index(layer) + 1 :][:1]
    linear = layer.activation is None
    return linear and any("Normalization" in la.kind for la in after)


def drive(layer: LayerFacts) -> float:
    """Return how far out inputs of size one drive a layer's activation."""
    gain = (layer.weight_std or 0.0) * (layer.fan_in or 1) ** 0.5
    return max(gain, layer.bias_size, layer.recurrent_gain or 0.0)


def _steepest(summary: LearningSummary) -> str | None:
    first = {
        layer: float(values[0])
        for layer, values in summary.norms().items()
        if len(values)
    }
    return max(first, key=first.__getitem__) if first else None
