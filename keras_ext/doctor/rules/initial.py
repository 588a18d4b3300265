"""Rules about what one batch shows before any training."""

import dataclasses
import math
from typing import TYPE_CHECKING

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.run_history import BatchFacts, Facts

if TYPE_CHECKING:
    from keras_ext.doctor.facts.probe import ActivationStats, Probe

# How many times larger than its inputs a model's hidden outputs may be.
# Initial weights of a fitting scale keep them below 3; 100 overflows the
# exponentials of softmax and sigmoid, and is reached by weights twice too
# large in seven layers.
_GROWTH, _EXPLOSION = 100.0, 1e4
# How small the first layer's gradient may be beside the largest. Ten layers
# of sigmoid, which do not learn, reach 1e-6; five, which do, 1e-3.
_SHRINKING, _VANISHED = 1e-5, 1e-8
# How large a layer's gradient may be beside the last layer's.
_STEEP, _LARGE_NORM = 1e4, 10.0
# Shares of saturated outputs and of silent units. Fitting initial weights
# saturate below 1 %; of ReLUs half are silent for an input, and in small
# batches a third of the units for all of them.
_SATURATED, _FLAT = 0.5, 0.9
_SILENT, _FEWEST_UNITS = 0.95, 8


def initial_weights(
    probe: "Probe", facts: Facts, data: BatchFacts
) -> list[Finding]:
    """Say what one forward and backward shows of the initial weights.

    Looks for numbers that are not finite, outputs or gradients that grow
    from layer to layer, gradients that shrink, saturated activations and
    silent ReLUs. Thresholds stand at the top of this file, with where they
    come from.

    How it can be wrong: it is one batch, before any training; weights that
    were trained elsewhere on other inputs may look alike.

    Args:
        probe: What was measured.
        facts: What is known of the model.
        data: What the batch looks like.
    """
    wrong = _nonfinite(probe)
    if wrong:
        return [_remedied(finding, facts, data) for finding in wrong]
    outputs = {
        la.path
        for la in facts.layers
        if la.feeds and set(la.feeds) <= {"output"}
    }
    hidden = [
        point
        for point in probe.activations
        if point.path not in outputs and point.kind != "softmax"
    ]
    found = [
        *_exploding(probe, hidden, facts, data),
        *_saturated(hidden),
        *_vanishing(probe, facts),
        *_silent(hidden),
    ]
    return [_remedied(finding, facts, data) for finding in found]


def _nonfinite(probe: "Probe") -> list[Finding]:
    layer = next(
        (s.path for s in probe.activations if not math.isfinite(s.rms)), None
    )
    loss = probe.loss is not None and not math.isfinite(probe.loss)
    where = "loss" if loss else "output"
    bad = [p for p, norm in probe.gradients.items() if not math.isfinite(norm)]
    if layer is None and not loss and math.isfinite(probe.output_rms):
        if not bad:
            return []
        layer, where = bad[-1], "gradient"
    message = f"The {where} is NaN or infinite before any training"
    if layer is not None:
        message += f", from `{layer}` on"
    return [
        _finding(
            "numerical_instability",
            layer,
            "error",
            {"where": where},
            message + ", though the data are finite.",
        )
    ]


def _exploding(
    probe: "Probe",
    hidden: list["ActivationStats"],
    facts: Facts,
    data: BatchFacts,
) -> list[Finding]:
    if hidden:
        # Inputs that are looked up or scaled first have no scale here.
        start = math.hypot(data.x_mean, data.x_std)
        if facts.normalizes_input or not math.isfinite(start) or not start:
            start = hidden[0].rms
        top = max(hidden, key=lambda point: point.rms)
        growth = top.rms / start if start > 0 else 0.0
        if growth > _GROWTH:
            return [
                _finding(
                    "exploding_gradient",
                    top.path,
                    "error" if growth > _EXPLOSION else "warning",
                    {"growth": growth, "threshold": _GROWTH},
                    f"The initial weights are too large: `{top.path}` puts "
                    f"out numbers {growth:.3g} times as large as what goes "
                    "in, and gradients grow alike.",
                )
            ]
    norms = list(probe.gradients.items())
    if len(norms) < 2 or not norms[-1][1] > 0:
        return []
    path, largest = max(norms, key=lambda item: item[1])
    ratio = largest / norms[-1][1]
    if ratio < _STEEP or largest < _LARGE_NORM:
        return []
    return [
        _finding(
            "exploding_gradient",
            path,
            "warning",
            {"ratio": ratio, "threshold": _STEEP, "grad_norm": largest},
            f"Before any training the gradient of `{path}` is {ratio:.3g} "
            "times as large as the last layer's: it grows on its way back.",
        )
    ]


def _vanishing(probe: "Probe", facts: Facts) -> list[Finding]:
    learning = {la.path for la in facts.layers if la.weight_std is not None}
    norms = [(p, n) for p, n in probe.gradients.items() if p in learning]
    if len(norms) < 3:
        return []
    path, first = norms[0]
    largest = max(norm for _, norm in norms)
    # Exact zeros are those of dead units, of outputs that start at zero, or
    # of a gradient that gets too small for float32: then it fades before.
    seen = next((norm for _, norm in norms if norm > 0), 0.0)
    limit = _SHRINKING if first > 0 else _VANISHED
    if not 0 < seen < limit * largest:
        return []
    ratio = seen / largest
    return [
        _finding(
            "vanishing_gradient",
            path,
            "error" if ratio < _VANISHED else "warning",
            {"ratio": ratio, "threshold": _SHRINKING, "grad_norm": first},
            f"Before any training the gradient of `{path}` is "
            + ("" if first > 0 else "less than ")
            + f"{ratio:.2g} times the largest layer's: it shrinks on its way "
            "back.",
        )
    ]


def _saturated(hidden: list["ActivationStats"]) -> list[Finding]:
    points = [point for point in hidden if point.saturation > _SATURATED]
    if not points:
        return []
    point = max(points, key=lambda s: s.saturation)
    return [
        _finding(
            "saturated_activation",
            point.path,
            "error" if point.saturation > _FLAT else "warning",
            {"saturation": point.saturation, "threshold": _SATURATED},
            f"{point.saturation:.0%} of what `{point.path}` puts out is "
            "saturated before any training, where gradients are next to "
            "zero.",
        )
    ]


def _silent(hidden: list["ActivationStats"]) -> list[Finding]:
    points = [
        point
        for point in hidden
        if point.kind == "relu"
        and point.silent >= _SILENT
        and point.units >= _FEWEST_UNITS
    ]
    if not points:
        return []
    point = points[0]
    return [
        _finding(
            "dying_relu",
            point.path,
            "error" if point.silent == 1 else "warning",
            {"silent": point.silent, "threshold": _SILENT},
            f"{point.silent:.0%} of the units of `{point.path}` put out zero "
            "for the whole batch before any training, so they cannot learn.",
        )
    ]


def _finding(
    problem: str,
    layer: str | None,
    severity: str,
    evidence: dict[str, float | str],
    message: str,
) -> Finding:
    return Finding(problem, layer, None, None, severity, evidence, message)


def _remedied(finding: Finding, facts: Facts, data: BatchFacts) -> Finding:
    remedies = remedies_for(finding.problem, facts, finding.layer, data)
    return dataclasses.replace(finding, remedies=remedies)
