"""Where a model is measured: its layers with weights and its ReLUs."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import keras

from keras_ext import activations

# Functions whose output is zero for a whole half-line of inputs.
_RELU_FUNCTIONS = (
    keras.activations.relu,
    keras.activations.relu6,
    activations.relu,
)
# What `keras.ops.relu(x)` becomes in a functional model: an operation that
# is no layer. These classes have no public name.
_RELU_OPERATIONS = ("Relu", "Relu6")


@dataclasses.dataclass(frozen=True)
class WeightGroup:
    """A layer's trainable weights, measured as one.

    Attributes:
        path: The layer's path in the model.
        variables: The layer's own trainable `keras.Variable`s.
    """

    path: str
    variables: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class ReluSite:
    """A place in the model where a ReLU is applied.

    Attributes:
        path: The path of the layer that applies it.
        owner: The layer or operation.
        attribute: Name of the owner's callable whose result is the ReLU's
            output: `"call"` or `"activation"`.
    """

    path: str
    owner: Any
    attribute: str

    @property
    def key(self) -> tuple[int, str]:
        """What tells this site from others."""
        return id(self.owner), self.attribute

    def unit_axis(self, rank: int) -> int:
        """Return the axis along which units are counted.

        The last axis, or the channel axis of a convolution with
        `data_format="channels_first"`.
        """
        data_format = getattr(self.owner, "data_format", None)
        if data_format is None and rank > 3:
            data_format = keras.config.image_data_format()
        if data_format == "channels_first" and rank > 2:
            return 1
        return rank - 1


def _children(layer: Any) -> Iterator[Any]:
    """Yield the layers directly inside a layer, in the order of creation."""
    # The one list of sublayers that every Keras layer has; `Model.layers`
    # is its public face, and there is none for other layers.
    yield from layer._flatten_layers(recursive=False, include_self=False)


def _walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield `(path, layer)` for the model and each layer in it, depth first.

    The path joins the layers' names with `/`, without the model's own name;
    it is unique (a second layer of the same path gets `_1`, and so on). A
    layer that is used twice comes once. The cell of a recurrent layer bears
    the path of that layer: to its user they are one.
    """
    seen = {id(model)}
    taken: set[str] = set()

    def unique(path: str) -> str:
        candidate, number = path, 0
        while candidate in taken:
            number += 1
            candidate = f"{path}_{number}"
        taken.add(candidate)
        return candidate

    def visit(parent: Any, parent_path: str, fold: bool) -> Iterator[Any]:
        for layer in _children(parent):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = parent_path
            if not fold:
                path = unique("/".join(filter(None, (path, layer.name))))
            yield path, layer
            recurrent = isinstance(layer, keras.layers.RNN)
            yield from visit(layer, path, fold or recurrent)

    yield model.name, model
    yield from visit(model, "", False)


def weight_groups(model: Any) -> list[WeightGroup]:
    """Return the model's layers that own trainable weights, input first.

    Args:
        model: A built `keras.Model`.
    """
    trainable = {id(v) for v in model.trainable_variables}
    grouped: dict[str, list[Any]] = {}
    for path, layer in _walk(model):
        for variable in layer._trainable_variables:
            if id(variable) in trainable:
                trainable.discard(id(variable))
                grouped.setdefault(path, []).append(variable)
    return [WeightGroup(path, tuple(vs)) for path, vs in grouped.items()]


def _is_relu(activation: Any) -> bool:
    return any(activation is function for function in _RELU_FUNCTIONS)


def relu_sites(model: Any) -> list[ReluSite]:
    """Return the places where the model applies a ReLU.

    Found are `activation=` arguments and `Activation` layers with `"relu"`
    or `"relu6"`, `ReLU` layers without a negative slope, and
    `keras.ops.relu` in a functional model.

    Args:
        model: A `keras.Model`.
    """
    sites = []
    for path, layer in _walk(model):
        if isinstance(layer, keras.layers.ReLU):
            if not layer.negative_slope:
                sites.append(ReluSite(path, layer, "call"))
        elif _is_relu(vars(layer).get("activation")):
            sites.append(ReluSite(path, layer, "activation"))
        operations = getattr(layer, "operations", ())
        prefix = "" if layer is model else path + "/"
        for operation in operations:
            if isinstance(operation, keras.layers.Layer):
                continue
            if type(operation).__name__ in _RELU_OPERATIONS:
                sites.append(
                    ReluSite(prefix + operation.name, operation, "call")
                )
    return sites


Point = TypeVar("Point", WeightGroup, ReluSite)


def select(
    points: Sequence[Point], layers: Sequence[str] | None
) -> list[Point]:
    """Return the points of the named layers.

    Args:
        points: What there is.
        layers: Names or paths of layers; a name also selects the layers
            inside the one that it names. `None` selects all.

    Raises:
        ValueError: If a name fits no point. The message lists what there is.
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
        if not fits:
            raise ValueError(
                "`layers` must name layers that can be measured. "
                f"Received: {layer!r}, which is none of "
                f"{[point.path for point in points]}"
            )
        chosen |= fits
    return [point for i, point in enumerate(points) if i in chosen]


def _contains(path: list[str], parts: list[str]) -> bool:
    """Return whether `parts` stand in `path` one after another."""
    return any(
        path[i : i + len(parts)] == parts
        for i in range(len(path) - len(parts) + 1)
    )
