"""The check before training."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ext.doctor.diagnose import CONSEQUENCES, ranked
from keras_ext.doctor.facts import probe as probes
from keras_ext.doctor.facts.arrays import arrays_of
from keras_ext.doctor.facts.data import batch_facts
from keras_ext.doctor.facts.losses import losses_of
from keras_ext.doctor.facts.model import facts_of, output_facts
from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.rules import static
from keras_ext.doctor.rules.initial import initial_weights
from keras_ext.doctor.rules.outputs import output_loss_mismatch
from keras_ext.doctor.run_history import Facts, OutputFacts, RunHistory


def check(
    model: Any, x: Any, y: Any = None, batch_size: int = 32
) -> list[Finding]:
    """Return what is wrong with a model and its data before training.

    It looks at the model, the data, and one forward and backward pass on one
    batch. It finds inputs of a wrong scale, NaN in the data, labels out of
    range, outputs that do not fit their loss, units that start alike, and
    initial weights under which activations or gradients explode, vanish or
    saturate.

    Weights, optimizer, random seeds and compiled functions do not change. A
    subclassed model that is not built is built. Gradients of a model without
    a loss or with a custom train step are not checked, and no measurements
    are made on a model that wraps a PyTorch module.

    Cost: under two seconds for small models. For large ones, one step of
    training, and its compilation on JAX.

    Args:
        model: A `keras.Model`. Its losses are checked if it is compiled.
        x: Inputs: an array or tensor of shape `(samples, ...)`, or a list or
            dictionary of them. Or an iterable as in `fit`, such as a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch data
            loader or a generator; its first batch is taken.
        y: Targets, alike, or `None`. Must be `None` if `x` yields them.
            Defaults to `None`.
        batch_size: Samples of the batch, evenly spaced in the arrays.
            Defaults to `32`.

    Returns:
        Findings, the most severe first, each with its consequences.

    Raises:
        TypeError: If `model` is no Keras model.
        ValueError: If `x` and `y` have no samples, if they are arrays with
            different numbers of them, if the model cannot be called with `x`,
            if its losses cannot be computed for `y`, or if its backward pass
            fails.

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
    (x, y), batch = arrays_of(x, y, batch_size)
    facts = facts_of(model)
    probe = None
    if not _has_torch_module(model):
        facts, probe = _probed(model, batch, facts)
    findings = _static(facts, x, y)
    error = None if probe is None else probe.loss_error
    if error is not None and any(output.loss for output in facts.outputs):
        explained = any(f.problem == "output_loss_mismatch" for f in findings)
        if not explained:
            raise ValueError(
                "`y` must fit the model's losses. They raised "
                f"{type(error).__name__}: {error}"
            ) from error
    data = batch_facts(x, y, facts.outputs)
    measured: list[Finding] = []
    finite = not data.x_nonfinite > 0 and not data.y_nonfinite > 0
    if probe is not None and finite:
        measured = initial_weights(probe, facts, data)
    # Measurements may follow from the other findings, not the reverse.
    return ranked([*_sorted(findings), *measured])


def _has_torch_module(model: Any) -> bool:
    """Return whether the model holds state that is not Keras's."""
    wrapper = keras.layers.TorchModuleWrapper
    return any(isinstance(layer, wrapper) for layer in model._flatten_layers())


def _probed(
    model: Any, batch: Any, facts: Facts
) -> tuple[Facts, probes.Probe | None]:
    """Run the model once; return better facts, and the measurements."""
    x, y, weights = keras.tree.map_structure(_to_tensor, batch)
    if facts.own_train_step:
        y = None
    try:
        # Findings report it, such as Keras's warning of softmax on one unit.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = probes.built(model, x)
            losses = functools.partial(losses_of, model)
            probe = probes.probe(built, x, y, weights, losses)
    except Exception as error:
        # Only a custom train step knows how to call such a model.
        if facts.own_train_step:
            return facts, None
        if isinstance(error, probes.BackwardError):
            cause = error.__cause__
            raise ValueError(
                "`model` must have a gradient. Its call succeeded for this "
                "data, but the backward pass raised "
                f"{type(cause).__name__}: {cause}"
            ) from cause
        shapes = keras.tree.map_structure(
            lambda a: None if a is None else a.shape, batch[0]
        )
        raise ValueError(
            f"`x` must fit the model. Received: arrays of shapes {shapes}, "
            f"for which the model raised {type(error).__name__}: {error}"
        ) from error
    now, outputs = facts_of(built), facts.outputs
    if probe.outputs:
        outputs = output_facts(model, probe.outputs)
    facts = dataclasses.replace(
        facts, layers=now.layers, parameters=now.parameters, outputs=outputs
    )
    return facts, probe


def _to_tensor(array: Any) -> Any:
    if array is None or array.dtype.kind not in "fiubV":
        return array
    if array.dtype == np.float64:
        array = array.astype(keras.config.floatx())
    return keras.ops.convert_to_tensor(array)


def _static(facts: Facts, x: Any, y: Any) -> list[Finding]:
    batch = batch_facts(x, y, facts.outputs)
    history = RunHistory(facts, batch)
    findings = [
        *static.numerical_instability_in_data(history),
        *static.symmetric_units(history),
        *static.unscaled_input(history),
        *static.unscaled_target(history),
    ]
    pairs = [(facts.outputs, y)]
    if len(facts.outputs) > 1:
        pairs = _paired(facts.outputs, y) or pairs
    for outputs, target in pairs:
        alone = dataclasses.replace(facts, outputs=outputs)
        own = RunHistory(alone, batch_facts(x, target, outputs))
        findings += output_loss_mismatch(own)
    return findings


def _paired(
    outputs: tuple[OutputFacts, ...], y: Any
) -> list[tuple[tuple[OutputFacts, ...], Any]]:
    """Return each output with its targets, nothing if they do not match."""
    if isinstance(y, Mapping):
        return [((o,), y.get(o.name)) for o in outputs]
    if isinstance(y, list | tuple) and len(y) == len(outputs):
        return [((o,), target) for o, target in zip(outputs, y, strict=True)]
    return []


def _sorted(findings: list[Finding]) -> list[Finding]:
    """Return each finding once: causes first, then by severity."""
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
