"""Measuring inside TensorFlow's train function."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ext.taps.patch import replaced
from keras_ext.taps.tensorflow_capture import TensorFlowStepCapture
from keras_ext.taps.tensorflow_replicas import Replicas
from keras_ext.taps.tensorflow_store import (
    DueSteps,
    StepCounter,
    Store as Store,
)

# Strategies whose replicas take turns in the threads of one process.
_SUPPORTED = (tf.distribute.MirroredStrategy,)


def unsupported_reason(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    strategy = model.distribute_strategy
    if isinstance(strategy, _SUPPORTED) or strategy.num_replicas_in_sync == 1:
        return None
    return type(strategy).__name__


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Keras's own `make_train_function` builds them around a `train_step` that
    captures. All of them call one traced step, which also returns the rows
    of the gauges. A function in which a gauge does not write leaves its row
    unused, and TensorFlow prunes the operations that compute it. So a step
    that is not sampled runs the operations of a bare step, and the model is
    traced once.

    With `steps_per_execution` above 1 the host does not see the single
    steps. Then there is one function, which decides in the graph.
    """

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._train_step = model.train_step
        self.decides_in_graph = model.steps_per_execution > 1
        self.follows_freezing = bool(model.run_eagerly)
        self._replicas: Replicas | None = None
        if model.distribute_strategy.num_replicas_in_sync > 1:
            self._replicas = Replicas()
        self._counter = StepCounter()
        self._due_steps: dict[int, DueSteps] = {}
        if self.decides_in_graph:
            samplings = {id(g.sampling): g.sampling for g in gauges}
            self._due_steps = {i: DueSteps(s) for i, s in samplings.items()}
        self._traced = tf.function(self._measured_step, autograph=False)
        self._functions: dict[tuple[int, ...], Any] = {}
        _build_optimizer(model)

    def begin_epoch(self, planned_steps: int) -> None:
        """Count the steps from zero."""
        self._counter.reset()
        for due_steps in self._due_steps.values():
            due_steps.begin_epoch()

    def steps_done(self) -> int:
        """Return the steps of the epoch, if functions decide in the graph."""
        return self._counter.read()

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function in which the gauges `due` write."""
        if due not in self._functions:
            step = functools.partial(self._step, due)
            model = self._model
            with replaced(model, "train_function", None):
                with replaced(model, "train_step", step):
                    model.make_train_function(force=True)
                self._functions[due] = vars(model)["train_function"]
        return self._functions[due]

    def _step(self, due: tuple[int, ...], data: Any) -> Any:
        if self.decides_in_graph:
            return self._sampling_step(data)
        if tf.executing_eagerly() or self._replicas:
            logs, rows = self._measured_step(data, due)
        else:
            logs, rows = self._traced(data)
        if _writes():
            for i in due:
                self._gauges[i].store.write(rows[i])
        return logs

    def _measured_step(
        self, data: Any, due: Sequence[int] | None = None
    ) -> tuple[Any, dict[int, Any]]:
        if due is None:
            due = range(len(self._gauges))
        gauges = {i: self._gauges[i] for i in due}
        logs, step_capture = self._captured_step(data, list(gauges.values()))
        rows = {i: g.measure(step_capture) for i, g in gauges.items()}
        return logs, rows

    def _sampling_step(self, data: Any) -> Any:
        logs, step_capture = self._captured_step(data, self._gauges)
        if not _writes():
            return logs
        step = self._counter.next(step_capture.anchors())
        is_due = {i: due.next(step) for i, due in self._due_steps.items()}
        for gauge in self._gauges:

            def measure(gauge: Any = gauge) -> tf.Tensor:
                gauge.store.write(gauge.measure(step_capture))
                return tf.constant(True)

            due = is_due[id(gauge.sampling)]
            tf.cond(due, measure, lambda: tf.constant(False))
        return logs

    def _captured_step(
        self, data: Any, gauges: Sequence[Any]
    ) -> tuple[Any, TensorFlowStepCapture]:
        with self._capturing(gauges) as step_capture:
            logs = self._train_step(data)
            step_capture.data, step_capture.logs = data, logs
            if self._replicas:
                step_capture.gather()
        return logs, step_capture

    @contextlib.contextmanager
    def _capturing(self, gauges: Sequence[Any]) -> Iterator[Any]:
        compiled = bool(self._model.jit_compile)
        if self._replicas:
            with self._replicas.capturing(
                self._model, gauges, compiled
            ) as shared:
                yield shared
            return
        step_capture = TensorFlowStepCapture(gauges, compiled)
        with step_capture.capturing(self._model):
            yield step_capture


def _writes() -> bool:
    """Return whether this replica writes the rows: one of them does."""
    context = tf.distribute.get_replica_context()
    return tf.get_static_value(context.replica_id_in_sync_group) == 0


def _build_optimizer(model: Any) -> None:
    """Build the optimizer as the next step would.

    TensorFlow traces a step that creates variables twice, and initializes
    them in branches. That takes more time than the monitors add to a trace.
    Only a person's own `train_step` knows which variables its optimizer
    receives.
    """
    own = type(model).train_step is not keras.Model.train_step
    optimizer = model.optimizer
    if own or not model.built or optimizer is None or optimizer.built:
        return
    with model.distribute_strategy.scope():
        # `apply` builds the optimizer in this scope, which enters the paths
        # of the variables.
        with keras.name_scope(optimizer.name, caller=optimizer):
            optimizer.build(model.trainable_variables)
