"""Capturing one training step on TensorFlow."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ext.taps.capture import StepCapture


class TensorFlowStepCapture(StepCapture):
    """See `StepCapture`; `compiled` means that XLA compiles the step."""

    def __init__(self, gauges: Sequence[Any], compiled: bool):
        super().__init__(gauges)
        self._compiled = compiled
        self._graph = None
        if not tf.executing_eagerly():
            self._graph = tf.compat.v1.get_default_graph()

    def anchors(self) -> list[tf.Tensor]:
        """Return tensors that exist only after the step has run."""
        gradients = [g for g, _ in self.gradients.values()]
        outputs = [x for xs in self.outputs.values() for x in xs]
        return [_values(x) for x in (gradients + outputs)[:1]]

    def _readable_gradient(self, gradient: Any) -> Any:
        if not self._is_readable(gradient):
            return None
        if self._graph is None:
            return gradient
        if self._compiled:  # XLA has no `unique` for sparse gradients
            return tf.convert_to_tensor(gradient)
        return _recomputed(gradient)

    def _capture_output(self, output: Any, store: Callable[[Any], None]) -> Any:
        # Keras finds out shapes in a scratch graph, to build a model.
        graph = getattr(_values(output), "graph", None)
        if not getattr(graph, "name", "").startswith("scratch_graph"):
            store(output if self._is_readable(output) else None)
        return output

    def _copy(self, variable: Any) -> Any:
        return tf.identity(variable.value)

    def _is_readable(self, tensor: Any) -> bool:
        """Return whether the tensor still exists at the end of the step.

        A tensor in the body of a loop or of a recomputed block does not.
        """
        if self._graph is None:
            return True
        return getattr(_values(tensor), "graph", None) is self._graph


# Cheap operations that TensorFlow's arithmetic optimizer joins with the next
# operation, as long as nothing else reads their result.
_JOINABLE = frozenset(
    "Add AddN AddV2 Cast Div DivNoNan ExpandDims Identity Mul MulNoNan Neg "
    "Pow RealDiv Reciprocal Reshape Rsqrt Sqrt Square Squeeze Sub Tile "
    "Transpose".split()
)


def _recomputed(gradient: Any, depth: int = 8) -> Any:
    """Return the same gradient, computed by operations of its own.

    TensorFlow computes `(g * a) * lr` as `g * (a * lr)`, but not if a second
    reader needs the product. Then the weights would differ in their last bit
    from those of a bare step. So this function repeats the last cheap
    operations of a gradient for the measurement. The attribute keeps
    TensorFlow from merging the two copies.
    """
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            _recomputed(gradient.values, depth),
            gradient.indices,
            gradient.dense_shape,
        )
    operation = gradient.op
    if operation.type not in _JOINABLE or not depth:
        return gradient
    attributes = dict(operation.node_def.attr)
    attributes["_measured"] = tf.compat.v1.AttrValue(b=True)
    copy = gradient.graph.create_op(
        operation.type,
        [_recomputed(x, depth - 1) for x in operation.inputs],
        [output.dtype for output in operation.outputs],
        attrs=attributes,
        name=f"measured_{operation.type}",
    )
    return copy.outputs[gradient.value_index]


def _values(tensor: Any) -> Any:
    return tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor
