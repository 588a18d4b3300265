"""Rules on gradients, and on numbers that are not finite."""

from collections.abc import Sequence

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    HAD_TIME,
    MIN_EPOCHS,
    LearningSummary,
)
from keras_ext.doctor.rules.shared import (
    LARGE_WEIGHTS,
    finding_of,
    is_scale_free,
    saturated_by_weights,
)

# Gradient norm / loss, and first loss / baseline.
STEEP, LOUD = 100.0, 10.0
# First loss / baseline, if weights and activations are too large as well.
EXCESS = 3.0
# Growth of the activations' standard deviation from layer to layer.
SPREAD, LARGE_ACTIVATIONS = 1e3, 30.0
# Growth of the gradient norm since the first steps.
GROWTH = 100.0
# Gradient norm of a front layer / of the last layer. In healthy runs that
# begin slowly it is above 0.03.
VANISHED, VANISHED_IF_FAILING, MIN_LAYERS = 1e-3, 1e-2, 3

CONDITIONS = {
    "exploding_gradient": f"""
Only in runs that do not learn, or whose validation loss stays high.
Error in the first step, if one of these holds:
  the gradient norm is above {LOUD:g} and {STEEP:g} times the loss,
    without weights whose scale a normalization undoes;
  activations grow {SPREAD:g} times through the layers;
  the loss is {STEEP:g} times the baseline, with large weights or activations;
  the loss is {EXCESS:g} times the baseline, with large weights and activations.
Large weights: initial std · √fan_in above {LARGE_WEIGHTS:g}.
Large activations: a std above {LARGE_ACTIVATIONS:g} times the inputs'.
Error later: a norm above {LOUD:g} and {GROWTH:g} times the first, rising loss.
Earliest: first look.
Can be wrong: losses that are tiny by nature.
""",
    "vanishing_gradient": f"""
Only in runs that do not learn, with {MIN_LAYERS} layers with weights or more.
Error: the gradient norm of each layer at the model's inputs is below
  {VANISHED:g} of the last layer's.
Error: below {VANISHED_IF_FAILING:g} of the last layer's, in a run that fails.
Error: activations that shrink to {VANISHED:g} through the layers.
Earliest: {MIN_EPOCHS} epochs, or {HAD_TIME:.0%} of training.
Can be wrong: front layers that have nothing to learn.
""",
    "numerical_instability": """
Error: the loss, a gradient or an update is NaN or infinite.
Silent: steps that loss scaling skips.
Earliest: first look after it.
""",
}


def exploding_at_start(summary: LearningSummary) -> Finding | None:
    """Look for gradients that are too large for the loss in the first step.

    The learning rate plays no part in the first step. Losses far below the
    baseline do not count, since some losses are tiny by nature.
    """
    history = summary.history
    norms = history.series.get("grad_norm/global", np.zeros(0))
    if not len(norms) or saturated_by_weights(summary):
        return None
    learns = summary.learns and not summary.fails_on_validation
    if learns and (
        summary.baseline is not None or not _large_activations(summary)
    ):
        return None
    scale = _large_weights(summary)
    if not np.isfinite(summary.first_loss) and not scale:
        return None  # It is not finite for another reason.
    at_start = _norm_at_start(summary)
    loss = summary.first_loss if np.isfinite(summary.first_loss) else 0.0
    loss = max(loss, 1e-12)
    reference = summary.baseline or 0.0
    steepness = at_start / max(loss, 0.1 * reference)
    excess = loss / reference if reference > 0 else 0.0
    spreads = [
        float(values[0]) for values in _activation_stds(summary).values()
    ]
    spreads = [s for s in spreads if s > 0 or not np.isfinite(s)]
    growth = max(spreads) / spreads[0] if spreads else 1.0
    evidence: dict[str, float | str] = {}
    if _exceeds(steepness, STEEP) and at_start > LOUD:
        evidence = {
            "gradient norm at the start": at_start,
            "gradient norm / loss": steepness,
            "threshold": STEEP,
        }
    elif _exceeds(growth, SPREAD):
        evidence = {
            "growth of activations through the layers": growth,
            "threshold": SPREAD,
        }
    elif excess > STEEP and (scale or _large_activations(summary)):
        evidence = {"first loss / baseline": excess, "threshold": STEEP}
    elif excess > EXCESS and scale and _large_activations(summary):
        evidence = {"first loss / baseline": excess, "threshold": EXCESS}
    elif at_start == 0.0 and scale and excess > EXCESS:
        # The loss is so high that it is clipped.
        evidence = {
            "gradient norm at the start": at_start,
            "first loss / baseline": excess,
        }
    if not evidence:
        return None
    if scale:
        evidence["initial weights: largest std * sqrt(fan_in)"] = scale
    message = (
        f"The gradient explodes from the first step: its norm is "
        f"{at_start:.3g} at a loss of {loss:.3g}."
    )
    if at_start == 0.0:
        message = (
            "The activations explode from the first step: the loss is "
            f"{loss:.3g}, where its gradient is clipped to 0."
        )
    if scale:
        message += " The initial weights are too large."
    layer = _steepest(summary)
    return finding_of(
        summary, "exploding_gradient", evidence, message, layer, 0
    )


