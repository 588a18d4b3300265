"""What can be said before training."""

import dataclasses
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ext.doctor.diagnose import CONSEQUENCES, ranked
from keras_ext.doctor.facts import model as model_facts
from keras_ext.doctor.facts import probe as probes
from keras_ext.doctor.facts.data import batch_facts
from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.records import BatchFacts, Facts, OutputFacts, Records
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.rules import static

# Numbers of a data set that are looked at; of a larger one, evenly spaced
# samples are.
_MOST_NUMBERS = 20_000_000

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


def check(
    model: Any, x: Any, y: Any = None, batch_size: int = 32
) -> list[Finding]:
    """Return what is wrong with a model and its data before training.

    Looks at the model, at the data, and at one forward and backward on one
    batch: inputs of a wrong scale, NaN in the data, labels out of range,
    outputs that do not fit their loss, units that start alike, and initial
    weights that let activations or gradients explode, vanish or saturate.

    Weights, optimizer, random seeds and what was compiled stay as they are;
    a subclassed model that is not built is built. What cannot be found out
    is left out: gradients of a model without a loss or with a train step of
    its own, and all measurements on one that wraps a PyTorch module.

    Cost: under two seconds for small models; one step of training, and on
    JAX its compilation, for large ones.

    Args:
        model: A `keras.Model`; compiled, if losses are to be checked.
        x: Inputs: an array or tensor of shape `(samples, ...)`, a list or a
            dictionary of them; or what `fit` takes in their place, such as a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch data
            loader or a generator, of which the first batch is taken.
        y: Targets, alike; `None` for none, and where `x` yields them.
            Defaults to `None`.
        batch_size: Samples of the batch, evenly spaced in the arrays.
            Defaults to `32`.

    Returns:
        Findings, the most severe first, each with what follows from it.

    Raises:
        TypeError: If `model` is no Keras model.
        ValueError: If `x` and `y` have no samples or different numbers of
            them, or the model cannot be called with `x`, or its losses
            cannot be computed for `y`.

    Example:
    >>> import keras, numpy as np
    >>> from keras_ext.doctor import check
    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, activation="softmax")]
    ... )
    >>> model.compile(loss="binary_crossentropy")
    >>> x, y = np.eye(2), np.array([0, 1])
    >>> print([finding.problem for finding in check(model, x, y)])
    ['output_loss_mismatch']
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a Keras model. Received: model={model!r}"
        )
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            "`batch_size` must be a positive integer. "
            f"Received: batch_size={batch_size!r}"
        )
    (x, y), batch = _data(x, y, batch_size)
    facts = model_facts.facts_of(model)
    probe = None
    if not _has_torch_module(model):
        facts, probe = _probed(model, batch, facts)
    findings = _static(facts, x, y)
    if probe is not None and probe.loss_error is not None:
        _complain(probe.loss_error, findings, facts)
    data = batch_facts(x, y, facts.outputs)
    measured: list[Finding] = []
    finite = not data.x_nonfinite > 0 and not data.y_nonfinite > 0
    if probe is not None and finite:
        measured = _measured(probe, facts, data)
    # What was measured may follow from the rest, not the other way round.
    return ranked([*_sorted(findings), *measured])


# Data


def _data(x: Any, y: Any, batch_size: int) -> tuple[Any, Any]:
    """Return `(x, y)` as arrays, and a batch `(x, y, sample_weight)`."""
    if x is None:
        raise ValueError("`x` must be given. Received: x=None")
    if not _is_arrays(x):
        if y is not None:
            raise ValueError(
                "`y` must be `None` if `x` yields the targets, too. "
                f"Received: x={type(x).__name__}, y={type(y).__name__}"
            )
        first = _first_batch(x)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(first)
        x, y, weights = _as_arrays(x), _as_arrays(y), _as_arrays(weights)
        _length(x, y)
        return (x, y), (x, y, weights)
    x, y = _as_arrays(x), _as_arrays(y)
    length = _length(x, y)
    rows = _spaced(length, batch_size)

    def take(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    batch = keras.tree.map_structure(take, (x, y))
    numbers = sum(a.size for a in keras.tree.flatten((x, y)) if a is not None)
    if numbers > _MOST_NUMBERS:
        most = max(batch_size, int(length * _MOST_NUMBERS / numbers))
        rows = _spaced(length, most)
        x, y = keras.tree.map_structure(take, (x, y))
    return (x, y), (*batch, None)


def _is_arrays(x: Any) -> bool:
    if isinstance(x, Mapping):
        return all(map(_is_arrays, x.values()))
    if isinstance(x, list | tuple):
        return all(_is_arrays(part) or np.isscalar(part) for part in x)
    return hasattr(x, "shape") and hasattr(x, "dtype") or hasattr(x, "iloc")


def _first_batch(x: Any) -> Any:
    if isinstance(x, keras.utils.PyDataset):
        return x[0]
    if not isinstance(x, Iterable):
        raise ValueError(
            f"`x` must be arrays, or yield batches of them. Received: x={x!r}"
        )
    for batch in x:
        return tuple(batch) if isinstance(batch, list) else batch
    raise ValueError("`x` must yield a batch. Received: x that yields nothing")


def _as_arrays(data: Any) -> Any:
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {key: _as_arrays(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        if all(map(np.isscalar, data)):
            return np.asarray(data)
        return type(data)(_as_arrays(part) for part in data)
    if hasattr(data, "iloc"):
        data = data.to_numpy()
    if keras.ops.is_tensor(data):
        return keras.ops.convert_to_numpy(data)
    if hasattr(data, "detach"):
        data = data.detach().cpu()
    return np.asarray(data)


def _length(x: Any, y: Any) -> int:
    arrays = [a for a in keras.tree.flatten((x, y)) if a is not None]
    lengths = {len(a) if a.ndim else 0 for a in arrays}
    shapes = [a.shape for a in arrays]
    if len(lengths) != 1:
        raise ValueError(
            "`x` and `y` must have the same number of samples. "
            f"Received: arrays of shapes {shapes}"
        )
    if lengths == {0}:
        raise ValueError(
            f"`x` must have samples. Received: arrays of shapes {shapes}"
        )
    return lengths.pop()


def _spaced(length: int, count: int) -> np.ndarray:
    if count >= length:
        return np.arange(length)
    return np.linspace(0, length - 1, count).astype(int)


# Measuring


def _has_torch_module(model: Any) -> bool:
    """Return whether the model holds state that is not Keras's."""
    wrapper = keras.layers.TorchModuleWrapper
    return any(isinstance(layer, wrapper) for layer in model._flatten_layers())


