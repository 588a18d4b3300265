"""Rules on one forward and backward pass before any training.

A single batch shows little, so these thresholds are coarse. Weights that were
trained on other inputs may look like bad initial weights.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.shared import early_finding
from keras_ext.doctor.run_history import BatchFacts, Facts

if TYPE_CHECKING:
    from keras_ext.doctor.facts.probe import ActivationStats, Probe

# Hidden outputs / inputs. Good initial weights keep the ratio below 3; 100
# overflows the exponentials of softmax and sigmoid, and weights that are twice
# too large reach it in seven layers.
GROWTH, EXPLOSION = 100.0, 1e4
# First layer's gradient / largest one. Ten layers of sigmoid, which do not
# learn, reach 1e-6; five, which do, 1e-3.
SHRINKING, VANISHED = 1e-5, 1e-8
# A layer's gradient / last layer's, and its norm.
STEEP, LARGE_NORM = 1e4, 10.0
# Good initial weights saturate below 1 % of the outputs. In small batches a
# third of the ReLU units are silent for all inputs.
SATURATED, FLAT = 0.5, 0.9
SILENT, MIN_UNITS = 0.95, 8

CONDITIONS = {
    "numerical_instability": """
Error: an output, the loss or a gradient is not finite.
""",
    "exploding_gradient": f"""
Warning: hidden outputs {GROWTH:g} times the inputs; error: {EXPLOSION:g} times.
Warning: a gradient norm above {LARGE_NORM:g} and {STEEP:g} times the last.
""",
    "saturated_activation": f"""
Warning: {SATURATED:.0%} of hidden outputs are saturated; error: {FLAT:.0%}.
""",
    "vanishing_gradient": f"""
Warning: first gradient norm {SHRINKING:g} of the largest; error: {VANISHED:g}.
""",
    "dying_relu": f"""
Warning: {SILENT:.0%} of {MIN_UNITS} units or more output 0; error: all.
""",
}

# Problem, layer, severity, evidence, message.
_Found = Iterator[tuple[str, str | None, str, dict[str, float | str], str]]


def initial_weights(
    probe: "Probe", facts: Facts, data: BatchFacts
) -> list[Finding]:
    """Find what one forward and backward pass shows of the initial weights."""
    outputs = {
        la.path
        for la in facts.layers
        if la.feeds and set(la.feeds) <= {"output"}
    }
    hidden = [
        activation
        for activation in probe.activations
        if activation.path not in outputs and activation.kind != "softmax"
    ]
    found = list(_nonfinite(probe)) or [
        *_exploding(probe, hidden, facts, data),
        *_saturated(hidden),
        *_vanishing(probe, facts),
        *_silent(hidden),
    ]
    return [early_finding(facts, data, *parts) for parts in found]


def _nonfinite(probe: "Probe") -> _Found:
    layer = next(
        (a.path for a in probe.activations if not math.isfinite(a.rms)), None
    )
    loss = probe.loss is not None and not math.isfinite(probe.loss)
    where = "loss" if loss else "output"
    bad = [p for p, norm in probe.gradients.items() if not math.isfinite(norm)]
    if layer is None and not loss and math.isfinite(probe.output_rms):
        if not bad:
            return
        layer, where = bad[-1], "gradient"
    message = f"The {where} is NaN or infinite before any training"
    if layer is not None:
        message += f", from `{layer}` on"
    message += ", though the data are finite."
    yield "numerical_instability", layer, "error", {"where": where}, message


def _exploding(
    probe: "Probe",
    hidden: list["ActivationStats"],
    facts: Facts,
    data: BatchFacts,
) -> _Found:
    if hidden:
        # Inputs that are embedded or scaled first have no scale here.
        start = math.hypot(data.x_mean, data.x_std)
        if facts.normalizes_input or not math.isfinite(start) or not start:
            start = hidden[0].rms
        top = max(hidden, key=lambda activation: activation.rms)
        growth = top.rms / start if start > 0 else 0.0
        if growth > GROWTH:
            yield (
                "exploding_gradient",
                top.path,
                "error" if growth > EXPLOSION else "warning",
                {"growth": growth, "threshold": GROWTH},
                "The initial weights are too large: the outputs of "
                f"`{top.path}` are {growth:.3g} times as large as the inputs, "
                "and gradients grow alike.",
            )
            return
    norms = list(probe.gradients.items())
    if len(norms) < 2 or not norms[-1][1] > 0:
        return
    path, largest = max(norms, key=lambda item: item[1])
    ratio = largest / norms[-1][1]
    if ratio >= STEEP and largest >= LARGE_NORM:
        yield (
            "exploding_gradient",
            path,
            "warning",
            {"ratio": ratio, "threshold": STEEP, "grad_norm": largest},
            f"Before any training, the gradient of `{path}` is {ratio:.3g} "
            "times the last layer's. It grows on its way back.",
        )


def _vanishing(probe: "Probe", facts: Facts) -> _Found:
    learning = {la.path for la in facts.layers if la.weight_std is not None}
    norms = [(p, n) for p, n in probe.gradients.items() if p in learning]
    if len(norms) < 3:
        return
    path, first = norms[0]
    largest = max(norm for _, norm in norms)
    # An exact zero comes from dead units, from outputs that start at zero, or
    # from a gradient too small for float32, which shrinks before that.
    seen = next((norm for _, norm in norms if norm > 0), 0.0)
    limit = SHRINKING if first > 0 else VANISHED
    if not 0 < seen < limit * largest:
        return
    ratio = seen / largest
    less = "" if first > 0 else "less than "
    yield (
        "vanishing_gradient",
        path,
        "error" if ratio < VANISHED else "warning",
        {"ratio": ratio, "threshold": SHRINKING, "grad_norm": first},
        f"Before any training, the gradient of `{path}` is {less}{ratio:.2g} "
        "times the largest layer's. It shrinks on its way back.",
    )


def _saturated(hidden: list["ActivationStats"]) -> _Found:
    found = [a for a in hidden if a.saturation > SATURATED]
    if not found:
        return
    worst = max(found, key=lambda activation: activation.saturation)
    yield (
        "saturated_activation",
        worst.path,
        "error" if worst.saturation > FLAT else "warning",
        {"saturation": worst.saturation, "threshold": SATURATED},
        f"{worst.saturation:.0%} of the outputs of `{worst.path}` are "
        "saturated before any training. Their gradients are almost zero.",
    )


def _silent(hidden: list["ActivationStats"]) -> _Found:
    for found in hidden:
        silent, units = found.silent, found.units
        if found.kind == "relu" and silent >= SILENT and units >= MIN_UNITS:
            yield (
                "dying_relu",
                found.path,
                "error" if silent == 1 else "warning",
                {"silent": silent, "threshold": SILENT},
                f"{silent:.0%} of the units of `{found.path}` output zero for "
                "the whole batch before any training, so they cannot learn.",
            )
            return
