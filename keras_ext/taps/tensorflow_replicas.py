"""Capturing all replicas of a `tf.distribute.MirroredStrategy`.

Each replica runs the step in a thread of its own. The threads take turns, and
wait for each other where the replicas exchange gradients.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from keras_ext.taps.tensorflow_capture import TensorFlowStepCapture


class ReplicaCapture(threading.local, TensorFlowStepCapture):
    """A capture with separate contents for each replica's thread."""

    def gather(self) -> None:
        """Replace the contents of one replica by those of all replicas.

        Gradients are summed, as the optimizer sums them. Outputs are joined
        to the outputs of the whole batch.
        """
        context = tf.distribute.get_replica_context()
        if self.gradients and self.wants_gradients:
            keys = list(self.gradients)
            total = context.all_reduce(
                tf.distribute.ReduceOp.SUM,
                [self.gradients[key][0] for key in keys],
            )
            for key, gradient in zip(keys, total, strict=True):
                self.gradients[key] = gradient, self.gradients[key][1]
        for point_key, outputs in self.outputs.items():
            self.outputs[point_key] = [
                # `all_gather` loses the shape.
                tf.ensure_shape(
                    context.all_gather(output, axis=0),
                    [None, *output.shape[1:]],
                )
                for output in outputs
            ]


class Replicas:
    """Shares one capture among all replicas of a step.

    The first replica that begins the step replaces the methods of the layers.
    The replacements stay until the last replica ends the step.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._shared: ReplicaCapture | None = None
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def capturing(
        self, model: Any, gauges: Sequence[Any], compiled: bool
    ) -> Iterator[ReplicaCapture]:
        """Capture the block that each replica runs."""
        if not self._inside:
            self._shared = ReplicaCapture(gauges, compiled)
            self._stack.enter_context(self._shared.capturing(model))
        self._inside += 1
        assert self._shared is not None
        try:
            yield self._shared
        finally:
            self._inside -= 1
            if not self._inside:
                self._stack.close()
