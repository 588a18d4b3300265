"""What follows what in a model, and which activation makes its outputs."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras

from keras_ext.layers import Residual
from keras_ext.taps import functions, points

# Layers and operations that pass each number on as it is, in its place.
_SAME = frozenset(
    "Dropout GaussianDropout AlphaDropout GaussianNoise Identity "
    "ActivityRegularization Masking Cast SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D StopGradient".split()
)
# Those that move, omit or average numbers. The range stays the same.
_MOVING = frozenset(
    "Flatten Reshape Permute RepeatVector Squeeze ExpandDims Transpose "
    "UpSampling1D UpSampling2D UpSampling3D Cropping1D Cropping2D Cropping3D "
    "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D "
    "MaxPooling2D MaxPooling3D Resizing GlobalAveragePooling1D "
    "GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D".split()
)
_PASSING = _SAME | _MOVING
_PASSED_OVER = _PASSING | frozenset(
    "ZeroPadding1D ZeroPadding2D ZeroPadding3D".split()
)
_NORMALIZATIONS = frozenset(
    "BatchNormalization LayerNormalization GroupNormalization "
    "RMSNormalization UnitNormalization".split()
)
_ACTIVATION_LAYERS = {
    "Softmax": "softmax",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "PReLU": "prelu",
}
# Layers that apply their `activation` last. The outputs of a recurrent layer
# stay in the range of its activation, since its gates lie in [0, 1].
_WITH_ACTIVATION = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.SimpleRNN,
    keras.layers.LSTM,
    keras.layers.GRU,
    Residual,
)


class Final(NamedTuple):
    """The activation of an output.

    Attributes:
        activation: Its name; `None` for linear and for unknown outputs.
        known: Whether it is certain.
    """

    activation: str | None
    known: bool = True


UNKNOWN = Final(None, False)
# Among the classes that a layer feeds.
_UNKNOWN_PLACE = "?"
NORMALIZED = "normalized"


def class_name(operation: Any) -> str:
    """Return the name of a layer's or an operation's class."""
    return type(operation).__name__


def is_graph(layer: Any) -> bool:
    """Return whether it is a functional model."""
    return isinstance(layer, keras.Model) and hasattr(layer, "operations")


def is_chain(layer: Any) -> bool:
    """Return whether it is a sequential model."""
    return isinstance(layer, keras.Sequential)


def function_name(function: Any) -> str | None:
    """Return the name of an activation function, a layer's `activation`.

    `None` for the identity and for custom functions.
    """
    if function is None:
        return None
    if isinstance(function, keras.layers.Layer):
        return layer_activation(function)
    if functions.is_someones_own(function):
        return None
    name = getattr(function, "__name__", None)
    return None if name in ("linear", "identity") else name


def layer_activation(layer: Any) -> str | None:
    """Return the name of the activation of a layer or operation.

    `None` for no activation and for custom ones.
    """
    if not isinstance(layer, keras.layers.Layer):
        return operation_activation(layer)
    name = class_name(layer)
    if name in _ACTIVATION_LAYERS and not functions.is_someones_own(layer):
        if name == "ReLU" and layer.negative_slope:
            return "leaky_relu"
        return _ACTIVATION_LAYERS[name]
    return function_name(getattr(layer, "activation", None))


def operation_activation(operation: Any) -> str | None:
    """Return the operation's name if it is an activation, or `None`."""
    name = class_name(operation).lower()
    return {"logsoftmax": "log_softmax", "logsigmoid": "log_sigmoid"}.get(
        name, name if name in points.KIND_OF_OPERATION else None
    )


def producer(tensor: Any) -> tuple[Any, Any]:
    """Return the operation and the node that made a symbolic tensor."""
    operation, node, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node]


def feeds_of(model: Any) -> dict[int, set[str]]:
    """Return the classes that each layer and operation feeds.

    Activations, normalizations and layers without weights are passed over if
    they have one input.

    Returns:
        Names of classes by the id of a layer or operation. `"output"` stands
        for the model's output, `NORMALIZED` for a normalization passed over.
    """
    found: dict[int, set[str]] = {}
    _visit(model, {"output"}, found)
    return found


def _visit(model: Any, after: set[str], found: dict[int, set[str]]) -> None:
    """Add what each part of a model feeds; the model itself feeds `after`."""
    if is_chain(model):
        for layer in reversed(model.layers):
            _note(layer, after, found)
            after = _entered(layer, after)
        return
    if not is_graph(model):
        if isinstance(model, keras.Model):
            # Custom code calls these models in an unknown order.
            for layer in points.layers_in(model, recursive=False):
                _visit(layer, {_UNKNOWN_PLACE}, found)
        return
    after_of: dict[int, set[str]] = {}
    for tensor in model.outputs:
        operation, _ = producer(tensor)
        after_of.setdefault(id(operation), set()).update(after)
    edges: dict[int, dict[int, Any]] = {}
    seen: set[int] = set()
    waiting = list(model.outputs)
    while waiting:
        operation, node = producer(waiting.pop())
        if id(node) in seen:
            continue
        seen.add(id(node))
        for tensor in node.input_tensors:
            before, _ = producer(tensor)
            edges.setdefault(id(before), {})[id(operation)] = operation
            waiting.append(tensor)
    # Operations are in topological order.
    for operation in reversed(model.operations):
        kinds = set(after_of.get(id(operation), ()))
        for successor in edges.get(id(operation), {}).values():
            kinds |= _entered(successor, after_of.get(id(successor), set()))
        after_of[id(operation)] = kinds
        _note(operation, kinds, found)


def _note(layer: Any, kinds: set[str], found: dict[int, set[str]]) -> None:
    found.setdefault(id(layer), set()).update(kinds)
    if isinstance(layer, keras.layers.Bidirectional):
        _note(layer.forward_layer, kinds, found)
        _note(layer.backward_layer, kinds, found)
    elif isinstance(layer, keras.layers.Wrapper):
        _note(layer.layer, kinds, found)
    elif isinstance(layer, Residual):
        _visit(layer.block, {"Add"}, found)
    _visit(layer, kinds, found)


def _entered(layer: Any, after: set[str]) -> set[str]:
    """Return the classes that the layer before a layer feeds.

    Args:
        layer: A layer or operation.
        after: The classes that the layer itself feeds.
    """
    if is_chain(layer):
        for inner in reversed(layer.layers):
            after = _entered(inner, after)
        return after
    if isinstance(layer, keras.layers.Wrapper) and not isinstance(
        layer, keras.layers.Bidirectional
    ):
        return _entered(layer.layer, after)
    name = class_name(layer)
    if name in _NORMALIZATIONS:
        return after | {NORMALIZED}
    if name in _PASSED_OVER:
        return after
    bare = isinstance(layer, keras.layers.Activation)
    if bare or name in _ACTIVATION_LAYERS:
        return after - {NORMALIZED}
    if not isinstance(layer, keras.layers.Layer) and operation_activation(
        layer
    ):
        return after - {NORMALIZED}
    return {name}


def final_of_layer(layer: Any, moved: bool = False) -> Final | None:
    """Return the activation of a layer's output.

    `None` if a layer before it decides.

    Args:
        layer: A layer or operation.
        moved: Whether the model's output has other axes than the layer's.
    """
    name = class_name(layer)
    if is_chain(layer):
        return _final_of_chain(layer, moved)
    if is_graph(layer):
        if len(layer.outputs) != 1:
            return UNKNOWN
        return _final_of_tensor(layer.outputs[0], moved)
    if not isinstance(layer, keras.layers.Layer):
        activation = operation_activation(layer)
        if activation:
            return _certain(activation, moved)
        return None if name in _PASSING else UNKNOWN
    if functions.is_someones_own(layer):
        return UNKNOWN
    if isinstance(layer, keras.layers.Bidirectional):
        if layer.merge_mode not in ("concat", "ave"):
            return UNKNOWN
        return final_of_layer(layer.forward_layer, moved)
    if isinstance(layer, keras.layers.Wrapper):
        return final_of_layer(layer.layer, moved)
    if name in _PASSING:
        return None
    if name == "Softmax" and layer.axis != -1:
        return UNKNOWN
    if name in _ACTIVATION_LAYERS:
        return _certain(layer_activation(layer), moved)
    bare = isinstance(layer, keras.layers.Activation)
    if not bare and not isinstance(layer, _WITH_ACTIVATION):
        return UNKNOWN
    activation = function_name(layer.activation)
    if activation is None and not _is_identity(layer.activation):
        return UNKNOWN
    return None if bare and not activation else _certain(activation, moved)


def _is_identity(function: Any) -> bool:
    return function is None or (
        not functions.is_someones_own(function)
        and getattr(function, "__name__", "") in ("linear", "identity")
    )


def _certain(activation: str | None, moved: bool) -> Final:
    # The axis of the softmax is no longer the output's last one.
    if moved and activation in ("softmax", "log_softmax", "sparsemax"):
        return UNKNOWN
    return Final(activation)


def _final_of_chain(model: Any, moved: bool) -> Final | None:
    for layer in reversed(model.layers):
        final = final_of_layer(layer, moved)
        if final is not None:
            return final
        moved |= class_name(layer) in _MOVING
    return None


