"""The axis of a tensor's units, from the layer that made the tensor.

A ReLU does not know whether it follows a dense layer, whose units are the
last axis, or a convolution with `data_format="channels_first"`. So a capture
notes the unit axis of each layer's output while a step runs or is traced.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

Tensor = Any

_LAYERS = keras.layers
_PER_CHANNEL = (_LAYERS.BatchNormalization, _LAYERS.GroupNormalization)
# Keras's layers and operations whose output has its features last.
_LAST = frozenset(
    "Attention Dense Dot Einsum EinsumDense Embedding GroupedQueryAttention "
    "Matmul MultiHeadAttention RNN RepeatVector Reshape".split()
)
# The same of PyTorch's modules, and the beginnings of the names of its
# modules with the channels behind the samples.
_TORCH_LAST = frozenset(
    "Bilinear Embedding EmbeddingBag Linear MultiheadAttention RNNBase".split()
)
_TORCH_CHANNELS = tuple(
    "AdaptiveAvgPool AdaptiveMaxPool AvgPool BatchNorm Conv FractionalMaxPool "
    "GroupNorm InstanceNorm LPPool LocalResponseNorm MaxPool MaxUnpool Pixel "
    "SyncBatchNorm Upsampl _BatchNorm _ConvNd _InstanceNorm".split()
)
# They keep the axis of their input. If it is unknown, theirs is the answer.
_NORMALIZATIONS = frozenset(
    "LayerNormalization RMSNormalization LayerNorm RMSNorm".split()
)


class UnitAxes:
    """The unit axes of the tensors of one step.

    A layer with an axis of its own decides the axis of its output. The output
    of another layer has the axis of its input.
    """

    def __init__(self) -> None:
        # The tensors are kept, so that no other tensor gets their id.
        self._noted: dict[int, tuple[Tensor, int]] = {}
        self._of_shape: dict[tuple[Any, ...], int] = {}
        self._of_rank: dict[int, int] = {}
        self._running: list[Any] = []

    def noted(
        self,
        maker: Any,
        call: Callable,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call what makes tensors, see `makers_in`, and note its outputs."""
        self._running.append(maker)
        try:
            output = call(*args, **kwargs)
        finally:
            self._running.pop()
        self._note(maker, tensors_in((args, kwargs)), tensors_in(output))
        return output

    def of_activation(self, owner: Any, x: Tensor, output: Tensor) -> int:
        """Return the unit axis of an activation's output.

        Args:
            owner: The layer, operation or code that applies the activation.
            x: The activation's input.
            output: Its output, of rank 2 or more.
        """
        shape = tuple(output.shape)
        rank = len(shape)
        outer = [o for o in self._running[-2:] if o is not owner]
        known = (
            self._noted.get(id(x), (None, None))[1],
            _own_axis(owner, rank),
            # A layer may have an activation layer as its `activation`.
            _own_axis(outer[-1], rank) if outer else None,
            self._of_shape.get(shape),
            self._of_rank.get(rank),
        )
        for axis in known:
            if axis is not None:
                return axis
        of_torch = isinstance(owner, _LAYERS.TorchModuleWrapper)
        by_default = keras.config.image_data_format() == "channels_first"
        return 1 if (of_torch or by_default) and rank > 3 else rank - 1

    def _note(
        self, owner: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> None:
        for output in outputs:
            shape = tuple(output.shape)
            rank = len(shape)
            axis = _own_axis(owner, rank)
            if axis is None and id(output) not in self._noted:
                axis = self._passed_on(owner, inputs, shape)
            if axis is not None:
                self._noted[id(output)] = output, axis
                self._of_shape[shape] = axis
                self._of_rank[rank] = axis

    def _passed_on(
        self, owner: Any, inputs: Sequence[Tensor], shape: tuple[Any, ...]
    ) -> int | None:
        """Return the axis that an output has from the inputs."""
        rank = len(shape)
        axes = [
            self._noted[id(x)][1]
            for x in inputs
            if id(x) in self._noted and len(x.shape) == rank
        ]
        moved = getattr(owner, "dims", None) or getattr(owner, "axes", None)
        if axes and type(owner).__name__ in ("Permute", "Transpose") and moved:
            order = [i % rank for i in moved]
            if len(order) < rank:
                order.insert(0, 0)  # `Permute` does not count the samples.
            return order.index(axes[0])
        if axes:
            return axes[0]
        if _NORMALIZATIONS & _names(owner):
            axis = getattr(owner, "axis", -1)
            return axis % rank if isinstance(axis, int) else None
        return self._of_shape.get(shape)


def have_channels_first(model: Any) -> bool:
    """Return whether units may be on another axis than the last."""
    return any(
        isinstance(owner, _LAYERS.TorchModuleWrapper)
        or getattr(owner, "data_format", None) == "channels_first"
        or (isinstance(owner, _PER_CHANNEL) and owner.axis != -1)
        for owner, _ in makers_in(model)
    )


def makers_in(model: Any) -> Iterator[tuple[Any, str]]:
    """Yield what makes tensors in a model, and the attribute that is called.

    These are the layers, the operations of functional models, and the
    modules of PyTorch.
    """
    seen: set[int] = set()
    for layer in model._flatten_layers():
        found = [(layer, "call")]
        found += [(x, "call") for x in getattr(layer, "operations", ())]
        if isinstance(layer, _LAYERS.TorchModuleWrapper):
            found += [(x, "forward") for x in layer.module.modules()]
        for maker, attribute in found:
            if id(maker) not in seen:
                seen.add(id(maker))
                yield maker, attribute


def tensors_in(data: Any) -> list[Tensor]:
    """Return the tensors of known rank, 2 or more, in a structure."""
    return [
        x
        for x in keras.tree.flatten(data)
        if keras.ops.is_tensor(x)
        and getattr(x.shape, "rank", 0) is not None
        and len(x.shape) > 1
    ]


def _own_axis(owner: Any, rank: int) -> int | None:
    """Return the unit axis that a layer gives its output, or `None`."""
    if rank == 2:
        return 1
    if isinstance(owner, _LAYERS.TimeDistributed):
        axis = _own_axis(owner.layer, rank - 1)
        return None if axis is None else axis + 1
    if isinstance(owner, _LAYERS.Wrapper):
        return _own_axis(owner.layer, rank)
    if isinstance(owner, _PER_CHANNEL) and isinstance(owner.axis, int):
        return owner.axis % rank
    # A dropout of whole channels moves no axis, whatever its format is.
    data_format = getattr(owner, "data_format", None)
    if data_format is not None and not isinstance(owner, _LAYERS.Dropout):
        return 1 if data_format == "channels_first" else rank - 1
    if isinstance(owner, keras.Operation):
        return rank - 1 if _LAST & _names(owner) else None
    names = _names(owner)
    if _TORCH_LAST & names:
        return rank - 1
    return 1 if any(x.startswith(_TORCH_CHANNELS) for x in names) else None


def _names(owner: Any) -> set[str]:
    """Return the names of the owner's classes that are a library's own."""
    return {
        kind.__name__
        for kind in type(owner).__mro__
        if kind.__module__.partition(".")[0] in ("keras", "keras_ext", "torch")
    }
