"""What can be said before training."""

import dataclasses
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
    (x, y), batch = arrays_of(x, y, batch_size)
    facts = facts_of(model)
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
        measured = initial_weights(probe, facts, data)
    # What was measured may follow from the rest, not the other way round.
    return ranked([*_sorted(findings), *measured])


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
                lambda names: losses_of(model, names),
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
    now = facts_of(built)
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
    return output_facts(model, probe.outputs)


# Findings


def _static(facts: Facts, x: Any, y: Any) -> list[Finding]:
    batch = batch_facts(x, y, facts.outputs)
    history = RunHistory(facts, batch)
    findings = [
        *static.numerical_instability_in_data(history),
        *static.symmetric_units(history),
        *static.unscaled_input(history),
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
    """Return each output with its targets."""
    if isinstance(y, Mapping):
        return [((o,), y.get(o.name)) for o in outputs]
    if isinstance(y, list | tuple) and len(y) == len(outputs):
        return [((o,), target) for o, target in zip(outputs, y, strict=True)]
    return []


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
