"""What is known of a model's layers and their weights."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_ext.doctor.facts import graph
from keras_ext.doctor.facts.attempt import tried
from keras_ext.doctor.run_history import LayerFacts
from keras_ext.taps import functions, points

# So many entries of a kernel give its standard deviation within one percent.
_SAMPLE = 1 << 16
_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
_GATES |= {f"{kind}Cell": gates for kind, gates in _GATES.items()}
# Layers whose units have different inputs, or whose rows are looked up. Their
# units differ even if their weights are equal.
_APART = ("DepthwiseConv1D", "DepthwiseConv2D", "Embedding")
# Names that custom layers give to what Keras calls `kernel`.
_KERNEL_NAMES = ("kernel", "w", "weight", "weights")


def layers_of(model: Any) -> tuple[LayerFacts, ...]:
    """Return what is known of a model's layers, in the order of calls."""
    feeds: dict[int, set[str]] = tried(lambda: graph.feeds_of(model), {})
    entries: set[int] = tried(lambda: graph.entries_of(model), set())
    trained = {id(v) for v in model.trainable_variables}
    grouped: dict[str, list[Any]] = {}
    place: dict[int, str] = {}
    first: list[str] = []
    for path, layer in points.walk(model):
        if id(layer) in entries:
            first.append(f"{path}/")
        place[id(layer)] = path
        grouped.setdefault(path, []).append(layer)
    applied = {
        (path, id(point.owner))
        for point in points.activation_points(model)
        if not point.inside
        for path in [point.path]
    }
    order: list[LayerFacts] = []
    at: dict[str, int] = {}
    for path, layers in grouped.items():
        owns = any(_own_variables(layer) for layer in layers)
        is_point = any((path, id(layer)) in applied for layer in layers)
        if owns or is_point or type(layers[0]).__name__.endswith("Dropout"):
            read = functools.partial(_layer_facts, path, layers, trained, feeds)
            unread = LayerFacts(path, type(layers[0]).__name__)
            facts = tried(read, unread)
            if f"{path}/".startswith(tuple(first)):
                facts = dataclasses.replace(facts, is_entry=True)
            order.append(facts)
        at[path] = len(order)
    # An operation comes after the layer before it.
    later: list[tuple[int, LayerFacts]] = []
    for path, layers in grouped.items():
        for layer in layers:
            prefix = "" if layer is model else path + "/"
            later += _operations(layer, prefix, place, at, feeds)
    for index, facts in reversed(later):
        order.insert(index, facts)
    return tuple(order)


def _operations(
    model: Any,
    prefix: str,
    place: dict[int, str],
    at: dict[str, int],
    feeds: dict[int, set[str]],
) -> Iterable[tuple[int, LayerFacts]]:
    """Yield a functional model's activation operations.

    Yields:
        The number of layers before the operation, and its facts.
    """
    before = 0
    for operation in getattr(model, "operations", ()):
        if isinstance(operation, keras.layers.Layer):
            path = place.get(id(operation), "")
            inside = (n for p, n in at.items() if p.startswith(path + "/"))
            before = max(before, at.get(path, 0), *inside, 0)
            continue
        activation = graph.operation_activation(operation)
        if activation is not None:
            yield (
                before,
                LayerFacts(
                    prefix + operation.name,
                    type(operation).__name__,
                    activation,
                    feeds=_sorted(feeds.get(id(operation))),
                ),
            )


