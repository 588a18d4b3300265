"""What is known of a model before training."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_ext.doctor.facts import graph
from keras_ext.doctor.facts.attempt import tried
from keras_ext.doctor.facts.layers import layers_of, units_of
from keras_ext.doctor.facts.losses import losses_of
from keras_ext.doctor.run_history import Facts, OutputFacts
from keras_ext.layers import MinMaxScaling, Standardization
from keras_ext.taps import points
from keras_ext.taps.capture import optimizers_of

# Layers that scale their inputs, layers that take indices or names, and
# arithmetic at a functional model's input, which most likely scales it.
_SCALING = frozenset(
    "Rescaling Normalization BatchNormalization LayerNormalization "
    "GroupNormalization RMSNormalization UnitNormalization Standardization "
    "MinMaxScaling Embedding ReversibleEmbedding CategoryEncoding "
    "Discretization Hashing HashedCrossing IntegerLookup StringLookup "
    "TextVectorization OneHot MultiHot FeatureSpace Lambda Divide TrueDivide "
    "Multiply Subtract Log Log1p".split()
)


def facts_of(model: Any) -> Facts:
    """Return what is known of a model before training.

    It reads the weights, so on JAX call it before `fit` or in
    `on_train_begin`. What cannot be read stays at its default. The model is
    neither called nor changed. Cost: about 0.5 ms per layer.

    Args:
        model: A `keras.Model`, which may be neither built nor compiled.

    Returns:
        Facts whose layers have the paths that monitors log. The statistics
        are those of the present weights. The activation of a subclassed
        model's output is uncertain (`known` is false).
    """
    optimizers: list[Any] = tried(lambda: optimizers_of(model), [])
    optimizer = optimizers[0] if len(optimizers) == 1 else None
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return Facts(
        layers=tried(lambda: layers_of(model), ()),
        outputs=tried(lambda: _outputs(model), ()),
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        learning_rate=tried(lambda: _learning_rate(optimizer), None),
        clips=tried(lambda: any(map(_clips, optimizers)), False),
        parameters=tried(
            lambda: sum(math.prod(v.shape) for v in model.trainable_variables),
            0,
        ),
        normalizes_input=tried(
            lambda: graph.normalizes_input(model, _is_scaling), False
        ),
        own_train_step=tried(lambda: _has_own_train_step(model), False),
    )


def _is_scaling(layer: Any) -> bool:
    return graph.class_name(layer) in _SCALING or isinstance(
        layer, Standardization | MinMaxScaling
    )


def _has_own_train_step(model: Any) -> bool:
    return type(
        model
    ).train_step is not keras.Model.train_step or "train_step" in vars(model)


def _clips(optimizer: Any) -> bool:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    names = ("clipnorm", "global_clipnorm", "clipvalue")
    return any(getattr(optimizer, name, None) is not None for name in names)


def _learning_rate(optimizer: Any) -> float | None:
    if optimizer is None:
        return None
    # The property returns a schedule's value at the present iteration.
    rate = getattr(optimizer, "_learning_rate", optimizer.learning_rate)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(0)
    return float(keras.ops.convert_to_numpy(rate))


def _outputs(model: Any) -> tuple[OutputFacts, ...]:
    outputs = list(graph.outputs_of(model))
    if not outputs:
        outputs = [_probable_output(model)]
    return output_facts(model, outputs)


def output_facts(
    model: Any, outputs: Sequence[graph.Output]
) -> tuple[OutputFacts, ...]:
    """Return what is known of outputs and their losses."""
    losses = losses_of(model, [output.name for output in outputs])
    return tuple(
        OutputFacts(
            output.name,
            output.final.activation,
            output.units,
            loss.name,
            loss.from_logits,
            output.final.known,
            loss.ignore_class,
        )
        for output, loss in zip(outputs, losses, strict=True)
    )


def _probable_output(model: Any) -> graph.Output:
    """Return the output of the layer that was created last."""
    final, units = graph.UNKNOWN, None
    for layer in reversed(points.layers_in(model, recursive=False)):
        found = graph.final_of_layer(layer)
        if found is None:
            continue
        final = graph.Final(found.activation, False)
        if found.known:
            units = units_of([layer])
        break
    return graph.Output("output", units, final)
