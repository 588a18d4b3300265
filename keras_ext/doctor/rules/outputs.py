"""Rules on outputs: whether activation, loss and targets fit together."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.rules.shared import early_finding
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
# Ranges of activations' outputs.
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
# Layers that multiply their inputs by learned weights.
_LEARNING = ("Dense", "EinsumDense", "LSTM", "GRU", "SimpleRNN", "Conv")
# Share of the targets' range that the output cannot reach. Between the two lie
# data sets that a few outliers leave scaled a little too wide.
OUT_OF_REACH, FAR_OUT_OF_REACH = 0.1, 0.3
TOLERANCE = 1e-3
# Classes that are equally frequent: how far mean and standard deviation of the
# labels may be off.
MAX_CLASSES, EVEN, MIN_LABELS = 20, 0.15, 8
# Tolerance of the mean of one-hot targets; labels in a sample.
ONE_HOT_MEAN, SEVERAL_LABELS = 0.02, 1.2

CONDITIONS = {
    "output_loss_mismatch": f"""
Error: softmax on one unit; a loss of classes on one unit.
Error or warning: cross-entropy of outputs that are not probabilities.
Warning: probabilities under `from_logits=True`; softmax in a hidden layer.
Warning: sigmoid for one of several classes.
Warning: softmax for several labels, {SEVERAL_LABELS:g} a sample.
Error: labels out of the loss's range by {TOLERANCE:g}.
Error: one-hot labels for a loss of integers, or the reverse.
  One-hot labels have a mean of 1 / classes, within {ONE_HOT_MEAN:.0%}.
Regression, warning: {OUT_OF_REACH:.0%} of the targets' range is out of reach.
  Error instead: {FAR_OUT_OF_REACH:.0%}.
Info: a regression on whole numbers from 0 to less than {MAX_CLASSES}.
  Warning instead: the run fails.
  Warning instead: {MIN_LABELS} labels or more, even within {EVEN:.0%}.