def _sorted(names: set[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    return tuple(sorted(names - {graph.NORMALIZED}))


def _own_variables(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _layer_facts(
    path: str, layers: list[Any], trained: set[int], feeds: dict[int, set[str]]
) -> LayerFacts:
    """Return the facts of a layer, or of a recurrent layer and its cells."""
    own = [v for layer in layers for v in _own_variables(layer)]
    activations = (graph.layer_activation(layer) for layer in layers)
    kernels = (tried(functools.partial(_kernel, x), None) for x in layers)
    kernel = next((k for k in kernels if k is not None), None)
    facts = LayerFacts(
        path,
        type(layers[0]).__name__,
        next((a for a in activations if a is not None), None),
        units=units_of(layers),
        trainable=not own or any(id(v) in trained for v in own),
        feeds=_sorted(feeds.get(id(layers[0]))),
        dropout=max(map(_dropout, layers)),
        penalty=max(map(_penalty, layers)),
        penalty_loss=sum(map(_penalty_loss, layers)),
        is_normalized=any(
            graph.NORMALIZED in feeds.get(id(layer), ()) for layer in layers
        ),
    )
    if kernel is None:
        return facts
    flat = kernel.weights.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
    return dataclasses.replace(
        facts,
        units=facts.units or kernel.weights.shape[-1],
        fan_in=math.prod(kernel.weights.shape[:-1]) // kernel.gates,
        weight_std=float(np.std(sample)),
        weight_mean=float(np.mean(sample)),
        recurrent_gain=max(
            (tried(functools.partial(_recurrent_gain, x), None) or 0.0)
            for x in layers
        )
        or None,
        bias_size=max(
            tried(functools.partial(_bias_size, x), 0.0) for x in layers
        ),
        identical_units=kernel.identical,
        is_random=not facts.trainable
        and any(tried(functools.partial(_is_random, x), False) for x in layers),
    )


def _is_random(layer: Any) -> bool:
    """Return whether a kernel is what its initializer drew.

    An initializer with a fixed seed draws the same numbers again.
    """
    for name in ("kernel", "embeddings"):
        initializer = getattr(layer, f"{name}_initializer", None)
        kernel = getattr(layer, name, None)
        seed = getattr(initializer, "seed", None)
        if initializer is None or kernel is None or not isinstance(seed, int):
            continue
        drawn = initializer(kernel.shape, dtype=kernel.dtype)
        if np.array_equal(_array(kernel), _array(drawn)):
            return True
    return False


def _recurrent_gain(layer: Any) -> float | None:
    kernel = getattr(layer, "recurrent_kernel", None)
    if kernel is None:
        return None
    weights = _array(kernel).astype(np.float64)
    return float(np.std(weights) * weights.shape[0] ** 0.5)


def _bias_size(layer: Any) -> float:
    bias = getattr(layer, "bias", None)
    return 0.0 if bias is None else float(np.abs(_array(bias)).mean())


def _dropout(layer: Any) -> float:
    """Return the drop rate of a layer's inputs in training."""
    names = ["dropout"]
    if type(layer).__name__.endswith("Dropout"):
        names.append("rate")
    rates = (getattr(layer, name, None) for name in names)
    return max((float(r) for r in rates if isinstance(r, float)), default=0.0)


def _penalty(layer: Any) -> float:
    """Return the largest factor of a layer's L1 and L2 regularizers."""
    factors = [0.0]
    for regularizer, _ in _regularizers(layer):
        for factor in ("l1", "l2"):
            value = tried(functools.partial(_factor, regularizer, factor), 0.0)
            factors.append(value)
    return max(factors)


def _penalty_loss(layer: Any) -> float:
    """Return what the regularizers of a layer's weights add to the loss."""
    return sum(
        tried(functools.partial(_number, regularizer, variable), 0.0)
        for regularizer, variable in _regularizers(layer)
        if variable is not None
    )


def _regularizers(layer: Any) -> Iterable[tuple[Any, Any]]:
    """Yield the regularizers of a layer, and the variables they belong to."""
    names = "kernel bias recurrent embeddings gamma beta activity".split()
    for name in names:
        regularizer = getattr(layer, f"{name}_regularizer", None)
        if regularizer is not None:
            attribute = "recurrent_kernel" if name == "recurrent" else name
            yield regularizer, getattr(layer, attribute, None)


def _number(regularizer: Any, variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(regularizer(variable.value)))


def _factor(regularizer: Any, name: str) -> float:
    value = getattr(regularizer, name, None)
    return 0.0 if value is None else float(keras.ops.convert_to_numpy(value))


def units_of(layers: Sequence[Any]) -> int | None:
    """Return the number of units of the first layer that has units."""
    for layer in layers:
        for name in ("units", "filters", "output_dim"):
            if isinstance(getattr(layer, name, None), int):
                return getattr(layer, name)
    return None


class _Kernel(NamedTuple):
    weights: np.ndarray  # (..., units); of a cell (fan_in, gates, units)
    gates: int
    identical: bool


def _kernel(layer: Any) -> _Kernel | None:
    """Return a layer's kernel, units last, `None` if it has none."""
    name = type(layer).__name__
    variable = getattr(layer, "pointwise_kernel", None)
    for attribute in ("kernel", "embeddings"):
        if variable is None:
            variable = getattr(layer, attribute, None)
    if variable is None and functions.is_someones_own(layer):
        variable = next(
            (v for v in layer._trainable_variables if _is_matrix(v)), None
        )
    if variable is None or len(variable.shape) < 2:
        return None
    weights = _array(variable)
    if name in _GATES and not functions.is_someones_own(layer):
        return _cell_kernel(layer, weights, _GATES[name])
    if isinstance(layer, keras.layers.EinsumDense):
        weights = _of_einsum(layer.equation, weights)
    elif name.startswith("Depthwise"):  # Each input has its own units.
        weights = weights.reshape(math.prod(weights.shape[:-2]), -1)
    elif "Transpose" in name:
        weights = np.swapaxes(weights, -1, -2)
    if not weights.size:
        return None
    bias = getattr(layer, "bias", None)
    identical = (
        not name.startswith(_APART)
        and weights.shape[-1] > 1
        and _all_alike(weights)
        and (bias is None or _all_alike(_array(bias).reshape(1, -1)))
    )
    return _Kernel(weights, 1, identical)


def _is_matrix(variable: Any) -> bool:
    return len(variable.shape) == 2 and variable.name in _KERNEL_NAMES


def _array(variable: Any) -> np.ndarray:
    if isinstance(variable, keras.Variable):
        # On TensorFlow, `convert_to_numpy` takes twice as long.
        values = np.asarray(variable.numpy())
    else:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
    return values if values.dtype.kind == "f" else values.astype("float32")


def _all_alike(weights: np.ndarray) -> bool:
    """Return whether all entries of the last axis are equal."""
    if weights.shape[-1] < 2:
        return True
    first = weights.reshape(-1, weights.shape[-1])[0]
    if not np.all(first == first[0]):  # the usual case, and quick
        return False
    return bool(np.all(weights == weights[..., :1]))


def _cell_kernel(layer: Any, weights: np.ndarray, gates: int) -> _Kernel:
    shape = (-1, gates, weights.shape[-1] // gates)
    tensors = [weights, _array(layer.recurrent_kernel)]
    if getattr(layer, "bias", None) is not None:
        tensors.append(_array(layer.bias))
    split = [tensor.reshape(shape) for tensor in tensors]
    identical = shape[-1] > 1 and all(map(_all_alike, split))
    return _Kernel(split[0], gates, identical)


def _of_einsum(equation: str, weights: np.ndarray) -> np.ndarray:
    """Return the kernel of an `EinsumDense`, the input axes first."""
    inputs, output = equation.replace(" ", "").split("->")
    letters = inputs.split(",")[1]
    summed = [i for i, x in enumerate(letters) if x not in output]
    kept = [i for i, x in enumerate(letters) if x in output]
    weights = np.transpose(weights, summed + kept)
    fan_in = math.prod(weights.shape[: len(summed)])
    return weights.reshape(fan_in, -1)
