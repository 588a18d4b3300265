"""Rules on what is known before training: the model and its first batch."""

import math

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.rules.learning_summary import (
    ABOVE_BASELINE,
    PLATEAU_SHARE,
    UNFITTED,
)
from keras_ext.doctor.rules.shared import (
    applied_activation,
    early_finding,
    is_normalized,
)
from keras_ext.doctor.run_history import BatchFacts, LayerFacts, RunHistory

# Root mean square of the inputs. Digits from 0 to 16 (7.8) train well, pixels
# from 0 to 255 (70 and more) do not.
LARGE_INPUT, HUGE_INPUT, TINY_INPUT = 3.0, 10.0, 1e-3
# Scale of the largest feature / of the median feature.
FEATURE_RATIO = 100.0
# |mean| / standard deviation of the inputs.
OFF_CENTER = 30.0
# Root mean square of the targets of a regression, whose outputs start near 1.
LARGE_TARGET, HUGE_TARGET, TINY_TARGET = 100.0, 1e3, 1e-3
_REGRESSIONS = (
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "log_cosh",
    "quantile",
)
_NORMALIZATIONS = (
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)
# Layers that combine several branches element by element.
_MERGES = ("Add", "Subtract", "Average", "Multiply", "Dot", "Maximum")
_RELUS = ("relu", "relu6")

CONDITIONS = {
    "unscaled_input": f"""
Warning: root mean square above {HUGE_INPUT:g}; info: above {LARGE_INPUT:g}.
Warning: a feature above {HUGE_INPUT:g}, {FEATURE_RATIO:g} times the median one.
  Info instead, if the root mean square is at most {LARGE_INPUT:g}.
Warning: no feature is above {TINY_INPUT:g}.
Info instead: the run learns, and is not half learned.
Info instead: a normalization follows the first layer (not for unlike features).
Warning in any case: validation loss of {ABOVE_BASELINE:g} times the baseline.
Warning in any case, with batch normalization first, if:
  the inputs' mean is {OFF_CENTER:g} standard deviations from 0;
  {PLATEAU_SHARE:.0%} of the training is done;
  the validation loss is above {UNFITTED:g} times the baseline.
Silent: the first layer scales the inputs, embeds them or is frozen.
Earliest: first look.
Can be wrong: scaling in a custom `call`; outliers in the batch.
""",
    "unscaled_target": f"""
Only regressions with one output.
Warning: a root mean square of the targets above {HUGE_TARGET:g};
  info: above {LARGE_TARGET:g}.
Warning: a root mean square below {TINY_TARGET:g}.
Info instead: the run learns, and is not half learned.
Warning instead: the run does not learn in {PLATEAU_SHARE:.0%} of training.
Earliest: first look.
Can be wrong: custom layers that scale the outputs.
""",
    "symmetric_units": """
All units of a hidden layer start with exactly equal weights.
Error: the layer is a ReLU, or the next layer's units are equal too.
Warning instead: otherwise, or if the run learns.
Silent: frozen layers, single units, outputs, the end of a residual branch.
Earliest: first look.
Can be wrong: weights that are set after `fit` began.
""",
    "numerical_instability": """
Error: an input or a target is NaN or infinite.
Info instead: targets under a custom loss, which may ignore them.
""",
}


def numerical_instability_in_data(history: RunHistory) -> list[Finding]:
    """Find NaN and infinity in the inputs or targets."""
    batch, facts = history.batch, history.facts
    if batch is None:
        return []
    masked = facts.own_train_step or not any(o.loss for o in facts.outputs)
    found = [
        early_finding(
            facts,
            batch,
            "numerical_instability",
            None,
            severity,
            {f"nonfinite_{name}": share, "threshold": 0.0},
            f"{100 * share:.2g}% of a batch's {name} are NaN or infinite. A "
            "single one makes the loss NaN, and then every weight.",
        )
        for name, share, severity in (
            ("inputs", batch.x_nonfinite, "error"),
            ("targets", batch.y_nonfinite, "info" if masked else "error"),
        )
        if share > 0  # NaN without targets
    ]
    return sorted(found, key=lambda f: f.severity)