def _probed(
    model: Any, batch: Any, facts: Facts
) -> tuple[Facts, probes.Probe | None]:
    """Run the model once; return what is known then, and what was seen."""
    x, y, weights = keras.tree.map_structure(_to_tensor, batch)
    if facts.own_train_step:
        y = None
    try:
        # Findings say it: Keras warns of softmax on one unit, for example.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = probes.built(model, x)
            probe = probes.probe(
                built,
                x,
                y,
                weights,
                lambda names: model_facts.losses_of(model, names),
            )
    except Exception as error:
        # Only its own train step knows how such a model is called.
        if facts.own_train_step:
            return facts, None
        shapes = keras.tree.map_structure(lambda a: a.shape, batch[0])
        raise ValueError(
            "`x` must be what the model can be called with. Received: "
            f"arrays of shapes {shapes}, for which it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    now = model_facts.facts_of(built)
    facts = dataclasses.replace(
        facts,
        layers=now.layers,
        parameters=now.parameters,
        outputs=_outputs(model, probe, facts),
    )
    return facts, probe


def _to_tensor(array: Any) -> Any:
    if array is None or array.dtype.kind not in "fiubV":
        return array
    if array.dtype == np.float64:
        array = array.astype(keras.config.floatx())
    return keras.ops.convert_to_tensor(array)


def _complain(error: Exception, findings: list[Finding], facts: Facts) -> None:
    """Raise if losses cannot be computed and no finding says why."""
    said = any(f.problem == "output_loss_mismatch" for f in findings)
    if not said and any(output.loss for output in facts.outputs):
        raise ValueError(
            "`y` must be what the model's losses can be computed for. They "
            f"raised {type(error).__name__}: {error}"
        ) from error


def _outputs(
    model: Any, probe: probes.Probe | None, facts: Facts
) -> tuple[OutputFacts, ...]:
    """Return what the call of a model has shown of its outputs."""
    if probe is None or not probe.outputs:
        return facts.outputs
    return model_facts.output_facts(model, probe.outputs)


# Findings


def _static(facts: Facts, x: Any, y: Any) -> list[Finding]:
    batch = batch_facts(x, y, facts.outputs)
    records = Records(facts, batch)
    findings = [
        *static.numerical_instability_in_data(records),
        *static.symmetric_units(records),
        *static.unscaled_input(records),
    ]
    pairs = [(facts.outputs, y)]
    if len(facts.outputs) > 1:
        pairs = _paired(facts.outputs, y) or pairs
    for outputs, target in pairs:
        alone = dataclasses.replace(facts, outputs=outputs)
        own = Records(alone, batch_facts(x, target, outputs))
        findings += static.output_loss_mismatch(own)
    return findings


def _paired(
    outputs: tuple[OutputFacts, ...], y: Any
) -> list[tuple[tuple[OutputFacts, ...], Any]]:
    """Return each output with its targets."""
    if isinstance(y, Mapping):
        return [((o,), y.get(o.name)) for o in outputs]
    if isinstance(y, list | tuple) and len(y) == len(outputs):
        return [((o,), target) for o, target in zip(outputs, y, strict=True)]
    return []


def _measured(
    probe: probes.Probe, facts: Facts, data: BatchFacts
) -> list[Finding]:
    """Return what one forward and backward says of the initial weights."""
    wrong = _nonfinite(probe)
    if wrong:
        return [_remedied(finding, facts, data) for finding in wrong]
    outputs = {
        la.path
        for la in facts.layers
        if la.feeds and set(la.feeds) <= {"output"}
    }
    hidden = [
        site
        for site in probe.sites
        if site.path not in outputs and site.kind != "softmax"
    ]
    found = [
        *_exploding(probe, hidden, facts, data),
        *_saturated(hidden),
        *_vanishing(probe, facts),
        *_silent(hidden),
    ]
    return [_remedied(finding, facts, data) for finding in found]


def _nonfinite(probe: probes.Probe) -> list[Finding]:
    layer = next(
        (s.path for s in probe.sites if not math.isfinite(s.rms)), None
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
    probe: probes.Probe,
    hidden: list[probes.Site],
    facts: Facts,
    data: BatchFacts,
) -> list[Finding]:
    if hidden:
        # Inputs that are looked up or scaled first have no scale here.
        start = math.hypot(data.x_mean, data.x_std)
        if facts.normalizes_input or not math.isfinite(start) or not start:
            start = hidden[0].rms
        top = max(hidden, key=lambda site: site.rms)
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


def _vanishing(probe: probes.Probe, facts: Facts) -> list[Finding]:
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


def _saturated(hidden: list[probes.Site]) -> list[Finding]:
    sites = [site for site in hidden if site.saturation > _SATURATED]
    if not sites:
        return []
    site = max(sites, key=lambda s: s.saturation)
    return [
        _finding(
            "saturated_activation",
            site.path,
            "error" if site.saturation > _FLAT else "warning",
            {"saturation": site.saturation, "threshold": _SATURATED},
            f"{site.saturation:.0%} of what `{site.path}` puts out is "
            "saturated before any training, where gradients are next to "
            "zero.",
        )
    ]


def _silent(hidden: list[probes.Site]) -> list[Finding]:
    sites = [
        site
        for site in hidden
        if site.kind == "relu"
        and site.silent >= _SILENT
        and site.units >= _FEWEST_UNITS
    ]
    if not sites:
        return []
    site = sites[0]
    return [
        _finding(
            "dying_relu",
            site.path,
            "error" if site.silent == 1 else "warning",
            {"silent": site.silent, "threshold": _SILENT},
            f"{site.silent:.0%} of the units of `{site.path}` put out zero "
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


def _sorted(findings: list[Finding]) -> list[Finding]:
    """Return each finding once, causes first and the worst of them."""
    order = list(CONSEQUENCES)
    kept: dict[tuple[str, str | None, str], Finding] = {}
    for finding in findings:
        key = finding.problem, finding.layer, finding.message
        kept.setdefault(key, finding)
    return sorted(
        kept.values(),
        key=lambda f: (
            order.index(f.problem) if f.problem in order else 99,
            -SEVERITIES.index(f.severity),
        ),
    )
