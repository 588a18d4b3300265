"""What is known of a model before training."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np

from keras_ext.doctor.facts import graph
from keras_ext.doctor.records import Facts, LayerFacts, OutputFacts
from keras_ext.layers import MinMaxScaling, Standardization
from keras_ext.taps import functions, points
from keras_ext.taps.record import optimizers_of

Result = TypeVar("Result")

# Entries of a kernel from which its standard deviation is taken: enough for
# a per cent.
_SAMPLE = 1 << 16
_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
_GATES |= {f"{kind}Cell": gates for kind, gates in _GATES.items()}
# Layers whose units see different inputs, or whose rows are looked up:
# their units differ though their weights are the same.
_APART = ("DepthwiseConv1D", "DepthwiseConv2D", "Embedding")
# What a person's own layer calls the matrix that Keras calls `kernel`.
_KERNEL_NAMES = ("kernel", "w", "weight", "weights")
# Layers that scale inputs, and those that take no numbers but names.
_SCALING = "Rescaling Normalization BatchNormalization LayerNormalization "
_SCALING += "GroupNormalization RMSNormalization UnitNormalization "
_SCALING += "Standardization MinMaxScaling "
_SCALING += "Embedding ReversibleEmbedding CategoryEncoding Discretization "
_SCALING += "Hashing HashedCrossing IntegerLookup StringLookup "
_SCALING += "TextVectorization OneHot MultiHot FeatureSpace "
# Arithmetic at a functional model's input, which is a scaling most likely.
_SCALING += "Lambda Divide TrueDivide Multiply Subtract Log Log1p "
_SCALING_NAMES = frozenset(_SCALING.split())


class LossFacts(NamedTuple):
    """What is known of a loss.

    Attributes:
        name: The name of Keras's function; `None` for a person's own.
        from_logits: Whether it takes logits.
        ignore_class: The label that it leaves out, or `None`.
        function: What computes it: called with targets and predictions.
    """

    name: str | None = None
    from_logits: bool = False
    ignore_class: int | None = None
    function: Callable | None = None


def facts_of(model: Any) -> Facts:
    """Return what is known of a model before training.

    Reads the weights, so on JAX it must not be called while `fit` runs;
    `on_train_begin` is early enough. What cannot be read stays at its
    default; nothing is raised. The model is not called and stays as it is.

    Cost: that of looking at each kernel once; about 0.5 ms per layer.

    Args:
        model: A `keras.Model`; it need be neither built nor compiled.

    Returns:
        Facts whose layers have the paths that monitors log. For a model
        that was trained before, the weights' statistics are those of its
        present weights. The outputs' activations of a subclassed model are
        a guess (`known` is false): only a call of it could tell.
    """
    optimizers: list[Any] = _tried(lambda: optimizers_of(model), [])
    optimizer = optimizers[0] if len(optimizers) == 1 else None
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return Facts(
        layers=_tried(lambda: _layers(model), ()),
        outputs=_tried(lambda: _outputs(model), ()),
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        learning_rate=_tried(lambda: _learning_rate(optimizer), None),
        clips=_tried(lambda: any(map(_clips, optimizers)), False),
        parameters=_tried(
            lambda: sum(
                int(np.prod(v.shape)) for v in model.trainable_variables
            ),
            0,
        ),
        normalizes_input=_tried(
            lambda: graph.normalizes_input(model, _is_scaling), False
        ),
        own_train_step=_tried(lambda: _has_own_train_step(model), False),
    )


def _tried(read: Callable[[], Result], default: Result) -> Result:
    """Return what `read` returns, `default` if it fails.

    Models are a person's own code: anything may be raised.
    """
    try:
        return read()
    except Exception:
        return default


def _is_scaling(layer: Any) -> bool:
    return graph.class_name(layer) in _SCALING_NAMES or isinstance(
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
    # The property would give a schedule's value at the present iteration.
    rate = getattr(optimizer, "_learning_rate", optimizer.learning_rate)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(0)
    return float(keras.ops.convert_to_numpy(rate))


# Layers


def _layers(model: Any) -> tuple[LayerFacts, ...]:
    feeds: dict[int, set[str]] = _tried(lambda: graph.feeds_of(model), {})
    trained = {id(v) for v in model.trainable_variables}
    grouped: dict[str, list[Any]] = {}
    place: dict[int, str] = {}
    for path, layer in points.walk(model):
        place[id(layer)] = path
        grouped.setdefault(path, []).append(layer)
    applied = {
        (path, id(site.owner))
        for site in points.activation_sites(model)
        if not site.inside
        for path in [site.path]
    }
    order: list[LayerFacts] = []
    at: dict[str, int] = {}
    for path, layers in grouped.items():
        owns = any(_own_variables(layer) for layer in layers)
        is_site = any((path, id(layer)) in applied for layer in layers)
        if owns or is_site or type(layers[0]).__name__.endswith("Dropout"):
            order.append(
                _tried(
                    functools.partial(
                        _layer_facts, path, layers, trained, feeds
                    ),
                    LayerFacts(path, type(layers[0]).__name__),
                )
            )
        at[path] = len(order)
    # Operations stand behind the layer before them.
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
    """Yield activations among a functional model's operations.

    Yields:
        The number of layers before it, and its facts.
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
    return None if names is None else tuple(sorted(names))