def unscaled_input(history: RunHistory) -> list[Finding]:
    """Find inputs that are too large or small, or features of unlike scale."""
    batch, facts = history.batch, history.facts
    layers = [la for la in facts.layers if la.weight_std is not None]
    if (
        batch is None
        or facts.normalizes_input
        or not layers
        or not layers[0].trainable
        or _are_ids(batch, layers)
    ):
        return []
    rms = math.hypot(batch.x_mean, batch.x_std)
    scales = np.asarray(batch.feature_scales, float)
    scales = np.sort(scales[np.isfinite(scales) & (scales > 0)])
    if not math.isfinite(rms) or rms == 0:
        return []
    largest, ratio = rms, 1.0
    if len(scales):
        largest = float(scales[-1])
        ratio = largest / float(scales[(len(scales) - 1) // 2])
    evidence: dict[str, float | str] = {
        "x_rms": rms,
        "x_low": batch.x_low,
        "x_high": batch.x_high,
    }
    lags = outruns_batch_normalization(history)
    normalized = is_normalized(layers[0], facts.layers)
    if ratio > FEATURE_RATIO and largest > HUGE_INPUT:
        # Otherwise it is probably a rare one of sparse features.
        severity = "warning" if rms > LARGE_INPUT else "info"
        evidence |= {"feature_ratio": ratio, "threshold": FEATURE_RATIO}
        message = (
            f"The largest feature's scale is {ratio:.3g} times that of the "
            f"median one ({largest:.3g}), so it drowns the others."
        )
    elif rms > LARGE_INPUT:
        severity = "warning" if rms > HUGE_INPUT else "info"
        if normalized and not lags:
            severity = "info"
        evidence["threshold"] = HUGE_INPUT if rms > HUGE_INPUT else LARGE_INPUT
        message = (
            f"The inputs' root mean square is {rms:.3g} (from "
            f"{batch.x_low:.4g} to {batch.x_high:.4g}). Initial weights are "
            "made for inputs of about 1."
        )
        if lags:
            message += (
                " Batch normalization needs hundreds of steps to follow "
                "inputs so far from zero, and validation depends on it."
            )
    elif largest < TINY_INPUT:
        severity = "info" if normalized else "warning"
        evidence |= {"largest_scale": largest, "threshold": TINY_INPUT}
        message = (
            f"No feature's scale is above {largest:.3g}. Initial weights "
            "are made for inputs of about 1."
        )
    else:
        return []
    return [
        early_finding(
            facts, batch, "unscaled_input", None, severity, evidence, message
        )
    ]


def _are_ids(batch: BatchFacts, layers: list[LayerFacts]) -> bool:
    """Return whether the inputs are whole numbers that are looked up."""
    if layers[0].kind == "Embedding":
        return True
    whole = all(float(x).is_integer() for x in (batch.x_low, batch.x_high))
    entries = [layer for layer in layers if layer.is_entry] or layers[:1]
    return whole and any("Embedding" in layer.kind for layer in entries)


def unscaled_target(history: RunHistory) -> list[Finding]:
    """Find targets of a regression that are too large or too small."""
    batch, facts = history.batch, history.facts
    if batch is None or len(facts.outputs) != 1 or facts.own_train_step:
        return []
    if facts.outputs[0].loss not in _REGRESSIONS:
        return []
    rms = math.hypot(batch.y_mean, batch.y_std)
    evidence: dict[str, float | str] = {
        "y_rms": rms,
        "y_low": batch.y_low,
        "y_high": batch.y_high,
    }
    between = f"from {batch.y_low:.4g} to {batch.y_high:.4g}"
    if rms > LARGE_TARGET:
        severity = "warning" if rms > HUGE_TARGET else "info"
        evidence["threshold"] = LARGE_TARGET
        message = (
            f"The targets' root mean square is {rms:.3g} ({between}). The "
            "outputs of a new model are about 1, so it has far to go."
        )
    elif 0 < rms < TINY_TARGET:
        severity = "warning"
        evidence["threshold"] = TINY_TARGET
        message = (
            f"The targets' root mean square is {rms:.3g} ({between}). Beside "
            "the outputs of a new model, which are about 1, they are all zero."
        )
    else:
        return []
    return [
        early_finding(
            facts, batch, "unscaled_target", None, severity, evidence, message
        )
    ]


def outruns_batch_normalization(history: RunHistory) -> bool:
    """Return whether the inputs are too far from batch normalization's start.

    Its moving mean starts at 0, and validation uses the moving mean.
    """
    batch, layers = history.batch, history.facts.layers
    if batch is None or not abs(batch.x_mean) > OFF_CENTER * batch.x_std:
        return False
    kinds = [la.kind for la in layers if la.kind in _NORMALIZATIONS]
    return kinds[:1] == ["BatchNormalization"]


def symmetric_units(history: RunHistory) -> list[Finding]:
    """Find hidden layers whose units all start with the same weights.

    Such units stay equal for ever if the next layer treats them alike, if
    they are dead, or if they are still equal after an update. Otherwise the
    next layer's random weights separate them slowly. Where custom code calls
    the layers, only layers with an activation count.

    Returns:
        One finding that names the first such layer and counts them.
    """
    layers = [la for la in history.facts.layers if la.weight_std is not None]
    alike = [
        (i, la)
        for i, la in enumerate(layers)
        if la.identical_units and la.trainable and _is_hidden(la, layers)
    ]
    if not alike:
        return []
    stuck = [
        (i, la)
        for i, la in alike
        if applied_activation(la, history.facts.layers) in _RELUS
        or any(x.identical_units for x in layers[i + 1 : i + 2])
        or history.facts.updates
    ]
    layer = (stuck or alike)[0][1]
    others = len(alike) - 1
    plural = "s" if others > 1 else ""
    also = f", as in {others} other layer{plural}" if others else ""
    fate = "They get the same gradients and stay alike."
    if not stuck:
        fate = "The next layer's random weights separate them only slowly."
    return [
        early_finding(
            history.facts,
            history.batch,
            "symmetric_units",
            layer.path,
            "error" if stuck else "warning",
            {
                "units": float(layer.units or 0),
                "weight_std": float(layer.weight_std or 0.0),
                "layers": float(len(alike)),
            },
            f"All {layer.units} units of `{layer.path}` start with the same "
            f"weights{also}. {fate}",
        )
    ]


def _is_hidden(layer: LayerFacts, layers: list[LayerFacts]) -> bool:
    if (layer.units or 0) < 2:
        return False
    if layer.feeds is None:
        return layer.activation is not None and layer is not layers[-1]
    return any(
        kind not in ("output", "?") and kind not in _MERGES
        for kind in layer.feeds
    )
