"""Whether a model's outputs, its losses and the targets fit one another."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.run_history import BatchFacts, OutputFacts, RunHistory

_BINARY = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "multi_label_crossentropy",
)
_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy")
_SPARSE = "sparse_categorical_crossentropy"
_CROSSENTROPIES = (*_BINARY, *_ONE_HOT, _SPARSE)
_MARGINS = ("hinge", "squared_hinge")
_REGRESSIONS = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "quantile",
)
# What activations can put out.
_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}
_PROBABILITIES = ("sigmoid", "hard_sigmoid", "softmax")
# Layers that turn what they get into something else by learnt weights.
_LEARNING = ("Dense", "EinsumDense", "LSTM", "GRU", "SimpleRNN", "Conv")
# Share of the targets' range that may lie beyond what the output reaches:
# room for rounding and for a few values beyond the scale of the others.
_BEYOND = 0.1
_FAR_BEYOND = 0.3
_TOLERANCE = 1e-3
_MANY_CLASSES = 20
# How far mean and deviation of labels may be from those of classes that are
# equally frequent, and of how many labels these are to be known.
_EVEN, _ENOUGH_LABELS = 0.15, 8


class Mismatch(NamedTuple):
    """What does not fit.

    Attributes:
        severity: One of `SEVERITIES`.
        message: A sentence or two.
        evidence: Numbers beside those that all mismatches show.
    """

    severity: str
    message: str
    evidence: Mapping[str, float | str] = {}


def output_loss_mismatch(history: RunHistory) -> list[Finding]:
    """Find outputs that do not fit their loss or their targets.

    Looks for softmax on one unit, softmax in a hidden layer, cross-entropy
    of outputs that are no probabilities or of probabilities taken for
    logits, one-hot losses on integer labels and the reverse, labels out of
    range, and regression with an output that cannot reach the targets.

    Evidence: the name of the output's activation and its number of units,
    the loss, and range and mean of the first batch's targets.

    Thresholds: labels count as out of range by more than 0.001. A
    regression's output that cannot reach 10 % of the targets' range is a
    warning, 30 % an error: between them lie data sets that a few outliers
    leave scaled a little too wide. One-hot targets of K classes have the
    mean 1/K exactly, other targets hardly ever. Errors are what cannot be
    learnt as it stands; what trains, but worse than it could, is a warning,
    such as a squared error on whole numbers from 0 on that are equally
    frequent (within 15 % in mean and deviation) and so most likely classes,
    and what is as good as usual, such as squared errors of a softmax and
    one-hot targets, is an info.

    How it can be wrong: targets are those of one batch, so classes may be
    missing in it. Other integer targets of a linear output may be counts as
    well as classes, so they are an info; and those that are equally frequent
    may be grades. With several outputs, or a train step of the person's own,
    nobody knows which targets belong to which output, and rules on targets
    are silent; so are rules on activations where these are not known.

    Args:
        history: What is known before training.

    Returns:
        For each output its worst mismatch, the most severe first.
    """
    facts, batch = history.facts, history.batch
    if facts.own_train_step:
        return []
    if batch is None or len(facts.outputs) != 1 or not _is_known(batch):
        batch = None
    found = []
    for output in facts.outputs:
        mismatches = [m for rule in _RULES for m in rule(output, batch)]
        if mismatches:
            worst = max(mismatches, key=lambda m: _rank(m.severity))
            layer = _output_layer(history, output)
            found.append(_finding(history, worst, layer, output, batch))
    for hidden in facts.layers:
        mismatch = _hidden_softmax(hidden.activation, hidden.feeds)
        if mismatch:
            found.append(_finding(history, mismatch, hidden.path))
    return sorted(found, key=lambda f: _rank(f.severity), reverse=True)


def _finding(
    history: RunHistory,
    mismatch: Mismatch,
    layer: str | None,
    output: OutputFacts | None = None,
    batch: BatchFacts | None = None,
) -> Finding:
    evidence: dict[str, float | str] = {}
    if output is not None:
        activation = output.activation or "linear"
        evidence["activation"] = activation if output.known else "unknown"
        evidence["loss"] = output.loss or "none"
        if output.units:
            evidence["units"] = output.units
        if batch is not None:
            evidence |= {"y_low": batch.y_low, "y_high": batch.y_high}
    return Finding(
        "output_loss_mismatch",
        layer,
        None,
        None,
        mismatch.severity,
        evidence | dict(mismatch.evidence),
        mismatch.message,
        remedies_for(
            "output_loss_mismatch", history.facts, layer, history.batch
        ),
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _is_known(batch: BatchFacts) -> bool:
    return math.isfinite(batch.y_low) and math.isfinite(batch.y_high)


def _output_layer(history: RunHistory, output: OutputFacts) -> str | None:
    """Return the path of the layer that makes an output, if it is known."""
    paths = [
        layer.path
        for layer in history.facts.layers
        if layer.feeds and "output" in layer.feeds
    ]
    if len(history.facts.outputs) == 1 and paths:
        return paths[-1]
    return output.name if output.name in paths else None


def _one_hot_like(batch: BatchFacts, units: int) -> bool:
    """Return whether targets look like distributions over the units."""
    return (
        batch.y_units in (None, units)
        and batch.y_low >= -_TOLERANCE
        and batch.y_high <= 1 + _TOLERANCE
        and abs(batch.y_mean * units - 1) < 0.02
    )


def _single_unit(
    output: OutputFacts, batch: BatchFacts | None
) -> Iterator[Mismatch]:
    if output.units != 1 or not output.known:
        return
    if output.activation == "softmax":
        yield Mismatch(
            "error",
            "Softmax of a single unit is 1 whatever the input, so nothing "
            "can be learnt.",
        )
    elif output.loss in (*_ONE_HOT, _SPARSE):
        yield Mismatch(
            "error",
            f"The loss {output.loss} compares classes, of which one unit "
            "can tell but one: it is the same whatever the output.",
        )


def _wrong_logits(
    output: OutputFacts, batch: BatchFacts | None
) -> Iterator[Mismatch]:
    loss, activation = output.loss, output.activation
    if not output.known:
        return
    if loss in _CROSSENTROPIES and output.from_logits:
        if activation in _PROBABILITIES:
            yield Mismatch(
                "warning",
                f"The loss {loss} takes logits (from_logits=True), but the "
                f"output is that of {activation}, so it is squashed twice.",
            )
        elif activation in _RANGES:
            yield Mismatch(
                "warning",
                f"The loss {loss} takes logits, which may be any number, "
                f"but the output's {activation} limits them.",
            )
    elif loss in _CROSSENTROPIES and activation not in _PROBABILITIES:
        if activation in ("log_softmax", "log_sigmoid"):
            made = f"logarithms ({activation})"
        else:
            made = f"that of a {activation or 'linear'} unit"
        yield Mismatch(
            "error" if activation in (None, *_RANGES) else "warning",
            f"The loss {loss} takes probabilities, but the output is {made}. "
            "What lies outside of 0 and 1 is cut off and learns nothing.",
        )
    elif loss in ("kl_divergence", "poisson") and activation is None:
        yield Mismatch(
            "warning",
            f"The loss {loss} takes the logarithm of the output, which is "
            "linear and may be negative.",
        )
    elif loss in (*_MARGINS, "exponential") and (
        _RANGES.get(activation or "", (-1, 1))[0] == 0
    ):
        yield Mismatch(
            "warning",
            f"The loss {loss} needs outputs on either side of 0, but "
            f"{activation} puts out none below it.",
        )


def _several_classes(
    output: OutputFacts, batch: BatchFacts | None
) -> Iterator[Mismatch]:
    loss, activation, units = output.loss, output.activation, output.units
    if not output.known or output.from_logits or not units or units < 2:
        return
    if loss in _BINARY and activation == "softmax":
        yield Mismatch(
            "warning" if units > 2 else "info",
            f"The loss {loss} takes each unit for a yes or no of its own, "
            f"but softmax makes the {units} units depend on one another.",
        )
    elif loss in (*_ONE_HOT, _SPARSE) and activation in _PROBABILITIES[:2]:
        yield Mismatch(
            "warning",
            f"The loss {loss} takes one distribution over the {units} "
            f"classes, but {activation} gives each a number of its own.",
        )


def _wrong_labels(
    output: OutputFacts, batch: BatchFacts | None
) -> Iterator[Mismatch]:
    if batch is None:
        return
    loss, units = output.loss, output.units if output.known else None
    low, high = batch.y_low, batch.y_high
    between = f"The targets lie between {low:.4g} and {high:.4g}"
    if loss == _SPARSE and output.ignore_class is None:
        one_hot = units and units > 1 and batch.y_units == units
        if one_hot and _one_hot_like(batch, units or 0):
            yield Mismatch(
                "error",
                f"The loss {loss} takes whole numbers as labels, but the "
                f"targets are one-hot vectors of {units} classes.",
            )
        elif not batch.y_whole:
            yield Mismatch(
                "error",
                f"The loss {loss} takes whole numbers as labels, but the "
                "targets are none.",
            )
        elif low < 0 or (units and units > 1 and high >= units):
            top = f"{units - 1}" if units else "the number of classes"
            yield Mismatch(
                "error",
                f"{between}, but the labels of {loss} run from 0 to {top}.",
            )
    elif loss in _ONE_HOT:
        if units and units > 1 and batch.y_units == 1 and batch.y_whole:
            yield Mismatch(
                "error",
                f"The loss {loss} takes one-hot vectors of {units} classes, "
                "but the targets are one number per sample.",
            )
        elif low < -_TOLERANCE or high > 1 + _TOLERANCE:
            yield Mismatch(
                "error", f"{between}, but {loss} takes one-hot vectors."
            )
        elif (
            units
            and batch.y_units == units
            and batch.y_mean * units > 1.2
            and output.activation == "softmax"
        ):
            yield Mismatch(
                "warning",
                f"Targets name {batch.y_mean * units:.2g} classes per "
                "sample, but softmax takes them for exclusive.",
                {"classes_per_sample": batch.y_mean * units},
            )
    elif loss in _BINARY:
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:
            yield Mismatch(
                "error", f"{between}, but {loss} takes targets in [0, 1]."
            )
        elif units and units > 1 and batch.y_units == 1 and batch.y_whole:
            yield Mismatch(
                "error",
                f"There are {units} outputs but one target per sample: "
                f"{loss} compares each output with the same one.",
            )
    elif loss in (*_MARGINS, "exponential"):
        if not batch.y_whole or low < -1 or high > 1:
            yield Mismatch(
                "error", f"{between}, but {loss} takes labels of -1 and 1."
            )
    elif loss in ("kl_divergence", "poisson") and low < -_TOLERANCE:
        yield Mismatch("error", f"{between}, but {loss} takes none below zero.")


def _wrong_regression(
    output: OutputFacts, batch: BatchFacts | None
) -> Iterator[Mismatch]:
    loss, activation, units = output.loss, output.activation, output.units
    if loss not in _REGRESSIONS or not output.known or units is None:
        return
    if activation == "softmax" and units > 1:
        if batch is None or _one_hot_like(batch, units):
            yield Mismatch(
                "info",
                f"The loss {loss} on a softmax: for classes cross-entropy "
                "learns faster; for numbers the output should be linear.",
            )
        else:
            yield Mismatch(
                "error",
                "Softmax makes the outputs sum to 1, which the targets of "
                f"this regression ({loss}) do not.",
                {"y_mean": batch.y_mean},
            )
        return
    if batch is None:
        return
    if units > 1 and batch.y_units == 1 and loss != "quantile":
        yield Mismatch(
            "error",
            f"There are {units} outputs but one target per sample: {loss} "
            "compares each output with the same one.",
        )
        return
    beyond = _beyond(activation, batch)
    if beyond > _BEYOND:
        low, high = _RANGES[activation or ""]
        yield Mismatch(
            "error" if beyond > _FAR_BEYOND else "warning",
            f"Targets lie between {batch.y_low:.4g} and {batch.y_high:.4g}, "
            f"but {activation} puts out numbers between {low:g} and {high:g} "
            "only.",
            {"beyond": beyond, "threshold": _BEYOND},
        )
    elif (
        activation is None
        and units == 1
        and batch.y_whole
        and batch.y_low == 0
        and 2 <= batch.y_high < _MANY_CLASSES
    ):
        even = _evenly_spread(batch)
        yield Mismatch(
            "warning" if even else "info",
            f"Targets are whole numbers from 0 to {batch.y_high:g}"
            + (", each about as often as the others" if even else "")
            + f". If they name classes, {loss} takes the classes for an "
            "order.",
        )


def _evenly_spread(batch: BatchFacts) -> bool:
    """Return whether whole numbers from 0 on are each about as frequent.

    By mean and standard deviation. Counts are not so, classes mostly are.
    """
    top = batch.y_high
    spread = math.sqrt(((top + 1) ** 2 - 1) / 12)
    return (
        batch.size >= _ENOUGH_LABELS
        and abs(batch.y_mean - top / 2) <= _EVEN * top / 2
        and abs(batch.y_std - spread) <= _EVEN * spread
    )


def _beyond(activation: str | None, batch: BatchFacts) -> float:
    """Return the share of the targets' range that the output cannot reach."""
    if activation not in _RANGES or batch.y_high <= batch.y_low:
        return 0.0
    low, high = _RANGES[activation]
    missed = max(0.0, low - batch.y_low) + max(0.0, batch.y_high - high)
    return missed / (batch.y_high - batch.y_low)


_RULES: tuple[
    Callable[[OutputFacts, BatchFacts | None], Iterator[Mismatch]], ...
] = (
    _single_unit,
    _wrong_labels,
    _wrong_logits,
    _several_classes,
    _wrong_regression,
)


def _hidden_softmax(
    activation: str | None, feeds: tuple[str, ...] | None
) -> Mismatch | None:
    """Look at a layer whose output only layers with weights take.

    Attention multiplies with what its softmax puts out, so it is none.
    """
    if activation != "softmax" or not feeds:
        return None
    if not all(kind.startswith(_LEARNING) for kind in feeds):
        return None
    return Mismatch(
        "warning",
        "Softmax in a hidden layer: its units sum to 1, so they pass on "
        "little, and small gradients.",
        {"activation": "softmax", "feeds": ", ".join(feeds)},
    )
