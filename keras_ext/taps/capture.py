"""Capturing the gradients, weights and activations of one training step."""

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_ext.taps import functions
from keras_ext.taps.patch import all_replaced
from keras_ext.taps.points import ActivationPoint, Part, layers_in
from keras_ext.taps.unit_axes import (
    UnitAxes,
    have_channels_first,
    makers_in,
    tensors_in,
)

Tensor = Any
Key = tuple[Any, ...]
# An object, the name of its attribute, and the attribute's new value.
Change = tuple[Any, str, Callable]


class StepCapture(abc.ABC):
    """Gradients, weights and activation outputs of one training step.

    Inside a `with step_capture.capturing(model)` block, the optimizers'
    `apply` and the callables of the activation points are replaced on the
    instances. The replacements store what passes through them and call the
    originals. The block contains a step that runs, or the trace of a step.

    Attributes:
        points: Maps the key of each activation point to the point.
        wants_gradients: Whether a gauge measures gradients.
        wants_weights: Whether a gauge measures weights.
        gradients: Maps the id of a `keras.Variable` to `(gradient, scale)`:
            the gradient that the optimizer received, and the factor by which
            its loss was scaled or `None`.
        optimizers: Maps the id of a `keras.Variable` to the optimizer that
            received its gradient.
        weights: Maps the id of a `keras.Variable` to its values before and
            after the optimizer's `apply`, or to their norms. Filled only if
            a gauge measures weights.
        outputs: Maps the key of each of `parts` to the outputs of its uses.
        data: The batch of the step.
        logs: The logs that the step returned.
    """

    def __init__(self, gauges: Iterable[Any]):
        gauges = list(gauges)
        self.points = {p.key: p for gauge in gauges for p in gauge.points}
        self.wants_gradients = any(gauge.gradients for gauge in gauges)
        self.wants_weights = any(gauge.weights for gauge in gauges)
        self.gradients: dict[int, tuple[Tensor, Any]] = {}
        self.optimizers: dict[int, Any] = {}
        self.weights: dict[int, tuple[Tensor, Tensor]] = {}
        self.outputs: dict[Key, list[Tensor]] = {}
        self.data: Any = None
        self.logs: Any = None
        self._parts: dict[Key, list[Part]] = {}
        self._unreadable: set[Key] = set()
        self._axes = UnitAxes()

    @abc.abstractmethod
    def _capture_output(
        self, output: Tensor, store: Callable[[Tensor | None], None]
    ) -> Tensor:
        """Pass a point's output to `store`, and return its replacement."""

    @abc.abstractmethod
    def _copy(self, variable: Any) -> Tensor:
        """Return the variable's current value; later steps leave it alone."""

    def _readable_gradient(self, gradient: Tensor) -> Tensor | None:
        """Return the measurable form of a gradient, `None` if there is none."""
        return gradient

    def is_unused(self, variable: Any) -> bool:
        """Return whether a gradient of zero is no gradient at all.

        The step does not use the variable, or its gradient cannot be read.
        """
        return id(variable) not in self.optimizers

    def parts(self, point: ActivationPoint) -> list[ActivationPoint]:
        """Return the activations that were captured at a point.

        Usually there is one, with the point's path. There are several, with
        numbered paths, if a person's code calls several ReLUs, or if a layer
        is used with different ranks or numbers of units. There is none if
        nothing was captured, or if the output of one use cannot be read.
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
        """Return whether the point had no output, readable or not."""
        return (
            point.key not in self._parts and point.key not in self._unreadable
        )

    def update_of(self, variable: Any) -> tuple[Any, Any]:
        """Return the entry of `weights` for a variable.

        If no optimizer updates the variable, its current value stands for
        both values.
        """
        if id(variable) not in self.weights:
            value = [self._copy(variable)]
            self._store_update([variable], value)
        return self.weights[id(variable)]

    @contextlib.contextmanager
    def capturing(self, model: Any) -> Iterator[None]:
        """Capture the step that the model runs inside the block."""
        points = list(self.points.values())
        # Not an attribute: a reference cycle would keep the outputs alive
        # after the step.
        relus = functions.ReluCapture(self._output_of)
        with contextlib.ExitStack() as stack:
            calls = self._capturing_calls(points, relus)
            stack.enter_context(all_replaced(calls))
            if points and have_channels_first(model):
                stack.callback(self._forget_axes)
                stack.enter_context(all_replaced(self._noting_calls(model)))
            if any(point.inside for point in points):
                stack.enter_context(relus.capturing())
            for optimizer in optimizers_of(model):
                methods = self._capturing_methods(optimizer)
                stack.enter_context(all_replaced(methods))
            yield

    def _capturing_calls(
        self,
        points: Sequence[ActivationPoint],
        relus: functions.ReluCapture,
    ) -> Iterator[Change]:
        inside = [point for point in points if point.inside]
        for point in points:
            call = getattr(point.owner, point.attribute)
            if inside:
                call = relus.owned(point if point.inside else None, call)
            if not point.inside:
                call = self._capturing_call(point, call)
            yield point.owner, point.attribute, call
        # A person's layer does not own the ReLUs of the layers inside it.
        owners = {id(point.owner): point.owner for point in inside}
        others = {id(x): x for o in owners.values() for x in layers_in(o)}
        for point in points:
            if point.attribute == "call":
                others.pop(id(point.owner), None)
        for layer in others.values():
            yield layer, "call", relus.owned(None, layer.call)

    def _noting_calls(self, model: Any) -> Iterator[Change]:
        for maker, attribute in makers_in(model):
            call = getattr(maker, attribute)
            yield maker, attribute, self._noting_call(maker, call)

    def _noting_call(self, maker: Any, call: Callable) -> Callable:
        @functools.wraps(call, updated=())
        def call_and_note(*args: Any, **kwargs: Any) -> Any:
            # Looked up in each call: a thread of a replica has its own axes.
            return self._axes.noted(maker, call, args, kwargs)

        return call_and_note

    def _forget_axes(self) -> None:
        self._axes = UnitAxes()

    def _capturing_call(
        self, point: ActivationPoint, call: Callable
    ) -> Callable:
        def call_and_capture(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            return self._output_of(point, 0, (args, kwargs), output)

        return call_and_capture

    def _output_of(
        self, point: ActivationPoint, number: int, inputs: Any, output: Tensor
    ) -> Tensor:
        store = functools.partial(self._store_output, point, number, inputs)
        return self._capture_output(output, store)

    def _store_output(
        self,
        point: ActivationPoint,
        number: int,
        inputs: Any,
        output: Tensor | None,
    ) -> None:
        if output is None or getattr(output.shape, "rank", 0) is None:
            # Keras runs a recurrent cell once outside its loop, to find the
            # shape of its output. That use does not measure the layer.
            self._unreadable.add(point.key)
            for part in self._parts.pop(point.key, []):
                del self.outputs[(*point.key, part)]
        if output is None or point.key in self._unreadable:
            return
        rank = len(output.shape)
        if rank < 2:
            return  # one number for each example: there are no units
        x = next(iter(tensors_in(inputs)), None)
        axis = self._axes.of_activation(point.owner, x, output)
        part = Part(number, rank, axis, output.shape[axis])
        key = (*point.key, part)
        if key not in self.outputs:
            self._parts.setdefault(point.key, []).append(part)
            self.outputs[key] = []
        self.outputs[key].append(output)

    def _capturing_methods(self, optimizer: Any) -> Iterator[Change]:
        apply = optimizer.apply

        def capture_and_apply(
            grads: Any, trainable_variables: Any = None
        ) -> Any:
            grads = list(grads)
            variables = optimizer._trainable_variables
            if trainable_variables is not None:
                variables = trainable_variables = list(trainable_variables)
            scale = self._loss_scale(optimizer)
            self._store_gradients(optimizer, grads, variables, scale)
            before = []
            if self.wants_weights:
                before = [self._copy(v) for v in variables]
            result = apply(grads, trainable_variables)
            if before:
                self._store_update(variables, before)
            return result

        yield optimizer, "apply", capture_and_apply

    def _loss_scale(self, optimizer: Any) -> Any:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            if not optimizer.built:
                return optimizer.initial_scale
            return self._copy(optimizer.dynamic_scale)
        return optimizer.loss_scale_factor

    def _store_gradients(
        self,
        optimizer: Any,
        grads: Iterable[Any],
        variables: Iterable[Any],
        scale: Any,
    ) -> None:
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is not None:
                gradient = self._readable_gradient(gradient)
            if gradient is not None:
                self.gradients[id(variable)] = gradient, scale
                self.optimizers[id(variable)] = optimizer

    def _store_update(
        self, variables: Sequence[Any], before: list[Tensor]
    ) -> None:
        for variable, value in zip(variables, before, strict=True):
            self.weights[id(variable)] = value, self._copy(variable)


def optimizers_of(model: Any) -> list[Any]:
    """Return the optimizers of the model and of the models inside it.

    An optimizer is an attribute, or an entry of a list, a tuple or a
    dictionary of optimizers.
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
            # The first entry decides: other lists may be long.
            if not value or not _is_optimizer(value[0]):
                continue
            found.update({id(x): x for x in value if _is_optimizer(x)})
    return list(found.values())


def clips_by_value(optimizer: Any) -> bool:
    """Return whether the optimizer clips each gradient by value.

    With gradient accumulation it does not: it clips the sum over several
    steps.
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