def _own_variables(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _layer_facts(
    path: str,
    layers: list[Any],
    trained: set[int],
    feeds: dict[int, set[str]],
) -> LayerFacts:
    """Return the facts of the layers at a path: one, or one and its cells."""
    own = [v for layer in layers for v in _own_variables(layer)]
    activations = (graph.layer_activation(layer) for layer in layers)
    kernels = (_tried(functools.partial(_kernel, x), None) for x in layers)
    kernel = next((k for k in kernels if k is not None), None)
    facts = LayerFacts(
        path,
        type(layers[0]).__name__,
        next((a for a in activations if a is not None), None),
        units=_units(layers),
        trainable=not own or any(id(v) in trained for v in own),
        feeds=_sorted(feeds.get(id(layers[0]))),
        dropout=max(map(_dropout, layers)),
        penalty=max(map(_penalty, layers)),
    )
    if kernel is None:
        return facts
    flat = kernel.weights.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    return dataclasses.replace(
        facts,
        units=facts.units or kernel.weights.shape[-1],
        fan_in=int(np.prod(kernel.weights.shape[:-1]) // kernel.gates),
        weight_std=float(np.std(sample.astype(np.float64))),
        weight_mean=float(np.mean(sample.astype(np.float64))),
        recurrent_gain=max(
            (_tried(functools.partial(_recurrent_gain, x), None) or 0.0)
            for x in layers
        )
        or None,
        bias_size=max(
            _tried(functools.partial(_bias_size, x), 0.0) for x in layers
        ),
        identical_units=kernel.identical,
    )


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
    """Return the rate at which a layer drops its inputs, in training."""
    names = ["dropout"]
    if type(layer).__name__.endswith("Dropout"):
        names.append("rate")
    rates = (getattr(layer, name, None) for name in names)
    return max((float(r) for r in rates if isinstance(r, float)), default=0.0)


def _penalty(layer: Any) -> float:
    """Return the largest factor of a layer's L1 and L2 regularizers."""
    factors = [0.0]
    for name in ("kernel", "bias", "activity", "recurrent", "embeddings"):
        regularizer = getattr(layer, f"{name}_regularizer", None)
        for factor in ("l1", "l2"):
            value = _tried(functools.partial(_factor, regularizer, factor), 0.0)
            factors.append(value)
    return max(factors)


def _factor(regularizer: Any, name: str) -> float:
    value = getattr(regularizer, name, None)
    return 0.0 if value is None else float(keras.ops.convert_to_numpy(value))


def _units(layers: list[Any]) -> int | None:
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
    if variable is None:
        variable = getattr(layer, "kernel", None)
    if variable is None:
        variable = getattr(layer, "embeddings", None)
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
    elif name.startswith("Depthwise"):  # each input has units of its own
        weights = weights.reshape(int(np.prod(weights.shape[:-2])), -1)
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
    values = np.asarray(keras.ops.convert_to_numpy(variable))
    return values if values.dtype.kind == "f" else values.astype("float32")


def _all_alike(weights: np.ndarray) -> bool:
    """Return whether all entries of the last axis are the same."""
    if weights.shape[-1] < 2:
        return True
    first = weights.reshape(-1, weights.shape[-1])[0]
    if not np.all(first == first[0]):  # nearly always: saves the rest
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
    """Return the kernel of an `EinsumDense` with the axes of inputs first."""
    inputs, output = equation.replace(" ", "").split("->")
    letters = inputs.split(",")[1]
    summed = [i for i, x in enumerate(letters) if x not in output]
    kept = [i for i, x in enumerate(letters) if x in output]
    weights = np.transpose(weights, summed + kept)
    fan_in = int(np.prod(weights.shape[: len(summed)]))
    return weights.reshape(fan_in, -1)


# Outputs


def _outputs(model: Any) -> tuple[OutputFacts, ...]:
    outputs = list(graph.outputs_of(model))
    if not outputs:
        outputs = [_guessed_output(model)]
    return output_facts(model, outputs)


def output_facts(
    model: Any, outputs: Sequence[graph.Output]
) -> tuple[OutputFacts, ...]:
    """Return what is known of outputs, with the losses on them."""
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


def _guessed_output(model: Any) -> graph.Output:
    """Take the layer that was made last for the model's last one."""
    final, units = graph.UNKNOWN, None
    for layer in reversed(points.layers_in(model, recursive=False)):
        found = graph.final_of_layer(layer)
        if found is None:
            continue
        final = graph.Final(found.activation, False)
        if found.known:
            units = _units([layer])
        break
    return graph.Output("output", units, final)


def losses_of(model: Any, names: list[str]) -> list[LossFacts]:
    """Return what is known of the losses that a model was compiled with.

    Args:
        model: A `keras.Model`.
        names: Its outputs' names, in Keras's order.

    Returns:
        For each output its loss; one without a name if it has none.
    """
    loss = model.loss if model.compiled else None
    if isinstance(loss, dict):
        if len(names) == 1 and len(loss) == 1:
            return [loss_facts(*loss.values())]
        return [loss_facts(loss.get(name)) for name in names]
    if isinstance(loss, list | tuple):
        if len(loss) != len(names):
            return [LossFacts() for _ in names]
        return [loss_facts(each) for each in loss]
    return [loss_facts(loss) for _ in names]


def loss_facts(loss: Any) -> LossFacts:
    """Return what is known of a loss.

    Args:
        loss: A name, a function, a `keras.losses.Loss` or `None`.
    """
    if loss is None or isinstance(loss, list | tuple | dict):
        return LossFacts()
    if isinstance(loss, str):
        loss = _tried(lambda: keras.losses.get(loss), None)
        if loss is None:
            return LossFacts()
    known: dict[str, Any] = {}
    function = loss
    name: str | None
    while isinstance(function, functools.partial):
        known = function.keywords | known
        function = function.func
    if isinstance(function, keras.losses.Loss):
        known = _tried(function.get_config, {}) | known
        name = _name_of_loss(type(function))
    else:
        name = getattr(function, "__name__", None)
    if functions.is_someones_own(
        type(function) if isinstance(function, keras.losses.Loss) else function
    ):
        name = None
    ignored = known.get("ignore_class")
    return LossFacts(
        name,
        bool(known.get("from_logits", False)),
        None if ignored is None else int(ignored),
        loss,
    )


def _name_of_loss(loss: type) -> str:
    """Return the name of the function that a class of Keras computes."""
    if loss.__name__ == "KLDivergence":
        return "kl_divergence"
    letters = (f"_{x.lower()}" if x.isupper() else x for x in loss.__name__)
    return "".join(letters).lstrip("_")
