"""What one training step shows to whoever captures."""

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_ext.taps import functions
from keras_ext.taps.patch import all_replaced
from keras_ext.taps.points import ActivationPoint, layers_in

Tensor = Any
Key = tuple[Any, ...]


class StepCapture(abc.ABC):
    """Gradients, weights and outputs of one training step.

    While a block `with capture.capturing(...)` runs, or is traced, the
    optimizers' `apply` and the points' callables are replaced, on the
    instances, by functions that note what passes and go on.

    Attributes:
        gradients: Maps the id of a `keras.Variable` to `(gradient, scale)`:
            the gradient as the optimizer received it, and the factor by
            which its loss was scaled or `None`.
        optimizers: Maps the id of a `keras.Variable` to the optimizer that
            received its gradient.
        weights: Maps the id of a `keras.Variable` to its values before and
            after the optimizer's `apply`, or what was taken of them; filled
            only if asked for.
        outputs: Maps the key of each of `parts` to the outputs of its uses.
        data: The batch that the step was given.
        logs: What the step returned.
    """

    def __init__(self) -> None:
        self.gradients: dict[int, tuple[Tensor, Any]] = {}
        self.optimizers: dict[int, Any] = {}
        self.weights: dict[int, tuple[Tensor, Tensor]] = {}
        self.outputs: dict[Key, list[Tensor]] = {}
        self.data: Any = None
        self.logs: Any = None
        self._parts: dict[Key, list[tuple[int, int | None]]] = {}
        self._unreadable: set[Key] = set()

    def _readable_gradient(self, gradient: Tensor) -> Tensor | None:
        """Return what can be measured of a gradient, `None` if nothing."""
        return gradient

    @abc.abstractmethod
    def _capture(
        self, output: Tensor, note: Callable[[Tensor | None], None]
    ) -> Tensor:
        """Pass what can be measured of a point's output to `note`.

        Returns:
            What takes the place of the output in the step.
        """

    @abc.abstractmethod
    def _copy(self, variable: Any) -> Tensor:
        """Return the variable's present value, which later steps leave."""

    def parts(self, point: ActivationPoint) -> list[ActivationPoint]:
        """Return the activations that were captured at a point.

        Usually one, which bears the point's path. There are several, with
        numbered paths, if a person's code calls several ReLUs, or a layer is
        used with different numbers of units. There is none if the point was
        not captured, or a use of it cannot be read.
        """
        parts = self._parts.get(point.key, [])
        path = point.path if len(parts) < 2 else f"{point.path}/{point.kind}"
        return [
            dataclasses.replace(
                point, path=path + (f"_{i}" if i else ""), part=part
            )
            for i, part in enumerate(parts)
        ]

    def is_silent(self, point: ActivationPoint) -> bool:
        """Return whether nothing was captured of a point, readable or not."""
        return (
            point.key not in self._parts and point.key not in self._unreadable
        )

    def _loss_scale(self, optimizer: Any) -> Any:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            if not optimizer.built:
                return optimizer.initial_scale
            return self._copy(optimizer.dynamic_scale)
        return optimizer.loss_scale_factor

    @contextlib.contextmanager
    def capturing(
        self,
        model: Any,
        points: Iterable[ActivationPoint],
        weights: bool = False,
    ) -> Iterator[None]:
        """Listen for the length of the block.

        Args:
            model: The model whose optimizers are captured.
            points: Where outputs are captured.
            weights: Whether `weights` is asked for.
        """
        with contextlib.ExitStack() as stack:
            points = list(points)
            # Not an attribute: no cycle shall keep outputs after the step.
            running = functions.Running(self._capture_function)
            captured = self._captured_calls(points, running)
            stack.enter_context(all_replaced(captured))
            if any(point.inside for point in points):
                stack.enter_context(running.capturing())
            applies = [
                (optimizer, "apply", self._captured_apply(optimizer, weights))
                for optimizer in optimizers_of(model)
            ]
            stack.enter_context(all_replaced(applies))
            yield

    def _captured_calls(
        self, points: Sequence[ActivationPoint], running: functions.Running
    ) -> Iterator[tuple[Any, str, Callable]]:
        """Yield the owner and name of a callable and what takes its place."""
        inside = [point for point in points if point.inside]
        for point in points:
            call = getattr(point.owner, point.attribute)
            if inside:
                owner = point if point.inside else None
                call = running.owned(owner, call)
            if not point.inside:
                call = self._captured_point(point, call)
            yield point.owner, point.attribute, call
        # The ReLUs of a layer inside a person's own are not that one's.
        owners = {id(point.owner): point.owner for point in inside}
        others = {id(x): x for o in owners.values() for x in layers_in(o)}
        for point in points:
            if point.attribute == "call":
                others.pop(id(point.owner), None)
        for layer in others.values():
            yield layer, "call", running.owned(None, layer.call)

    def _captured_point(
        self, point: ActivationPoint, call: Callable
    ) -> Callable:
        def call_and_capture(*args: Any, **kwargs: Any) -> Any:
            return self._capture_function(point, 0, call(*args, **kwargs))

        return call_and_capture

    def _capture_function(
        self, point: ActivationPoint, number: int, output: Tensor
    ) -> Tensor:
        return self._capture(
            output, functools.partial(self._note, point, number)
        )

    def _note(
        self, point: ActivationPoint, number: int, output: Tensor | None
    ) -> None:
        if output is None or getattr(output.shape, "rank", 0) is None:
            # Keras runs a recurrent cell once outside its loop, to learn
            # its output's shape: that use says nothing about the layer.
            self._unreadable.add(point.key)
            for part in self._parts.pop(point.key, []):
                del self.outputs[(*point.key, part)]
        if output is None or point.key in self._unreadable:
            return
        rank = len(output.shape)
        if rank < 2:
            return  # numbers of examples, not of units
        part = number, output.shape[point.unit_axis(rank)]
        key = (*point.key, part)
        if key not in self.outputs:
            self._parts.setdefault(point.key, []).append(part)
            self.outputs[key] = []
        self.outputs[key].append(output)

    def _note_gradients(
        self,
        optimizer: Any,
        grads: Iterable[Any],
        variables: Iterable[Any],
        scale: Any,
    ) -> None:
        """Note what an optimizer received."""
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is not None:
                gradient = self._readable_gradient(gradient)
            if gradient is not None:
                self.gradients[id(variable)] = gradient, scale
                self.optimizers[id(variable)] = optimizer

    def _note_update(
        self, variables: Sequence[Any], before: list[Tensor]
    ) -> None:
        for variable, value in zip(variables, before, strict=True):
            self.weights[id(variable)] = value, self._copy(variable)

    def update_of(self, variable: Any) -> tuple[Any, Any]:
        """Return what `weights` holds of a variable.

        If no optimizer touched it, its present value is also the one before.
        """
        if id(variable) not in self.weights:
            value = [self._copy(variable)]
            self._note_update([variable], value)
        return self.weights[id(variable)]

    def _captured_apply(self, optimizer: Any, weights: bool) -> Callable:
        apply = optimizer.apply

        def capture_and_apply(
            grads: Any, trainable_variables: Any = None
        ) -> Any:
            grads = list(grads)
            variables = optimizer._trainable_variables
            if trainable_variables is not None:
                variables = trainable_variables = list(trainable_variables)
            scale = self._loss_scale(optimizer)
            self._note_gradients(optimizer, grads, variables, scale)
            before = [self._copy(v) for v in variables] if weights else []
            result = apply(grads, trainable_variables)
            if before:
                self._note_update(variables, before)
            return result

        return capture_and_apply


def optimizers_of(model: Any) -> list[Any]:
    """Return the optimizers of the model and of the models in it.

    Found are attributes, and those that a list, a tuple or a dictionary of
    optimizers holds.
    """
    found = {}
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.Model):
            continue
        for value in vars(layer).values():
            if isinstance(value, dict):
                value = list(value.values())
            if not isinstance(value, list | tuple):
                value = [value]
            # Not all of any list: it may be long.
            if not value or not _is_optimizer(value[0]):
                continue
            found.update({id(x): x for x in value if _is_optimizer(x)})
    return list(found.values())


def clips_by_value(optimizer: Any) -> bool:
    """Return whether each gradient that it receives is clipped by value.

    Not with gradient accumulation, where the sum over several steps is.

    Args:
        optimizer: A `keras.optimizers.Optimizer`.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return (
        not optimizer.gradient_accumulation_steps
        and not (optimizer.clipnorm or optimizer.global_clipnorm)
        and bool(optimizer.clipvalue)
    )


def any_clips_by_value(model: Any) -> bool:
    """Return whether an optimizer of the model clips by value."""
    return any(map(clips_by_value, optimizers_of(model)))


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, keras.optimizers.Optimizer)
