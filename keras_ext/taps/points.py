"""The places to measure in a model: weight groups and activation points."""

import dataclasses
import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import keras

from keras_ext import activations
from keras_ext.taps import functions

# The names of the activation functions of each kind. Operations of a
# functional model have no public classes, but the same names apart from case
# and underscores.
_KINDS = {
    # Zero, with a slope of zero, for all inputs on one side.
    "relu": "relu relu6 hard_silu hard_swish sparse_plus",
    # Similar, but with a slope on both sides.
    "leaky": "leaky_relu elu celu selu silu swish gelu mish softplus "
    "squareplus",
    "sigmoid": "sigmoid hard_sigmoid sparse_sigmoid",
    "tanh": "tanh hard_tanh",
    "softmax": "softmax sparsemax",
    "other": "exponential glu hard_shrink log_sigmoid log_softmax "
    "soft_shrink softsign tanh_shrink threshold",
}
KIND_OF_NAME = {
    name: kind for kind, names in _KINDS.items() for name in names.split()
}
KIND_OF_OPERATION = {
    name.replace("_", ""): kind for name, kind in KIND_OF_NAME.items()
}
# An output at or beyond one of these limits counts as saturated.
_LIMITS = {"sigmoid": (0.01, 0.99), "tanh": (-0.99, 0.99)}


@dataclasses.dataclass(frozen=True)
class WeightGroup:
    """The trainable weights of one layer, measured together.

    Attributes:
        path: The layer's path in the model.
        variables: The layer's own trainable `keras.Variable`s.
    """

    path: str
    variables: tuple[Any, ...]


class Part(NamedTuple):
    """What tells the activations of one point apart.

    Attributes:
        number: The number of ReLUs that the point's code has called before.
        rank: The rank of the output.
        axis: The axis of the units, see `keras_ext/taps/unit_axes.py`.
        units: The number of units, `None` if it is unknown.
    """

    number: int
    rank: int
    axis: int
    units: int | None


@dataclasses.dataclass(frozen=True)
class ActivationPoint:
    """A place in the model where an activation is applied.

    Attributes:
        path: The path of the layer that applies it.
        owner: The layer or operation.
        attribute: Name of the owner's callable whose result is the
            activation's output: `"call"`, `"activation"` or `"function"`.
        kind: `"relu"` (its units can die), `"leaky"` (like a ReLU, but its
            units cannot die), `"sigmoid"`, `"tanh"`, `"softmax"` or
            `"other"`.
        low: An output of at most `low` counts as saturated; `None` for kinds
            that do not saturate.
        high: An output of at least `high` counts as saturated, or `None`.
        inside: Whether the callable is a person's own code. Only a training
            step shows whether such code calls a ReLU; the outputs measured
            are those of the ReLU.
        part: One of the point's activations, see `StepCapture.parts`; `None`
            stands for all.
    """

    path: str
    owner: Any
    attribute: str
    kind: str = "relu"
    low: float | None = None
    high: float | None = None
    inside: bool = False
    part: Part | None = None

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """The identity of the point."""
        key = id(self.owner), self.attribute, self.inside
        return key if self.part is None else (*key, self.part)


def layers_in(layer: Any, recursive: bool = True) -> list[Any]:
    """Return the layers inside a layer, in the order of their creation."""
    # Private, but the only list of sublayers that every Keras layer has:
    # `Model.layers` is public, and other layers have no such attribute.
    return list(layer._flatten_layers(recursive=recursive, include_self=False))


def unique_path(path: str, taken: Collection[str]) -> str:
    """Return the path, with a number behind it if the path is taken."""
    candidate, number = path, 0
    while candidate in taken:
        number += 1
        candidate = f"{path}_{number}"
    return candidate


def with_unique_paths(
    points: Sequence["ActivationPoint"],
) -> list["ActivationPoint"]:
    """Return the points, with numbers behind paths that come again."""
    taken: set[str] = set()
    result = []
    for point in points:
        path = unique_path(point.path, taken)
        taken.add(path)
        if path != point.path:
            point = dataclasses.replace(point, path=path)
        result.append(point)
    return result


def walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield `(path, layer)` for the model and each layer in it, depth first.

    A path joins the names of layers with `/`, without the model's own name.
    Paths are unique: the second layer with the same path gets the suffix
    `_1`, and so on. No path is `global`, the key of the whole model. A shared
    layer comes once. The cell of a recurrent layer has the path of the
    recurrent layer.
    """
    seen = {id(model)}
    names = {layer.name for layer in layers_in(model, recursive=False)}
    own_path = unique_path(model.name, names | {"global"})
    taken = {"global", own_path}

    def visit(parent: Any, parent_path: str, fold: bool) -> Iterator[Any]:
        for layer in layers_in(parent, recursive=False):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = parent_path
            if not fold:
                path = "/".join(filter(None, (path, layer.name)))
                path = unique_path(path, taken)
                taken.add(path)
            yield path, layer
            recurrent = isinstance(layer, keras.layers.RNN)
            yield from visit(layer, path, fold or recurrent)

    yield own_path, model
    yield from visit(model, "", False)


def weight_groups(model: Any) -> list[WeightGroup]:
    """Return a built model's layers with trainable weights, input first.

    A weight belongs to the first layer that has it. If a layer inside that
    layer has it too, such as the layer in a `SpectralNormalization`, the
    weight belongs to the inner layer.
    """
    trainable = {id(v) for v in model.trainable_variables}
    layers = list(walk(model))
    holders: dict[int, Any] = {}
    for _, layer in layers:
        for variable in layer._trainable_variables:
            holder = holders.setdefault(id(variable), layer)
            if holder is not layer and layer in layers_in(holder):
                holders[id(variable)] = layer
    grouped: dict[str, list[Any]] = {}
    for path, layer in layers:
        for variable in layer._trainable_variables:
            if id(variable) in trainable and (holders[id(variable)] is layer):
                trainable.discard(id(variable))
                grouped.setdefault(path, []).append(variable)
    return [WeightGroup(path, tuple(vs)) for path, vs in grouped.items()]


def activation_points(model: Any) -> list[ActivationPoint]:
    """Return the places where the model applies an activation.

    The function finds `activation=` arguments, `Activation` layers, layers
    such as `ReLU` and `Softmax`, and operations such as `keras.ops.relu` in a
    functional model. For a person's own function or layer it returns a point
    with `inside`.
    """
    kinds = _kinds_of_functions()
    points = []
    in_loop: set[int] = set()
    for path, layer in walk(model):
        if isinstance(layer, keras.layers.RNN):
            in_loop |= {id(x) for x in layers_in(layer)}
        own = [*_own_points(path, layer, kinds)]
        if id(layer) in in_loop:
            # A recurrent layer runs as one fused kernel only while its cell
            # has its usual functions.
            own = [point for point in own if point.kind == "relu"]
        points += own
        prefix = "" if layer is model else path + "/"
        for operation in getattr(layer, "operations", ()):
            if isinstance(operation, keras.layers.Layer):
                continue
            kind = _kind_of_operation(operation)
            if kind is not None:
                points.append(
                    _point(prefix + operation.name, operation, "call", kind)
                )
    return with_unique_paths(points)


def _own_points(
    path: str, layer: Any, kinds: Sequence[tuple[Any, str]]
) -> Iterator[ActivationPoint]:
    kind = _kind_of_layer(layer)
    if kind is not None:
        yield _point(path, layer, "call", kind)
        return
    attribute = "activation"
    if isinstance(layer, keras.layers.Lambda):
        attribute = "function"
    activation = vars(layer).get(attribute)
    kind = next((k for function, k in kinds if activation is function), None)
    if kind is not None:
        yield _point(path, layer, attribute, kind)
    elif functions.is_someones_own(activation):
        yield ActivationPoint(path, layer, attribute, inside=True)
    if functions.is_someones_own(layer):
        if kind is not None:
            path += "/call"  # the other point has the layer's path
        yield ActivationPoint(path, layer, "call", inside=True)


def _point(path: str, owner: Any, attribute: str, kind: str) -> ActivationPoint:
    low, high = _LIMITS.get(kind, (None, None))
    return ActivationPoint(path, owner, attribute, kind, low, high)


def _kinds_of_functions() -> list[tuple[Any, str]]:
    modules = (keras.activations, activations, keras.ops, *functions.modules())
    return [
        (getattr(module, name), kind)
        for module in modules
        for name, kind in KIND_OF_NAME.items()
        if hasattr(module, name)
    ]


def _kind_of_layer(layer: Any) -> str | None:
    """Return the kind of an activation layer, `None` for other layers."""
    layers = keras.layers
    if isinstance(layer, layers.ReLU | layers.LeakyReLU):
        return "leaky" if layer.negative_slope else "relu"
    if isinstance(layer, layers.ELU):
        return "leaky" if layer.alpha else "relu"
    if isinstance(layer, layers.PReLU):
        return "leaky"
    return "softmax" if isinstance(layer, layers.Softmax) else None


def _kind_of_operation(operation: Any) -> str | None:
    name = type(operation).__name__.lower()
    if getattr(operation, "negative_slope", 0):
        return "leaky"
    return KIND_OF_OPERATION.get(name)


Point = TypeVar("Point", WeightGroup, ActivationPoint)


def select(
    points: Sequence[Point],
    layers: Sequence[str] | None,
    missing_ok: bool = False,
) -> list[Point]:
    """Return the points of the layers with these names or paths.

    The name of a layer also selects the layers inside it. `None` selects all
    points.

    Raises:
        ValueError: If a name fits no point, unless `missing_ok` is true. The
            message lists all paths.
    """
    if layers is None:
        return list(points)
    chosen = set()
    for layer in layers:
        parts = layer.split("/")
        fits = {
            i
            for i, point in enumerate(points)
            if _contains(point.path.split("/"), parts)
        }
        if not fits and not missing_ok:
            raise ValueError(
                "`layers` must name layers that can be measured. "
                f"Received: {layer!r}, which is none of "
                f"{[point.path for point in points]}"
            )
        chosen |= fits
    return [point for i, point in enumerate(points) if i in chosen]


def _contains(path: list[str], parts: list[str]) -> bool:
    """Return whether `path` contains `parts` as neighbours."""
    return any(
        path[i : i + len(parts)] == parts
        for i in range(len(path) - len(parts) + 1)
    )