def exploding_gradient(summary: LearningSummary) -> Finding | None:
    """Look for a gradient that grows while the loss rises."""
    history = summary.history
    norms = history.series.get("grad_norm/global", np.zeros(0))
    first = norms[:3][np.isfinite(norms[:3])]
    later = norms[3:][np.isfinite(norms[3:])]
    rises = summary.first_nonfinite is not None or summary.decrease < 0
    if summary.learns or not rises or not len(first) or not len(later):
        return None
    at_start, peak = float(np.median(first)), float(later.max())
    if not 0 < at_start or peak <= max(GROWTH * at_start, LOUD):
        return None
    place = int(np.nanargmax(np.where(np.isfinite(norms), norms, -1)))
    step = int(history.steps[place])
    evidence: dict[str, float | str] = {
        "gradient norm at the start": at_start,
        "largest gradient norm": peak,
        "threshold": f"{GROWTH:g} times the start",
    }
    message = (
        f"The gradient norm grew from {at_start:.3g} to {peak:.3g} by step "
        f"{step}, and the loss rose with it."
    )
    layer = _steepest(summary)
    return finding_of(
        summary, "exploding_gradient", evidence, message, layer, step
    )


def vanishing_gradient(summary: LearningSummary) -> Finding | None:
    """Look for a gradient that shrinks on its way back."""
    if summary.learns or not summary.had_time:
        return None
    found = summary.norms()
    layers = [layer for layer, values in found.items() if len(values)]
    if len(layers) < MIN_LAYERS:
        return None
    threshold = VANISHED_IF_FAILING if summary.fails else VANISHED
    front = _front(summary, layers)
    # At the start, or all the time: a vanished gradient kills units later.
    for extent in (slice(0, 1), slice(0, 3), slice(None)):
        values = _medians([found[x][extent] for x in [*front, layers[-1]]])
        norm, last = float(values[:-1].max()), float(values[-1])
        ratio = norm / last if last > 0 else 1.0
        if ratio <= threshold:
            break
    else:
        return _vanishing_activations(summary)
    layer = front[int(np.argmax(values[:-1]))]
    evidence = {
        "gradient norm of the layer": norm,
        "gradient norm of the last layer": float(last),
        "ratio": ratio,
        "threshold": threshold,
    }
    message = (
        f"The gradient vanishes: its norm is {last:.2g} at `{layers[-1]}` "
        f"and {norm:.2g} at `{layer}`. The first layers hardly learn."
    )
    return finding_of(summary, "vanishing_gradient", evidence, message, layer)


