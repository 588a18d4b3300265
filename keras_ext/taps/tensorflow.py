"""Measuring inside TensorFlow's train function."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_ext.taps import batch_kernels as batch_kernels
from keras_ext.taps import tensorflow_kernels as kernels
from keras_ext.taps.patch import replaced
from keras_ext.taps.tensorflow_capture import StepCapture as StepCapture
from keras_ext.taps.tensorflow_replicas import Replicas
from keras_ext.taps.tensorflow_store import StepCounter
from keras_ext.taps.tensorflow_store import Store as Store

__all__ = [
    "StepCapture",
    "Store",
    "TrainFunctions",
    "batch_kernels",
    "kernels",
    "why_not",
]

# Strategies whose replicas take turns in one thread each of one process.
_UNDERSTOOD = (tf.distribute.MirroredStrategy,)


def why_not(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    strategy = model.distribute_strategy
    if isinstance(strategy, _UNDERSTOOD) or (
        strategy.num_replicas_in_sync == 1
    ):
        return None
    return type(strategy).__name__


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Keras's own `make_train_function` builds them around a `train_step` that
    captures. All of them call one traced step, whose further outputs are the
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
        self._replicas: Replicas | None = None
        if model.distribute_strategy.num_replicas_in_sync > 1:
            self._replicas = Replicas()
        self._counter = StepCounter()
        self._traced = tf.function(self._measured_step, autograph=False)
        self._functions: dict[tuple[int, ...], Any] = {}
        _build_optimizer(model)

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
        if tf.executing_eagerly() or self._replicas:
            logs, rows = self._measured_step(data, due)
        else:
            logs, rows = self._traced(data)
        for i in due:
            if not _writes():
                continue
            if rows[i] is not None:
                self._gauges[i].store.write(rows[i])
            elif tf.executing_eagerly():
                # A model may leave out a layer in some steps.
                self._gauges[i].store.skip()
        return logs

    def _measured_step(
        self, data: Any, due: Sequence[int] | None = None
    ) -> tuple[Any, list[Any]]:
        if due is None:
            due = range(len(self._gauges))
        with self._capturing() as capture:
            logs = self._train_step(data)
            capture.data, capture.logs = data, logs
            if self._replicas:
                capture.gather(self._gauges[i] for i in due)
        rows = [
            gauge.measure(capture) if i in due else None
            for i, gauge in enumerate(self._gauges)
        ]
        return logs, rows

    def _sampling_step(self, data: Any) -> Any:
        with self._capturing() as capture:
            logs = self._train_step(data)
            capture.data, capture.logs = data, logs
            if self._replicas:
                capture.gather(self._gauges)
        if not _writes():
            return logs
        step = self._counter.next(capture.anchors())
        for gauge in self._gauges:

            def measure(gauge: Any = gauge) -> tf.Tensor:
                row = gauge.measure(capture)
                if row is not None:
                    gauge.store.write(row)
                return tf.constant(True)

            sampled = step % gauge.sampling.every_n_steps == 0
            tf.cond(sampled, measure, lambda: tf.constant(False))
        return logs

    @contextlib.contextmanager
    def _capturing(self) -> Iterator[Any]:
        """Let a capture capture the step in the block."""
        points = {s.key: s for gauge in self._gauges for s in gauge.points}
        weights = any(gauge.weights for gauge in self._gauges)
        compiled = bool(self._model.jit_compile)
        arguments = self._model, points.values(), weights
        if self._replicas:
            with self._replicas.capturing(compiled, *arguments) as shared:
                yield shared
            return
        capture = StepCapture(compiled)
        with capture.capturing(*arguments):
            yield capture


def _writes() -> bool:
    """Return whether this replica writes the rows: one of them does."""
    context = tf.distribute.get_replica_context()
    return tf.get_static_value(context.replica_id_in_sync_group) == 0


def _build_optimizer(model: Any) -> None:
    """Build the optimizer as the coming step would.

    A step that creates variables is traced twice and initializes them in
    branches, which takes more time than all that monitors add to a trace.
    In a person's own `train_step` we cannot know which variables an
    optimizer will be given.
    """
    own = type(model).train_step is not keras.Model.train_step
    optimizer = model.optimizer
    if own or not model.built or optimizer is None or optimizer.built:
        return
    with model.distribute_strategy.scope():
        # The scope in which `apply` builds it: it shows in variables' paths.
        with keras.name_scope(optimizer.name, caller=optimizer):
            optimizer.build(model.trainable_variables)