Silent on targets: several outputs, or a custom `train_step`.
Earliest: first look.
Can be wrong: a batch may lack classes; numbers may be counts or grades.
""",
}


class Mismatch(NamedTuple):
    """Parts of a finding that differ from mismatch to mismatch."""

    severity: str
    message: str
    evidence: Mapping[str, float | str] = {}


_Batch = BatchFacts | None
_Mismatches = Iterator[Mismatch]
_error = functools.partial(Mismatch, "error")
_warning = functools.partial(Mismatch, "warning")
_info = functools.partial(Mismatch, "info")


def output_loss_mismatch(history: RunHistory) -> list[Finding]:
    """Find outputs that do not fit their loss or their targets.

    An error is what the model cannot learn as it is. A warning is what it
    learns worse than it could.

    Returns:
        The worst mismatch of each output, the most severe first.
    """
    facts, batch = history.facts, history.batch
    if facts.own_train_step:
        return []
    if batch is None or len(facts.outputs) != 1:
        batch = None
    elif not math.isfinite(batch.y_low) or not math.isfinite(batch.y_high):
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
    return early_finding(
        history.facts,
        history.batch,
        "output_loss_mismatch",
        layer,
        mismatch.severity,
        evidence | dict(mismatch.evidence),
        mismatch.message,
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


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
        and batch.y_low >= -TOLERANCE
        and batch.y_high <= 1 + TOLERANCE
        and abs(batch.y_mean * units - 1) < ONE_HOT_MEAN
    )


def _single_unit(output: OutputFacts, batch: _Batch) -> _Mismatches:
    if output.units != 1 or not output.known:
        return
    if output.activation == "softmax":
        yield _error(
            "Softmax of a single unit is always 1, so the model learns nothing."
        )
    elif output.loss in (*_ONE_HOT, _SPARSE):
        yield _error(
            f"The loss {output.loss} compares classes, but one unit stands "
            "for one class only. The loss is the same for every output."
        )


def _wrong_logits(output: OutputFacts, batch: _Batch) -> _Mismatches:
    loss, activation = output.loss, output.activation
    if not output.known:
        return
    if loss is None and output.from_logits and activation == "softmax":
        yield _warning(
            "The custom loss takes logits: it is the same if all outputs of a "
            "sample grow by the same number. But the output is a softmax, so "
            "it is squashed twice."
        )
    elif loss in _CROSSENTROPIES and output.from_logits:
        if activation in _PROBABILITIES:
            yield _warning(
                f"The loss {loss} takes logits (from_logits=True), but the "
                f"output is a {activation}, so it is squashed twice."
            )
        elif activation in _RANGES:
            yield _warning(
                f"The loss {loss} takes logits, which may be any number, "
                f"but the output is limited by {activation}."
            )
    elif loss in _CROSSENTROPIES and activation not in _PROBABILITIES:
        if activation in ("log_softmax", "log_sigmoid"):
            output_is = f"a logarithm ({activation})"
        else:
            output_is = activation or "linear"
        yield Mismatch(
            "error" if activation in (None, *_RANGES) else "warning",
            f"The loss {loss} takes probabilities, but the output is "
            f"{output_is}. Values outside of 0 to 1 are clipped and learn "
            "nothing.",
        )
    elif loss in ("kl_divergence", "poisson") and activation is None:
        yield _warning(
            f"The loss {loss} takes the logarithm of the output, but a "
            "linear output may be negative."
        )
    elif loss in (*_MARGINS, "exponential") and (
        _RANGES.get(activation or "", (-1, 1))[0] == 0
    ):
        yield _warning(
            f"The loss {loss} needs outputs on both sides of 0, but "
            f"{activation} has none below 0."
        )


def _several_classes(output: OutputFacts, batch: _Batch) -> _Mismatches:
    loss, activation, units = output.loss, output.activation, output.units
    if not output.known or output.from_logits or not units or units < 2:
        return
    if loss in _BINARY and activation == "softmax":
        yield Mismatch(
            "warning" if units > 2 else "info",
            f"The loss {loss} treats each unit as an independent yes or no, "
            f"but softmax makes the {units} units depend on one another.",
        )
    elif loss in (*_ONE_HOT, _SPARSE) and activation in _PROBABILITIES[:2]:
        yield _warning(
            f"The loss {loss} takes one distribution over the {units} "
            f"classes, but {activation} treats each class independently."
        )


def _wrong_labels(output: OutputFacts, batch: _Batch) -> _Mismatches:
    if batch is None:
        return
    loss, units = output.loss, output.units if output.known else None
    low, high = batch.y_low, batch.y_high
    between = f"The targets lie between {low:.4g} and {high:.4g}"
    if loss == _SPARSE and output.ignore_class is None:
        one_hot = units and units > 1 and batch.y_units == units
        if one_hot and _one_hot_like(batch, units or 0):
            yield _error(
                f"The loss {loss} takes whole numbers as labels, but the "
                f"targets are one-hot vectors of {units} classes."
            )
        elif not batch.y_whole:
            yield _error(
                f"The loss {loss} takes whole numbers as labels, but the "
                "targets are not whole."
            )
        elif low < 0 or (units and units > 1 and high >= units):
            top = f"{units - 1}" if units else "the number of classes"
            yield _error(
                f"{between}, but the labels of {loss} run from 0 to {top}."
            )
    elif loss in _ONE_HOT:
        if units and units > 1 and batch.y_units == 1 and batch.y_whole:
            yield _error(
                f"The loss {loss} takes one-hot vectors of {units} classes, "
                "but the targets are one number per sample."
            )
        elif low < -TOLERANCE or high > 1 + TOLERANCE:
            yield _error(f"{between}, but {loss} takes one-hot vectors.")
        elif (
            units
            and batch.y_units == units
            and batch.y_mean * units > SEVERAL_LABELS
            and output.activation == "softmax"
        ):
            yield _warning(
                f"Targets have {batch.y_mean * units:.2g} classes per "
                "sample, but softmax assumes exactly one.",
                {"classes_per_sample": batch.y_mean * units},
            )
    elif loss in _BINARY:
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            yield _error(f"{between}, but {loss} takes targets in [0, 1].")
        elif units and units > 1 and batch.y_units == 1 and batch.y_whole:
            yield _error(
                f"There are {units} outputs but one target per sample: "
                f"{loss} compares each output with the same one."
            )
    elif loss in (*_MARGINS, "exponential"):
        if not batch.y_whole or low < -1 or high > 1:
            yield _error(f"{between}, but {loss} takes labels of -1 and 1.")
    elif loss in ("kl_divergence", "poisson") and low < -TOLERANCE:
        yield _error(f"{between}, but {loss} takes none below 0.")


def _wrong_regression(output: OutputFacts, batch: _Batch) -> _Mismatches:
    loss, activation, units = output.loss, output.activation, output.units
    if loss not in _REGRESSIONS or not output.known or units is None:
        return
    if activation == "softmax" and units > 1:
        if batch is None or _one_hot_like(batch, units):
            yield _info(
                f"The loss is {loss} and the output a softmax. For classes, "
                "cross-entropy learns faster. For numbers, the output should "
                "be linear."
            )
        else:
            yield _error(
                "Softmax makes the outputs sum to 1, which the targets of "
                f"this regression ({loss}) do not.",
                {"y_mean": batch.y_mean},
            )
        return
    if batch is None:
        return
    if loss == "mean_squared_logarithmic_error" and batch.y_low < -TOLERANCE:
        yield _error(
            f"Targets lie between {batch.y_low:.4g} and {batch.y_high:.4g}, "
            f"but {loss} takes none below 0."
        )
        return
    if units > 1 and batch.y_units == 1 and loss != "quantile":
        yield _error(
            f"There are {units} outputs but one target per sample: {loss} "
            "compares each output with the same one."
        )
        return
    missed = _out_of_reach(activation, batch)
    if missed > OUT_OF_REACH:
        low, high = _RANGES[activation or ""]
        yield Mismatch(
            "error" if missed > FAR_OUT_OF_REACH else "warning",
            f"Targets lie between {batch.y_low:.4g} and {batch.y_high:.4g}, "
            f"but {activation} outputs only numbers between {low:g} and "
            f"{high:g}.",
            {"targets out of reach": missed, "threshold": OUT_OF_REACH},
        )
    elif (
        activation is None
        and units == 1
        and batch.y_whole
        and batch.y_low == 0
        and 2 <= batch.y_high < MAX_CLASSES
    ):
        even = _evenly_spread(batch)
        yield Mismatch(
            "warning" if even else "info",
            f"Targets are whole numbers from 0 to {batch.y_high:g}"
            + (", all about equally frequent" if even else "")
            + f". If they are classes, {loss} treats the classes as ordered.",
        )


def _evenly_spread(batch: BatchFacts) -> bool:
    """Return whether whole numbers from 0 on are about equally frequent.

    Mean and standard deviation decide. Classes mostly are, counts are not.
    """
    top = batch.y_high
    spread = math.sqrt(((top + 1) ** 2 - 1) / 12)
    return (
        batch.size >= MIN_LABELS
        and abs(batch.y_mean - top / 2) <= EVEN * top / 2
        and abs(batch.y_std - spread) <= EVEN * spread
    )


def _out_of_reach(activation: str | None, batch: BatchFacts) -> float:
    """Return the share of the targets' range that the output cannot reach."""
    if activation not in _RANGES or batch.y_high <= batch.y_low:
        return 0.0
    low, high = _RANGES[activation]
    missed = max(0.0, low - batch.y_low) + max(0.0, batch.y_high - high)
    return missed / (batch.y_high - batch.y_low)


_RULES: tuple[Callable[[OutputFacts, _Batch], _Mismatches], ...] = (
    _single_unit,
    _wrong_labels,
    _wrong_logits,
    _several_classes,
    _wrong_regression,
)


def _hidden_softmax(
    activation: str | None, feeds: tuple[str, ...] | None
) -> Mismatch | None:
    """Find a softmax whose output goes only to layers with weights.

    Attention multiplies by its softmax, so it does not count.
    """
    if activation != "softmax" or not feeds:
        return None
    if not all(kind.startswith(_LEARNING) for kind in feeds):
        return None
    return _warning(
        "Softmax in a hidden layer: its units sum to 1, so its outputs and "
        "gradients are small.",
        {"activation": "softmax", "feeds": ", ".join(feeds)},
    )
