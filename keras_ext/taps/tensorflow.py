"""Measuring inside TensorFlow's train function."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ext.taps import tensorflow_gauges as gauges_module
from keras_ext.taps.patch import listened, replaced
from keras_ext.taps.points import ReluSite

ActivityGauge = gauges_module.ActivityGauge
GradientGauge = gauges_module.GradientGauge


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
        self._counter = gauges_module.StepCounter()
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
            self._gauges[i].write(measured[i])
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
                gauge.write(gauge.measure(record))
                return tf.constant(True)

            sampled = step % gauge.every_n_steps == 0
            tf.cond(sampled, measure, lambda: tf.constant(False))
        return logs

    def _recorded_step(self, data: Any) -> tuple[Any, "StepRecord"]:
        record = StepRecord(compiled=bool(self._model.jit_compile))
        sites = {s.key: s for gauge in self._gauges for s in gauge.sites}
        with _listening(self._model, sites.values(), record):
            logs = self._train_step(data)
        return logs, record


class StepRecord:
    """What one training step shows: gradients and ReLU outputs.

    Args:
        compiled: Whether XLA compiles the step.

    Attributes:
        compiled: The argument.
        gradients: Maps the id of a `keras.Variable` to `(gradient, scale)`,
            as the optimizer received it, and the factor by which its loss
            was scaled or `None`.
        outputs: Maps the key of a ReLU site to the outputs of its uses; a
            site of which a use cannot be read is not in it.
    """

    def __init__(self, compiled: bool):
        self.compiled = compiled
        self.gradients: dict[int, tuple[Any, Any]] = {}
        self.outputs: dict[tuple[int, str], list[tf.Tensor]] = {}
        self._graph = _current_graph()
        self._unreadable: set[tuple[int, str]] = set()

    def anchors(self) -> list[tf.Tensor]:
        """Return tensors that exist only once the step has run."""
        gradients = [g for g, _ in self.gradients.values()]
        outputs = [x for xs in self.outputs.values() for x in xs]
        return [_values(x) for x in (gradients + outputs)[:1]]

    def hear_gradients(
        self, optimizer: Any, grads: Any, variables: Any
    ) -> None:
        """Take the gradients that an optimizer is about to apply."""
        scale = _loss_scale(optimizer)
        if variables is None:
            variables = optimizer._trainable_variables
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is not None and self._is_mine(gradient):
                if self._graph is not None and not self.compiled:
                    gradient = _apart(gradient)
                self.gradients[id(variable)] = (gradient, scale)

    def hear_output(self, key: tuple[int, str], output: Any) -> None:
        """Take the output of a ReLU."""
        if _is_rehearsal(output):
            return
        if not self._is_mine(output):
            # Keras runs a recurrent cell once outside its loop, to learn
            # its output's shape: that use says nothing about the layer.
            self._unreadable.add(key)
            self.outputs.pop(key, None)
        elif key not in self._unreadable:
            self.outputs.setdefault(key, []).append(output)

    def _is_mine(self, tensor: Any) -> bool:
        """Return whether the tensor can be read at the end of the step.

        One that lives in the body of a loop or of a recomputed block cannot.
        """
        if self._graph is None:
            return True
        return getattr(_values(tensor), "graph", None) is self._graph


@contextlib.contextmanager
def _listening(
    model: Any, sites: Iterable[ReluSite], record: StepRecord
) -> Iterator[None]:
    """Listen to layers and optimizers while the step is traced, or runs.

    `call`, `activation` and `apply` are replaced on the instances, for the
    length of the block only.
    """
    with contextlib.ExitStack() as stack:
        for site in sites:
            method = getattr(site.owner, site.attribute)
            hear = functools.partial(record.hear_output, site.key)
            stack.enter_context(
                replaced(site.owner, site.attribute, listened(method, hear))
            )
        for optimizer in _optimizers(model):
            stack.enter_context(
                replaced(optimizer, "apply", _heard(optimizer, record))
            )
        yield


def _heard(optimizer: Any, record: StepRecord) -> Callable:
    apply = optimizer.apply

    def hear_and_apply(grads: Any, trainable_variables: Any = None) -> Any:
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        record.hear_gradients(optimizer, grads, trainable_variables)
        return apply(grads, trainable_variables)

    return hear_and_apply


def _optimizers(model: Any) -> list[Any]:
    """Return the optimizers that are attributes of the model."""
    found = {
        id(value): value
        for value in vars(model).values()
        if isinstance(value, keras.optimizers.Optimizer)
    }
    return list(found.values())


def _loss_scale(optimizer: Any) -> Any:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        if not optimizer.built:
            return optimizer.initial_scale
        return tf.identity(optimizer.dynamic_scale.value)
    return optimizer.loss_scale_factor


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
