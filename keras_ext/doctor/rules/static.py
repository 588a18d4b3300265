"""Rules on what is known before training: the model and its first batch."""

import math

import numpy as np

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.rules.outputs import (
    output_loss_mismatch as output_loss_mismatch,
)
from keras_ext.doctor.run_history import LayerFacts, RunHistory

# Root mean square of an input's entries, for which initializers take 1.
_LARGE, _HUGE, _TINY = 3.0, 10.0, 1e-3
# How many times the largest feature's scale may be that of the median one.
_RATIO = 100.0
# How many standard deviations the inputs may be away from zero.
_OFF_CENTER = 30.0
_NORMALIZATIONS = (
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)
# What adds or multiplies what several branches put out.
_MERGES = ("Add", "Subtract", "Average", "Multiply", "Dot", "Maximum")
_RELUS = ("relu", "relu6")


def numerical_instability_in_data(history: RunHistory) -> list[Finding]:
    """Find NaN and infinity in the inputs or targets.

    Evidence: their share in the first batch. Threshold: any, since a single
    one makes the loss NaN and with it every weight.

    How it can be wrong: a loss or a train step of a person's own may leave
    out targets that are missing, so these are an info there.

    Args:
        history: What is known before training.
    """
    batch, facts = history.batch, history.facts
    if batch is None:
        return []
    found = []
    masked = facts.own_train_step or not any(o.loss for o in facts.outputs)
    for name, share, severity in (
        ("inputs", batch.x_nonfinite, "error"),
        ("targets", batch.y_nonfinite, "info" if masked else "error"),
    ):
        if not share > 0:  # NaN if there are no targets
            continue
        found.append(
            Finding(
                "numerical_instability",
                None,
                None,
                None,
                severity,
                {f"nonfinite_{name}": share, "threshold": 0.0},
                f"{100 * share:.2g}% of a batch's {name} are NaN or "
                "infinite. One of them makes the loss NaN, and then every "
                "weight.",
                remedies_for("numerical_instability", facts, None, batch),
            )
        )
    return sorted(found, key=lambda f: f.severity)


def unscaled_input(history: RunHistory) -> list[Finding]:
    """Find inputs that are far too large or small, or of unlike ranges.

    Evidence: the root mean square of all inputs of the first batch, and
    that of each feature. Initial weights are made for inputs of about 1.

    Thresholds: a root mean square above 10 is a warning, above 3 an info;
    digits from 0 to 16 (7.8) learn well enough, pixels from 0 to 255 (more
    than 70) do not. A feature whose scale is above 100 times the median
    feature's is a warning if the inputs are large with it, as otherwise
    it is most likely a rare one of sparse features; else an info. If every
    feature is below 0.001, a warning. What a normalization follows at once
    is an info, except for features of unlike ranges, which it leaves so.

    Silent if a layer scales the inputs first, if they are looked up and not
    multiplied (embeddings), if the first layer is frozen and so knows its
    inputs, for features that are zero throughout, and for inputs in [0, 1].

    Batch normalization does not help inputs that are more than 30 standard
    deviations away from zero: its moving mean, which validation uses, begins
    at 0 and takes hundreds of steps to come to theirs.

    How it can be wrong: a subclassed model may scale its inputs in its own
    code; the scale of one batch may be that of its outliers.

    Args:
        history: What is known before training.
    """
    batch, facts = history.batch, history.facts
    layers = [la for la in facts.layers if la.weight_std is not None]
    if (
        batch is None
        or facts.normalizes_input
        or not layers
        or not layers[0].trainable
        or layers[0].kind == "Embedding"
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
    lags = is_ahead_of_batch_normalization(history)
    if ratio > _RATIO and largest > _HUGE:
        severity = "warning" if rms > _LARGE else "info"
        evidence |= {"feature_ratio": ratio, "threshold": _RATIO}
        message = (
            f"The largest feature's scale is {ratio:.3g} times that of the "
            f"median one ({largest:.3g}), so it drowns the others."
        )
    elif rms > _LARGE:
        severity = "warning" if rms > _HUGE else "info"
        if not lags and _is_normalized_at_once(facts.layers, layers[0]):
            severity = "info"
        evidence["threshold"] = _HUGE if rms > _HUGE else _LARGE
        message = (
            f"The inputs' root mean square is {rms:.3g} (from "
            f"{batch.x_low:.4g} to {batch.x_high:.4g}); initial weights are "
            "made for inputs of about 1."
        )
        if lags:
            message += (
                " Batch normalization takes hundreds of steps to follow "
                "inputs so far from zero, and validation goes by it."
            )
    elif largest < _TINY:
        severity = "warning"
        if _is_normalized_at_once(facts.layers, layers[0]):
            severity = "info"
        evidence |= {"largest_scale": largest, "threshold": _TINY}
        message = (
            f"No feature's scale is above {largest:.3g}; initial weights "
            "are made for inputs of about 1."
        )
    else:
        return []
    return [
        Finding(
            "unscaled_input",
            None,
            None,
            None,
            severity,
            evidence,
            message,
            remedies_for("unscaled_input", facts, None, batch),
        )
    ]


def _is_normalized_at_once(
    layers: tuple[LayerFacts, ...], first: LayerFacts
) -> bool:
    """Return whether the scale of the inputs ends with the first layer."""
    after = layers[layers.index(first) + 1 :][:1]
    linear = first.activation is None
    return linear and any(la.kind in _NORMALIZATIONS for la in after)


def is_ahead_of_batch_normalization(history: RunHistory) -> bool:
    """Return whether the inputs are far from 0, where its means begin.

    Args:
        history: What is known before training.
    """
    batch, layers = history.batch, history.facts.layers
    if batch is None or not abs(batch.x_mean) > _OFF_CENTER * batch.x_std:
        return False
    kinds = [la.kind for la in layers if la.kind in _NORMALIZATIONS]
    return kinds[:1] == ["BatchNormalization"]


def symmetric_units(history: RunHistory) -> list[Finding]:
    """Find hidden layers whose units all start with the same weights.

    Such units put out the same. They stay alike for ever if the layer after
    them treats them alike, too, or if they are dead, and are slow to part
    otherwise.

    Evidence: the kernel's columns and the biases are equal, exactly, before
    training. Severity: an error if the next layer's units are identical as
    well or the layer is a ReLU; a warning otherwise, since the next layer's
    random weights tell the units apart, slowly. Units that are alike after
    an update stay so.

    Silent for layers that are frozen, have one unit or make the output: a
    linear model may start at zero. So may the last layer of a branch that
    is added to another. Where a person's own code calls the layers, their
    place is unknown and only layers with an activation count.

    How it can be wrong: weights set after `fit` began are not seen.

    Args:
        history: What is known before training.

    Returns:
        One finding, which names the first such layer and counts them.
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
        if applied(la, history.facts.layers) in _RELUS
        or any(x.identical_units for x in layers[i + 1 : i + 2])
        or history.facts.updates
    ]
    layer = (stuck or alike)[0][1]
    others = len(alike) - 1
    plural = "s" if others > 1 else ""
    also = f", as in {others} other layer{plural}" if others else ""
    fate = "They get the same gradients and stay alike."
    if not stuck:
        fate = "The next layer's random weights part them, but slowly."
    return [
        Finding(
            "symmetric_units",
            layer.path,
            None,
            None,
            "error" if stuck else "warning",
            {
                "units": float(layer.units or 0),
                "weight_std": float(layer.weight_std or 0.0),
                "layers": float(len(alike)),
            },
            f"All {layer.units} units of `{layer.path}` start with the same "
            f"weights{also}. {fate}",
            remedies_for(
                "symmetric_units", history.facts, layer.path, history.batch
            ),
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


def applied(layer: LayerFacts, layers: tuple[LayerFacts, ...]) -> str | None:
    """Return the activation after a layer, its own or the next layer's.

    Args:
        layer: One with weights.
        layers: All of the model's.
    """
    if layer.activation is not None:
        return layer.activation
    for after in layers[layers.index(layer) + 1 :]:
        if after.weight_std is not None:
            return None
        if after.activation is not None:
            return after.activation
    return None
