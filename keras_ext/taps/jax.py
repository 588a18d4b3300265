"""Measuring inside JAX's training step."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import keras

from keras_ext.taps import batch_kernels as batch_kernels
from keras_ext.taps import capture
from keras_ext.taps import jax_kernels as kernels
from keras_ext.taps.jax_state import hidden, shown
from keras_ext.taps.jax_store import Store as Store
from keras_ext.taps.patch import replaced

__all__ = [
    "StepCapture",
    "Store",
    "TrainFunctions",
    "batch_kernels",
    "kernels",
    "why_not",
]

# Steps that all run the program that measures, at most. To compile another
# one for those in which nothing is due pays in longer trainings only.
PATIENCE = 3000
# How many steps before, a thread begins to compile it.
AHEAD = 200


def why_not(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    if keras.config.is_nnx_enabled():
        return "Flax NNX"
    if type(model).make_train_function is not keras.Model.make_train_function:
        return "a `make_train_function` of the model's own"
    return None


class _Measuring(tuple[int, ...]):
    """Indices of the gauges that measure: `jax.jit` traces once for each."""


jax.tree_util.register_pytree_node(
    _Measuring, lambda which: ((), which), lambda which, _: which
)


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Keras's own `make_train_function` builds them around a `train_step` that
    captures, and returns rows beside the logs. There are two programs, since
    each takes time to compile: one in which all gauges measure, for steps in
    which any is due and for the first ones (see `_patience`), and one for the
    other steps. Both call one traced step, and in the second, which leaves rows
    unused, XLA removes what computes them: it is the program of a bare step.

    Args:
        model: A compiled `keras.Model`.
        gauges: What measures.
    """

    decides_in_graph = True

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._train_step = model.train_step
        self._points = {s.key: s for gauge in gauges for s in gauge.points}
        self._weights = any(gauge.weights for gauge in gauges)
        self._compiled = bool(model.jit_compile) and not model.run_eagerly
        self._all = _Measuring(range(len(self._gauges)))
        self._always = _Measuring(
            i for i in self._all if gauges[i].sampling.is_every_step
        )
        self._traced = jax.jit(
            lambda s, d: self._measured_step(s, d, self._all)
        )
        # `jax.jit` would reuse what it traced for an equal function, such as
        # a bound method.
        with (
            replaced(model, "train_function", None),
            replaced(model, "_make_function", lambda step: step),
            replaced(model, "train_step", lambda s, d: self._step(s, d)),
        ):
            model.make_train_function(force=True)
            self._function = vars(model)["train_function"]
        self._steps = self._steps_ever = 0
        self._patience = 0  # known after the first step

    def begin_epoch(self) -> None:
        """Count the steps from zero."""
        self._steps = 0

    def steps_done(self) -> int:
        """Return the number of steps since `begin_epoch`."""
        return self._steps

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function; it knows which gauges are due."""
        return self._run

    def _run(self, state: Any, iterator: Any) -> tuple[Any, Any]:
        logs, state = self._run_step(shown(state), iterator)
        for _ in range(self._model.steps_per_execution - 1):
            try:
                logs, state = self._run_step(state, iterator)
            except StopIteration:
                break
        return logs, hidden(state)

    def _run_step(self, state: Any, iterator: Any) -> tuple[Any, Any]:
        step = self._steps
        due = _Measuring(
            i for i in self._all if self._gauges[i].sampling.is_due(step)
        )
        data = next(iterator)
        which = due
        if self._compiled:
            if self._steps_ever == max(self._patience - AHEAD, 1):
                self._compile_beside(state, data)
            spared = 0 < self._patience <= self._steps_ever
            which = (
                self._always if spared and due == self._always else self._all
            )
        (logs, rows), state = self._function(state, (data, which))
        self._steps += 1
        self._steps_ever += 1
        for i, row in zip(which, rows, strict=True):
            if i in due and row is not None:
                self._gauges[i].store.write(step, row)
        return logs, state

    def _compile_beside(self, state: Any, data: Any) -> None:
        """Compile in a thread the program of steps in which nothing is due."""
        if self._always != self._all:
            lowered = self._function.lower(state, (data, self._always))
            threading.Thread(target=lowered.compile).start()

    def _step(self, state: Any, data: Any) -> tuple[Any, Any]:
        data, which = data
        if self._compiled:
            logs, state, rows = self._traced(state, data)
        else:
            logs, state, rows = self._measured_step(state, data, which)
        return (logs, [rows[i] for i in which]), state

    def _measured_step(
        self, state: Any, data: Any, which: tuple[int, ...]
    ) -> tuple[Any, Any, list[Any]]:
        capture = StepCapture(self._compiled, state)
        if self._weights:
            capture.note_weights(self._model.trainable_variables, state[0])
        with capture.capturing(
            self._model, self._points.values(), self._weights
        ):
            logs, state = self._train_step(state, data)
        capture.data, capture.logs = data, logs
        rows: list[Any] = [None] * len(self._gauges)
        for i in which:
            rows[i] = self._gauges[i].measure(capture)
        if not self._patience:
            self._patience = min(PATIENCE, _patience(capture.size()))
        return logs, state, rows


def _patience(numbers: int) -> int:
    """Return after how many steps measuring has cost what compiling costs.

    That is estimated from the sizes alone, so that a training that is
    repeated runs the same programs in the same steps.

    Args:
        numbers: How many numbers are looked at in a step.
    """
    compiling, measuring = 0.4, 1e-4 + 7.5e-10 * numbers  # s, on a CPU
    return max(2 * AHEAD, int(compiling / measuring))


class StepCapture(capture.StepCapture):
    """See `keras_ext.taps.capture.StepCapture`.

    Args:
        compiled: Whether XLA compiles the step.
        state: The state that is given to the step.
    """

    def __init__(self, compiled: bool, state: Any):
        super().__init__()
        self.compiled = compiled
        self._traces = {
            x._trace
            for x in jax.tree.leaves(state)
            if isinstance(x, jax.core.Tracer)
        }

    def size(self) -> int:
        """Return how many numbers gradients and outputs have."""
        gradients = [g for g, _ in self.gradients.values() if g is not None]
        outputs = [x for captured in self.outputs.values() for x in captured]
        return sum(x.size for x in gradients + outputs)

    def note_weights(self, variables: Any, values: Any) -> None:
        """Note variables that an optimizer may leave as they are."""
        for variable, value in zip(variables, values, strict=True):
            self.weights[id(variable)] = value, value

    @contextlib.contextmanager
    def capturing(
        self,
        model: Any,
        points: Iterable[Any],
        weights: bool = False,
    ) -> Iterator[None]:
        """See `keras_ext.taps.capture.StepCapture.capturing`."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().capturing(model, points, weights))
            for optimizer in capture.optimizers_of(model):
                if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                    captured = self._captured_stateless_apply(
                        optimizer, weights
                    )
                    stack.enter_context(
                        replaced(optimizer, "stateless_apply", captured)
                    )
            yield

    def _captured_stateless_apply(
        self, optimizer: Any, weights: bool
    ) -> Callable:
        """Hear what the loss scale's optimizer receives.

        On JAX it does not call its own `apply`.
        """
        stateless_apply = optimizer.stateless_apply

        def capture_and_apply(
            optimizer_variables: Any, grads: Any, trainable_variables: Any
        ) -> Any:
            grads = list(grads)
            variables = optimizer._trainable_variables
            (scale,) = (
                value
                for variable, value in zip(
                    optimizer.variables, optimizer_variables, strict=True
                )
                if variable is optimizer.dynamic_scale
            )
            self._note_gradients(optimizer, grads, variables, scale)
            result = stateless_apply(
                optimizer_variables, grads, trainable_variables
            )
            if weights:
                for variable, before, after in zip(
                    variables, trainable_variables, result[0], strict=True
                ):
                    self.weights[id(variable)] = before, after
            return result

        return capture_and_apply

    def _readable_gradient(self, gradient: Any) -> Any:
        return gradient if self._is_mine(gradient) else None

    def _capture(self, output: Any, note: Callable[[Any], None]) -> Any:
        if not isinstance(output, jax.Array):
            note(None)
            return output
        if self._is_mine(output):
            note(output)
            return output
        # Inside `jax.grad` the value is known to the outer trace, but only
        # the rule of differentiation is given it.
        captured = []

        @jax.custom_jvp
        def capture(x: Any) -> Any:
            return x

        @capture.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            captured.append(True)
            # Once more, as gradients may be nested.
            return self._capture(primals[0], note), tangents[0]

        result = capture(output)
        if not captured:
            note(None)  # the body of a loop or of a recomputed block
            return output
        logits = getattr(output, "_keras_logits", None)
        if logits is not None:  # which Keras's losses look for
            result._keras_logits = logits
        return result

    def _copy(self, variable: Any) -> Any:
        return variable.value

    def _is_mine(self, tensor: Any) -> bool:
        """Return whether the tensor can be read at the end of the step.

        One that lives in the body of a loop or of a recomputed block cannot.
        """
        return (
            not isinstance(tensor, jax.core.Tracer)
            or tensor._trace in self._traces
        )
