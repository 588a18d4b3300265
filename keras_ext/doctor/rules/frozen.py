"""A rule on weights that are not trained."""

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    FAIR_IMPROVEMENT,
    LearningSummary,
)
from keras_ext.doctor.rules.shared import finding_of

# Sampled steps in which a layer had a gradient and did not move.
MIN_STILL_STEPS = 5
# Gradient norm / global norm. A smaller one may be lost in rounding.
SOUND = 1e-2

CONDITIONS = {
    "frozen_weights": f"""
A frozen layer has exactly the weights that its initializer drew;
or a layer had {SOUND:.0%} of the gradient norm in {MIN_STILL_STEPS} sampled
  steps or more and moved in none of them, while other layers moved.
Warning: the run fails, or is half learned.
Info instead: otherwise, below {FAIR_IMPROVEMENT:.0%} normalized improvement.
Silent: an optimizer that a custom `train_step` calls may leave layers out.
Can be wrong: random features that are meant to stay.
""",
}


def frozen_weights(summary: LearningSummary) -> Finding | None:
    """Look for layers that are frozen by mistake."""
    if summary.improvement >= FAIR_IMPROVEMENT:
        return None
    facts = summary.history.facts
    evidence: dict[str, float | str]
    frozen = [x.path for x in facts.layers if x.is_random and x.weight_std]
    still = [] if facts.own_train_step else _still(summary)
    if frozen:
        why = "is frozen with random initial weights"
        evidence = {"frozen layers with initial weights": len(frozen)}
    elif still:
        why = "has a gradient, but the optimizer does not move it"
        evidence = {"layers that do not move": len(still)}
    else:
        return None
    layer = [*frozen, *still][0]
    others = len(frozen or still) - 1
    also = f", as are {others} other layers" if others else ""
    serious = summary.fails or summary.is_half_learned
    return finding_of(
        summary,
        "frozen_weights",
        evidence,
        f"`{layer}` {why}{also}. It learns nothing.",
        layer,
        severity="warning" if serious else "info",
    )


def _still(summary: LearningSummary) -> list[str]:
    """Return the layers that have a gradient and never move."""
    norms = summary.history.of_kind("grad_norm/")
    if not len(summary.updates) or not norms:
        return []
    least = SOUND * summary.history.series["grad_norm/global"]
    return [
        layer
        for layer, moves in summary.history.of_kind("update_ratio/").items()
        if layer in norms
        and np.count_nonzero(norms[layer] > least) >= MIN_STILL_STEPS
        and not moves.any()
    ]
