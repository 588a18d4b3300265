"""Measuring inside TensorFlow's train function."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_ext.taps import record
from keras_ext.taps import tensorflow_kernels as kernels
from keras_ext.taps.patch import replaced
from keras_ext.taps.tensorflow_store import StepCounter
from keras_ext.taps.tensorflow_store import Store as Store

__all__ = ["Record", "Store", "TrainFunctions", "kernels", "why_not"]


def why_not(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        return f"a distribution strategy with {replicas} replicas"
    return None


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Keras's own `make_train_function` builds them around a `train_step` that
    listens. All of them call one traced step, whose further outputs are the
    gauges' measurements: the variants in which a gauge does not write leave
    its output unused, and TensorFlow prunes what computes it. So a step that
    is not sampled runs the same operations as a bare one, and the model is
    traced once.

    With `steps_per_execution` above 1 the host does not see the single
    steps, and there is one variant, which decides in the graph.

    Args:
        model: A compiled `keras.Model`.
        gauges: What measures.
    """

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._train_step = model.train_step
        self._many_steps = model.steps_per_execution > 1
        self._counter = StepCounter()
        self._traced = tf.function(self._measured_step, autograph=False)
        self._functions: dict[tuple[int, ...], Any] = {}

    @property
    def decides_in_graph(self) -> bool:
        """Whether one function serves sampled steps and others."""
        return self._many_steps

    def begin_epoch(self) -> None:
        """Count the steps from zero."""
        self._counter.reset()

    def steps_done(self) -> int:
        """Return the steps of the epoch, if functions decide in the graph."""
        return self._counter.read()

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function in which the gauges `due` write.

        Args:
            due: Indices of gauges.
        """
        if due not in self._functions:
            step = functools.partial(self._step, due)
            model = self._model
            with replaced(model, "train_function", None):
                with replaced(model, "train_step", step):
                    model.make_train_function(force=True)
                self._functions[due] = vars(model)["train_function"]
        return self._functions[due]

    def _step(self, due: tuple[int, ...], data: Any) -> Any:
        if self._many_steps:
            return self._sampling_step(data)
        if tf.executing_eagerly():
            logs, measured = self._measured_step(data, due)
        else:
            logs, measured = self._traced(data)
        for i in due:
            if measured[i] is not None:
                self._gauges[i].store.write(*measured[i])
        return logs

    def _measured_step(
        self, data: Any, due: Sequence[int] | None = None
    ) -> tuple[Any, list[Any]]:
        logs, record = self._recorded_step(data)
        measured = [
            gauge.measure(record) if due is None or i in due else None
            for i, gauge in enumerate(self._gauges)
        ]
        return logs, measured

    def _sampling_step(self, data: Any) -> Any:
        logs, record = self._recorded_step(data)
        step = self._counter.next(record.anchors())
        for gauge in self._gauges:

            def measure(gauge: Any = gauge) -> tf.Tensor:
                measured = gauge.measure(record)
                if measured is not None:
                    gauge.store.write(*measured)
                return tf.constant(True)

            sampled = step % gauge.every_n_steps == 0
            tf.cond(sampled, measure, lambda: tf.constant(False))
        return logs

    def _recorded_step(self, data: Any) -> tuple[Any, "Record"]:
        record = Record(compiled=bool(self._model.jit_compile))
        sites = {s.key: s for gauge in self._gauges for s in gauge.sites}
        weights = any(gauge.weights for gauge in self._gauges)
        with record.listening(self._model, sites.values(), weights):
            logs = self._train_step(data)
        return logs, record


class Record(record.Record):
    """See `keras_ext.taps.record.Record`.

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

    def _hear(self, output: Any, note: Callable[[Any], None]) -> Any:
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
