"""What several rules share: making findings, and reading initial weights."""

from collections.abc import Mapping

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.run_history import BatchFacts, Facts, LayerFacts

# Standard deviation of initial weights times sqrt(fan_in); He's is 1.4.
LARGE_WEIGHTS = 4.0
_SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "softsign")


def finding_of(
    summary: LearningSummary,
    problem: str,
    evidence: Mapping[str, float | str],
    message: str,
    layer: str | None = None,
    step: int | None = None,
    severity: str = "error",
    rate_times: float | None = None,
) -> Finding:
    """Return a finding about a run, with its remedies."""
    history = summary.history
    facts, batch, epoch = history.facts, history.batch, summary.epoch_of(step)
    remedies = remedies_for(problem, facts, layer, batch, rate_times)
    return Finding(
        problem, layer, epoch, step, severity, evidence, message, remedies
    )


def early_finding(
    facts: Facts,
    batch: BatchFacts | None,
    problem: str,
    layer: str | None,
    severity: str,
    evidence: Mapping[str, float | str],
    message: str,
) -> Finding:
    """Return a finding from before training, with its remedies."""
    remedies = remedies_for(problem, facts, layer, batch)
    return Finding(
        problem, layer, None, None, severity, evidence, message, remedies
    )


def applied_activation(
    layer: LayerFacts, layers: tuple[LayerFacts, ...]
) -> str | None:
    """Return the activation on a layer's output: its own, or a later layer's.

    Args:
        layer: A layer with weights.
        layers: All layers of the model.
    """
    if layer.activation is not None:
        return layer.activation
    for after in layers[layers.index(layer) + 1 :]:
        if after.weight_std is not None:
            return None
        if after.activation is not None:
            return after.activation
    return None


def is_normalized(layer: LayerFacts, layers: tuple[LayerFacts, ...]) -> bool:
    """Return whether a normalization directly follows a linear layer."""
    return layer.activation is None and _feeds_normalization(layer, layers)


def is_scale_free(layer: LayerFacts, layers: tuple[LayerFacts, ...]) -> bool:
    """Return whether a normalization undoes the scale of a layer's weights.

    The gradient of such weights is inverse to their scale.
    """
    homogeneous = layer.activation in (None, "relu", "leaky_relu")
    return homogeneous and _feeds_normalization(layer, layers)


def _feeds_normalization(
    layer: LayerFacts, layers: tuple[LayerFacts, ...]
) -> bool:
    if layer.is_normalized:
        return True
    if layer.feeds is not None and "?" not in layer.feeds:
        return False
    # Custom code mostly calls layers in the order in which it creates them.
    after = layers[layers.index(layer) + 1 :][:1]
    return any("Normalization" in la.kind for la in after)


def preactivation_scale(layer: LayerFacts) -> float:
    """Return the scale of pre-activations that inputs of size 1 produce."""
    scale = (layer.weight_std or 0.0) * (layer.fan_in or 1) ** 0.5
    return max(scale, layer.bias_size, layer.recurrent_gain or 0.0)


def saturated_by_weights(summary: LearningSummary) -> list[LayerFacts]:
    """Return hidden layers that their initial weights saturate.

    The activation may be a layer of its own. Behind a normalization the
    scale of the weights does not matter.
    """
    layers = summary.history.facts.layers
    weighted = [layer for layer in layers if layer.weight_std is not None]
    hidden = weighted[:-1] if len(weighted) > 1 else layers[:-1]
    return [
        layer
        for layer in hidden
        if preactivation_scale(layer) > LARGE_WEIGHTS
        and applied_activation(layer, layers) in _SATURATING
        and not is_normalized(layer, layers)
    ]