def _final_of_tensor(tensor: Any, moved: bool = False) -> Final | None:
    while True:
        operation, node = producer(tensor)
        if isinstance(operation, keras.layers.InputLayer):
            return UNKNOWN
        if is_graph(operation) and len(operation.outputs) > 1:
            index = tensor._keras_history[2]
            return _final_of_tensor(operation.outputs[index], moved)
        final = final_of_layer(operation, moved)
        if final is not None:
            return final
        if len(node.input_tensors) != 1:
            return UNKNOWN
        moved |= class_name(operation) in _MOVING
        tensor = node.input_tensors[0]


class Output(NamedTuple):
    """An output of a model.

    Attributes:
        name: Its name.
        units: Its last axis; 1 for one number per sample, `None` if unknown.
        final: Its activation.
    """

    name: str
    units: int | None
    final: Final


def outputs_of(model: Any) -> Iterator[Output]:
    """Yield the model's outputs in Keras's order.

    Yields nothing for a subclassed model, whose outputs only a call shows.
    """
    if is_chain(model) and model.layers:
        final = _final_of_chain(model, False) or UNKNOWN
        yield Output("output", _units_of_chain(model), final)
    elif is_graph(model):
        names = list(model.output_names)
        struct = getattr(model, "_outputs_struct", None)
        if isinstance(struct, dict):
            keys = {id(tensor): key for key, tensor in struct.items()}
            names = [
                keys.get(id(tensor), name)
                for tensor, name in zip(model.outputs, names, strict=True)
            ]
        for name, tensor in zip(names, model.outputs, strict=True):
            final = _final_of_tensor(tensor) or UNKNOWN
            yield Output(str(name), last_axis(tensor.shape), final)


def last_axis(shape: Any) -> int | None:
    """Return the last axis of a batch's shape, 1 if it is the only one."""
    return 1 if len(shape) == 1 else shape[-1]


def _units_of_chain(model: Any) -> int | None:
    shape = getattr(model, "output_shape", None) if model.built else None
    if shape is not None:
        return last_axis(shape)
    for layer in reversed(model.layers):
        if class_name(layer) in _MOVING:
            return None
        for attribute in ("units", "filters"):
            if isinstance(getattr(layer, attribute, None), int):
                return getattr(layer, attribute)
    return None


def entries_of(model: Any) -> set[int]:
    """Return the ids of the first trained layers after each input.

    Normalizations are passed over. Nothing is known of custom code: a layer
    of one's own is an entry as a whole, a subclassed model has none.
    """
    return set() if _is_opaque(model) else _entries(model)


def _is_opaque(model: Any) -> bool:
    return not is_chain(model) and not is_graph(model)


def _entries(layer: Any) -> set[int]:
    if _is_opaque(layer):
        return {id(layer)} if layer.trainable_variables else set()
    if is_chain(layer):
        return next(filter(None, map(_entries_in, layer.layers)), set())
    reached = {id(producer(tensor)[0]) for tensor in layer.inputs}
    found: set[int] = set()
    for operation in layer.operations:
        if not _befores(operation) & reached:
            continue
        entries = _entries_in(operation)
        found |= entries
        if not entries:
            reached.add(id(operation))
    return found


def _entries_in(layer: Any) -> set[int]:
    passed = class_name(layer) in _NORMALIZATIONS
    if passed or not isinstance(layer, keras.layers.Layer):
        return set()
    return _entries(layer)


def _befores(operation: Any) -> set[int]:
    """Return the ids of the operations that an operation takes tensors of."""
    return {
        id(producer(tensor)[0])
        for node in operation._inbound_nodes
        for tensor in node.input_tensors
        if hasattr(tensor, "_keras_history")
    }


def normalizes_input(model: Any, is_scaling: Callable[[Any], bool]) -> bool:
    """Return whether the first layer that changes the inputs scales them.

    Args:
        model: A `keras.Model`.
        is_scaling: Returns whether a layer or operation scales.
    """

    def scales(layer: Any) -> bool:
        return is_scaling(layer) or normalizes_input(layer, is_scaling)

    if is_graph(model) and not is_chain(model):
        starts = [producer(tensor)[0] for tensor in model.inputs]
        reached = {id(operation) for operation in starts}
        for operation in model.operations:
            if not _befores(operation) & reached:
                continue
            if scales(operation):
                return True
            if _passes_input(operation):
                reached.add(id(operation))
        return False
    if isinstance(model, keras.layers.Wrapper):
        return scales(model.layer)
    layers: list[Any] = []
    if is_chain(model):
        layers = model.layers
    elif isinstance(model, keras.Model):  # in the order of creation
        layers = points.layers_in(model, recursive=False)
    for layer in layers:
        if scales(layer):
            return True
        if not _passes_input(layer):
            return False
    return False


def _passes_input(layer: Any) -> bool:
    name = class_name(layer)
    return (
        isinstance(layer, keras.layers.InputLayer)
        or name in _PASSING
        or name.startswith(("Random", "ZeroPadding"))
        or name in ("CenterCrop", "Pipeline")
    )
