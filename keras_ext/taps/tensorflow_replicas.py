"""What the replicas of a `tf.distribute.MirroredStrategy` show together.

Each replica runs the step in a thread of its own; they take turns, and wait
for each other where they exchange gradients.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from keras_ext.taps.tensorflow_capture import StepCapture


class ReplicaCapture(threading.local, StepCapture):
    """A capture that each replica's thread finds empty and fills for itself.

    Args:
        compiled: Whether XLA compiles the step.
    """

    def gather(self, gauges: Iterable[Any]) -> None:
        """Put what all replicas have together in place of what one has.

        Gradients are added up, which is what the optimizer does with them;
        outputs are joined to those of the whole batch.

        Args:
            gauges: Who wants to see it.
        """
        context = tf.distribute.get_replica_context()
        gauges = list(gauges)
        if self.gradients and any(gauge.gradients for gauge in gauges):
            keys = list(self.gradients)
            total = context.all_reduce(
                tf.distribute.ReduceOp.SUM,
                [self.gradients[key][0] for key in keys],
            )
            for key, gradient in zip(keys, total, strict=True):
                self.gradients[key] = gradient, self.gradients[key][1]
        if any(gauge.points for gauge in gauges):
            for point, outputs in self.outputs.items():
                self.outputs[point] = [
                    # The gathering forgets the shape.
                    tf.ensure_shape(
                        context.all_gather(output, axis=0),
                        [None, *output.shape[1:]],
                    )
                    for output in outputs
                ]


class Replicas:
    """Lets one capture capture all replicas of a step.

    What is replaced on a layer to capture it is replaced once, by the
    first replica that begins the step, until the last one ends it.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._capture_of_step: ReplicaCapture | None = None
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def capturing(
        self, compiled: bool, *arguments: Any
    ) -> Iterator[ReplicaCapture]:
        """Let a capture capture the block that each replica runs.

        Args:
            compiled: Whether XLA compiles the step.
            *arguments: See `StepCapture.capturing`.
        """
        if not self._inside:
            self._capture_of_step = ReplicaCapture(compiled)
            capturing = self._capture_of_step.capturing(*arguments)
            self._stack.enter_context(capturing)
        self._inside += 1
        assert self._capture_of_step is not None
        try:
            yield self._capture_of_step
        finally:
            self._inside -= 1
            if not self._inside:
                self._stack.close()
