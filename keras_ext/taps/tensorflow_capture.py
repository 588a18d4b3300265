"""What one training step shows, on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_ext.taps import capture


class StepCapture(capture.StepCapture):
    """See `keras_ext.taps.capture.StepCapture`.

    Args:
        compiled: Whether XLA compiles the step.
    """

    def __init__(self, compiled: bool):
        super().__init__()
        self.compiled = compiled
        self._graph = _current_graph()

    def anchors(self) -> list[tf.Tensor]:
        """Return tensors that exist only once the step has run."""
        gradients = [g for g, _ in self.gradients.values()]
        outputs = [x for xs in self.outputs.values() for x in xs]
        return [_values(x) for x in (gradients + outputs)[:1]]

    def _readable_gradient(self, gradient: Any) -> Any:
        if not self._is_mine(gradient):
            return None
        if self._graph is not None and not self.compiled:
            return _apart(gradient)
        return gradient

    def _capture(self, output: Any, note: Callable[[Any], None]) -> Any:
        if not _is_rehearsal(output):
            note(output if self._is_mine(output) else None)
        return output

    def _copy(self, variable: Any) -> Any:
        return tf.identity(variable.value)

    def _is_mine(self, tensor: Any) -> bool:
        """Return whether the tensor can be read at the end of the step.

        One that lives in the body of a loop or of a recomputed block cannot.
        """
        if self._graph is None:
            return True
        return getattr(_values(tensor), "graph", None) is self._graph


def _current_graph() -> Any:
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()


# Cheap operations that TensorFlow's arithmetic optimizer joins with what
# follows them, as long as nothing else reads their result.
_JOINABLE = frozenset(
    "Add AddN AddV2 Cast Div DivNoNan ExpandDims Identity Mul MulNoNan Neg "
    "Pow RealDiv Reciprocal Reshape Rsqrt Sqrt Square Squeeze Sub Tile "
    "Transpose".split()
)


def _apart(gradient: Any, depth: int = 8) -> Any:
    """Return the same gradient, computed by operations of its own.

    A second reader of a product keeps TensorFlow from multiplying it in
    another order (`(g * a) * lr` as `g * (a * lr)`), and the weights would
    differ in their last bit from those of a bare step. So whatever cheap
    operations end a gradient's computation are repeated for the reader; the
    attribute keeps the optimizer from finding the two to be the same.
    """
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            _apart(gradient.values, depth),
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
        [_apart(x, depth - 1) for x in operation.inputs],
        [output.dtype for output in operation.outputs],
        attrs=attributes,
        name=f"measured_{operation.type}",
    )
    return copy.outputs[gradient.value_index]


def _is_rehearsal(tensor: Any) -> bool:
    """Return whether Keras only finds out shapes, to build a model."""
    graph = getattr(_values(tensor), "graph", None)
    return getattr(graph, "name", "").startswith("scratch_graph")


def _values(tensor: Any) -> Any:
    return tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor
