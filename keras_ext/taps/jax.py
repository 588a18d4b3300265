"""Measuring inside JAX's training step."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import keras
import numpy as np

from keras_ext.taps.capture import Change, StepCapture
from keras_ext.taps.jax_state import hidden, shown
from keras_ext.taps.patch import all_replaced, replaced
from keras_ext.taps.points import layers_in
from keras_ext.taps.store import RowStore

# The largest number of first steps that all run the measuring program. A
# second program is worth its compile time only in longer trainings.
PATIENCE = 3000
# The number of these steps in a training that is known to be longer.
SOON = 50
# A thread begins to compile the second program this many steps earlier.
AHEAD = 200


def unsupported_reason(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    if keras.config.is_nnx_enabled():
        return "Flax NNX"
    if type(model).make_train_function is not keras.Model.make_train_function:
        return "a `make_train_function` of the model's own"
    return None


class Store(RowStore):
    """See `RowStore`."""

    def _fetch(self, rows: list[Any]) -> np.ndarray:
        return np.stack(jax.device_get(rows))


class _Measuring(tuple[int, ...]):
    """Indices of the gauges that measure. `jax.jit` traces each tuple once."""


jax.tree_util.register_pytree_node(
    _Measuring, lambda which: ((), which), lambda which, _: which
)


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Keras's own `make_train_function` builds them around a `train_step` that
    captures, and that returns rows beside the logs. There are two programs,
    because each takes time to compile. In the first program all gauges
    measure. It runs in steps in which a gauge is due, and in the first steps
    (see `_patience`). The second program runs in the other steps. Both call
    one traced step. The second program does not use the rows, so XLA removes
    the operations that compute them: it is the program of a bare step.
    """

    decides_in_graph = True
    follows_freezing = False

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._train_step = model.train_step
        self._compiled = bool(model.jit_compile) and not model.run_eagerly
        self._all = _Measuring(range(len(self._gauges)))
        self._always = _Measuring(
            i for i in self._all if gauges[i].sampling.is_every_step
        )
        self._traced = jax.jit(
            lambda s, d: self._measured_step(s, d, self._all)
        )
        # New lambdas: `jax.jit` would reuse the trace of an equal function,
        # such as a bound method.
        with (
            replaced(model, "train_function", None),
            replaced(model, "_make_function", lambda step: step),
            replaced(model, "train_step", lambda s, d: self._step(s, d)),
        ):
            model.make_train_function(force=True)
            self._function = vars(model)["train_function"]
        self._steps = self._steps_ever = self._planned_steps = 0
        self._patience = 0  # known after the first step
        self._compiling: threading.Thread | None = None

    def begin_epoch(self, planned_steps: int) -> None:
        """Count the steps from zero.

        Args:
            planned_steps: The number of steps of this `fit`, 0 if unknown.
        """
        self._steps = 0
        self._planned_steps = planned_steps

    def steps_done(self) -> int:
        """Return the number of steps since `begin_epoch`."""
        return self._steps

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function, which finds the due gauges itself."""
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
        due = _Measuring(
            i for i in self._all if self._gauges[i].sampling.is_due(self._steps)
        )
        data = next(iterator)
        which = due
        if self._compiled:
            always = due == self._always and self._is_ready(state, data)
            which = self._always if always else self._all
        (logs, rows), state = self._function(state, (data, which))
        self._steps += 1
        self._steps_ever += 1
        for i, row in zip(which, rows, strict=True):
            if i in due:
                self._gauges[i].store.write(row)
        return logs, state

    def _is_ready(self, state: Any, data: Any) -> bool:
        """Return whether the second program may run; compile it in time.

        It takes over at a fixed step, so that a repeated training runs the
        same programs in the same steps.
        """
        if not self._patience:
            return False
        first = self._patience
        if self._planned_steps > first:
            first = min(SOON, first)
        if self._steps_ever < first - AHEAD:
            return False
        if self._compiling is None and self._always != self._all:
            lowered = self._function.lower(state, (data, self._always))
            self._compiling = threading.Thread(target=lowered.compile)
            self._compiling.start()
        if self._steps_ever < first:
            return False
        if self._compiling is not None:
            self._compiling.join()
        return True

    def _step(self, state: Any, data: Any) -> tuple[Any, Any]:
        data, which = data
        if self._compiled:
            logs, state, rows = self._traced(state, data)
        else:
            logs, state, rows = self._measured_step(state, data, which)
        return (logs, [rows[i] for i in which]), state

    def _measured_step(
        self, state: Any, data: Any, which: tuple[int, ...]
    ) -> tuple[Any, Any, dict[int, Any]]:
        gauges = {i: self._gauges[i] for i in which}
        step_capture = JaxStepCapture(gauges.values(), state)
        step_capture.store_weights(self._model.trainable_variables, state[0])
        with step_capture.capturing(self._model):
            logs, state = self._train_step(state, data)
        step_capture.data, step_capture.logs = data, logs
        rows = {i: g.measure(step_capture) for i, g in gauges.items()}
        if not self._patience:
            self._patience = min(PATIENCE, _patience(step_capture.size()))
        return logs, state, rows


def _patience(numbers: int) -> int:
    """Return the step at which measuring has cost as much as compiling.

    The estimate depends on sizes alone, so that a repeated training runs the
    same programs in the same steps.
    """
    compiling, measuring = 0.4, 1e-4 + 7.5e-10 * numbers  # seconds, on a CPU
    return max(2 * AHEAD, int(compiling / measuring))


def _is_no_gradient(gradient: Any) -> bool:
    """Return whether a traced gradient is JAX's zero for an unused variable.

    JAX broadcasts a literal zero then. Versions that do not keep a tensor's
    origin at hand have no such gradients here.
    """
    tensor = gradient
    origin = getattr(tensor, "parent", None)
    if origin is not None and origin.primitive.name == "broadcast_in_dim":
        tensor = origin.in_tracers[0]
        origin = getattr(tensor, "parent", None)
    literal: Any = getattr(tensor, "val", None)
    if origin is not None or type(literal).__name__ != "Literal":
        return False
    return bool(np.all(literal.val == 0))


class JaxStepCapture(StepCapture):
    """See `StepCapture`; `state` is the state that the step receives.

    Attributes:
        used: The ids of the variables of the layers that were called.
    """

    def __init__(self, gauges: Any, state: Any):
        super().__init__(gauges)
        self._traces = {
            x._trace
            for x in jax.tree.leaves(state)
            if isinstance(x, jax.core.Tracer)
        }
        self.used: set[int] = set()

    @contextlib.contextmanager
    def capturing(self, model: Any) -> Iterator[None]:
        """See `StepCapture.capturing`."""
        measures = self.wants_gradients or self.wants_weights
        calls = self._noting_uses(model) if measures else ()
        with super().capturing(model), all_replaced(calls):
            yield

    def _noting_uses(self, model: Any) -> Iterator[Change]:
        for layer in model._flatten_layers():
            owners = [layer]
            if isinstance(layer, keras.layers.RNN):  # may not call its cell
                owners = [layer, *layers_in(layer)]
            ids = {id(v) for x in owners for v in x._trainable_variables}
            if ids:
                yield layer, "call", self._noting_use(layer.call, ids)

    def _noting_use(self, call: Callable, variables: set[int]) -> Callable:
        @functools.wraps(call, updated=())
        def call_and_note(*args: Any, **kwargs: Any) -> Any:
            self.used |= variables
            return call(*args, **kwargs)

        return call_and_note

    def is_unused(self, variable: Any) -> bool:
        """See `StepCapture.is_unused`.

        JAX has a gradient of zero for each variable that the loss does not
        use. In a trace it is known as such, else by the layers that ran.
        """
        return super().is_unused(variable) or id(variable) not in self.used

    def size(self) -> int:
        """Return the number of entries of all gradients and outputs."""
        gradients = [g for g, _ in self.gradients.values() if g is not None]
        outputs = [x for uses in self.outputs.values() for x in uses]
        return sum(x.size for x in gradients + outputs)

    def store_weights(self, variables: Any, values: Any) -> None:
        """Store the values of variables that no optimizer may update."""
        if self.wants_weights:
            for variable, value in zip(variables, values, strict=True):
                self.weights[id(variable)] = value, value

    def _capturing_methods(self, optimizer: Any) -> Iterator[Change]:
        yield from super()._capturing_methods(optimizer)
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return
        # On JAX it does not call its own `apply`.
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
            self._store_gradients(optimizer, grads, variables, scale)
            result = stateless_apply(
                optimizer_variables, grads, trainable_variables
            )
            if self.wants_weights:
                for variable, before, after in zip(
                    variables, trainable_variables, result[0], strict=True
                ):
                    self.weights[id(variable)] = before, after
            return result

        yield optimizer, "stateless_apply", capture_and_apply

    def _readable_gradient(self, gradient: Any) -> Any:
        readable = self._is_readable(gradient) and not _is_no_gradient(gradient)
        return gradient if readable else None

    def _capture_output(self, output: Any, store: Callable[[Any], None]) -> Any:
        if not isinstance(output, jax.Array):
            store(None)
            return output
        if self._is_readable(output):
            store(output)
            return output
        # Inside `jax.grad` the outer trace knows the value, too, but only the
        # differentiation rule of an identity receives it.
        seen = []

        @jax.custom_jvp
        def identity(x: Any) -> Any:
            return x

        @identity.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            seen.append(True)
            # Recursive, because gradients may be nested.
            return self._capture_output(primals[0], store), tangents[0]

        result = identity(output)
        if not seen:
            store(None)  # the body of a loop or of a recomputed block
            return output
        logits = getattr(output, "_keras_logits", None)
        if logits is not None:  # Keras's losses look for it
            result._keras_logits = logits
        return result

    def _copy(self, variable: Any) -> Any:
        return variable.value

    def _is_readable(self, tensor: Any) -> bool:
        """Return whether the tensor still exists at the end of the step.

        A tensor in the body of a loop or of a recomputed block does not.
        """
        return (
            not isinstance(tensor, jax.core.Tracer)
            or tensor._trace in self._traces
        )