def _front(summary: LearningSummary, layers: list[str]) -> list[str]:
    """Return the layers that the gradient reaches last.

    They are the entries of the model. A branch of the model, such as a gate,
    may have next to no gradient, while the way around it is sound. Where the
    entries are unknown, the first third of the layers stands for them.
    """
    entries = {x.path for x in summary.history.facts.layers if x.is_entry}
    front = [layer for layer in layers if layer in entries]
    return front or layers[: max(len(layers) // 3, 1)]


def _vanishing_activations(summary: LearningSummary) -> Finding | None:
    """Look for outputs that shrink from layer to layer in the first step."""
    first = {k: float(v[0]) for k, v in _activation_stds(summary).items()}
    if len(first) < MIN_LAYERS:
        return None
    layers, values = list(first), np.array(list(first.values()))
    ratio = float(values[-1] / values[0]) if values[0] > 0 else 1.0
    if not ratio < VANISHED:
        return None
    evidence = {
        f"std of the first layer's outputs, `{layers[0]}`": float(values[0]),
        f"std of the last layer's outputs, `{layers[-1]}`": float(values[-1]),
        "ratio": ratio,
        "threshold": VANISHED,
    }
    message = (
        f"The activations shrink through the layers to {ratio:.1g} of their "
        "first scale, and the gradient shrinks with them. The initial weights "
        "are too small."
    )
    return finding_of(
        summary, "vanishing_gradient", evidence, message, layers[0], 0
    )


def numerical_instability(summary: LearningSummary) -> Finding | None:
    """Look for a loss or a gradient that is NaN or infinite.

    The finding is certain. Other rules name the cause.
    """
    step = summary.first_nonfinite
    if step is None:
        return None
    norms = summary.history.of_kind("grad_norm/")
    place = int(np.searchsorted(summary.history.steps, step))
    # A layer without a value in the step before had no norm that could break.
    bad = [
        layer
        for layer, values in norms.items()
        if place < len(values)
        and not np.isfinite(values[place])
        and np.isfinite(values[:place][-1:]).all()
    ]
    layer = bad[-1] if bad and len(bad) < len(norms) else None
    finite = summary.loss[np.isfinite(summary.loss)]
    evidence: dict[str, float | str] = {"first step that is not finite": step}
    if len(finite):
        evidence["last finite loss"] = float(finite[-1])
    message = (
        f"The loss or the gradient is NaN or infinite from step {step} on"
        + (f", first in `{layer}`" if layer else "")
        + ". The model learns nothing after that."
    )
    return finding_of(
        summary, "numerical_instability", evidence, message, layer, step
    )


def _medians(rows: Sequence[np.ndarray]) -> np.ndarray:
    if len(set(map(len, rows))) == 1:  # One call for hundreds of layers.
        return np.median(rows, axis=1)
    return np.array([np.median(row) for row in rows])


def _exceeds(value: float, threshold: float) -> bool:
    """Return whether a value is above a threshold, or NaN."""
    return not value <= threshold


def _large_weights(summary: LearningSummary) -> float:
    """Return the largest std * sqrt(fan_in), 0 if none is large."""
    layers = summary.history.facts.layers
    scales = [
        layer.weight_std * layer.fan_in**0.5
        for layer in layers
        if layer.weight_std and layer.fan_in and layer.kind != "Embedding"
    ]
    # A recurrent kernel multiplies at each time step, so it counts twice.
    recurrent = [
        2 * layer.recurrent_gain for layer in layers if layer.recurrent_gain
    ]
    largest = max([*scales, *recurrent], default=0.0)
    return largest if largest > LARGE_WEIGHTS else 0.0


def _large_activations(summary: LearningSummary) -> bool:
    """Return whether activations start far larger than the inputs."""
    batch = summary.history.batch
    size = max(abs(batch.x_mean), batch.x_std, 1.0) if batch else 1.0
    first = [v[0] for v in _activation_stds(summary).values()]
    return any(_exceeds(x, LARGE_ACTIVATIONS * size) for x in first)


def _activation_stds(summary: LearningSummary) -> dict[str, np.ndarray]:
    """Return the standard deviations of the hidden activations."""
    found = list(summary.history.of_kind("activation_std/").items())
    outputs = summary.history.facts.outputs
    if any(o.activation is not None or not o.known for o in outputs):
        found = found[:-1]
    return {k: v for k, v in found if len(v)}


def _norm_at_start(summary: LearningSummary) -> float:
    """Return the gradient norm of the first step, infinity for NaN.

    Weights count whose scale matters. Those before a normalization may be
    tiny, and their gradient huge.
    """
    layers = summary.history.facts.layers
    by_layer = summary.history.of_kind("grad_norm/")
    known = [x for x in layers if x.path in by_layer]
    norms = [
        by_layer[x.path][0]
        for x in known
        if x.weight_std is not None and not is_scale_free(x, layers)
    ]
    if not norms or len(norms) == len(known):
        norms = [summary.history.series["grad_norm/global"][0]]
    norm = float(np.linalg.norm(norms))
    return norm if np.isfinite(norm) else float("inf")


def _steepest(summary: LearningSummary) -> str | None:
    """Return the layer with the largest gradient norm in the first step."""
    first = {
        layer: float(values[0])
        for layer, values in summary.norms().items()
        if len(values)
    }
    return max(first, key=first.__getitem__) if first else None
