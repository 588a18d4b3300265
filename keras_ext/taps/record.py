"""What one training step shows to whoever listens."""

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_ext.taps import functions, points
from keras_ext.taps.patch import all_replaced
from keras_ext.taps.points import ActivationSite

Tensor = Any
Key = tuple[Any, ...]


class Record(abc.ABC):
    """Gradients, weights and outputs of one training step.

    While a block `with record.listening(...)` runs, or is traced, the
    optimizers' `apply` and the sites' callables are replaced, on the
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
    def _hear(
        self, output: Tensor, note: Callable[[Tensor | None], None]
    ) -> Tensor:
        """Pass what can be measured of a site's output to `note`.

        Returns:
            What takes the place of the output in the step.
        """

    @abc.abstractmethod
    def _copy(self, variable: Any) -> Tensor:
        """Return the variable's present value, which later steps leave."""

    def parts(self, site: ActivationSite) -> list[ActivationSite]:
        """Return the activations that were heard at a site.

        Usually one, which bears the site's path. There are several, with
        numbered paths, if a person's code calls several ReLUs, or a layer is
        used with different numbers of units. There is none if the site was
        not heard, or a use of it cannot be read.
        """
        parts = self._parts.get(site.key, [])
        path = site.path if len(parts) < 2 else f"{site.path}/{site.kind}"
        return [
            dataclasses.replace(
                site, path=path + (f"_{i}" if i else ""), part=part
            )
            for i, part in enumerate(parts)
        ]

    def is_silent(self, site: ActivationSite) -> bool:
        """Return whether nothing was heard of a site, readable or not."""
        return site.key not in self._parts and site.key not in self._unreadable

    def _loss_scale(self, optimizer: Any) -> Any:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            if not optimizer.built:
                return optimizer.initial_scale
            return self._copy(optimizer.dynamic_scale)
        return optimizer.loss_scale_factor

    @contextlib.contextmanager
    def listening(
        self, model: Any, sites: Iterable[ActivationSite], weights: bool = False
    ) -> Iterator[None]:
        """Listen for the length of the block.

        Args:
            model: The model whose optimizers are listened to.
            sites: Where outputs are listened to.
            weights: Whether `weights` is asked for.
        """
        with contextlib.ExitStack() as stack:
            sites = list(sites)
            # Not an attribute: no cycle shall keep outputs after the step.
            running = functions.Running(self._hear_function)
            heard = self._heard_calls(sites, running)
            stack.enter_context(all_replaced(heard))
            if any(site.inside for site in sites):
                stack.enter_context(running.listening())
            applies = [
                (optimizer, "apply", self._heard_apply(optimizer, weights))
                for optimizer in optimizers_of(model)
            ]
            stack.enter_context(all_replaced(applies))
            yield

    def _heard_calls(
        self, sites: Sequence[ActivationSite], running: functions.Running
    ) -> Iterator[tuple[Any, str, Callable]]:
        """Yield the owner and name of a callable and what takes its place."""
        inside = [site for site in sites if site.inside]
        for site in sites:
            call = getattr(site.owner, site.attribute)
            if inside:
                owner = site if site.inside else None
                call = running.owned(owner, call)
            if not site.inside:
                call = self._heard_site(site, call)
            yield site.owner, site.attribute, call
        # The ReLUs of a layer inside a person's own are not that one's.
        owners = {id(site.owner): site.owner for site in inside}
        others = {
            id(x): x for o in owners.values() for x in points.layers_in(o)
        }
        for site in sites:
            if site.attribute == "call":
                others.pop(id(site.owner), None)
        for layer in others.values():
            yield layer, "call", running.owned(None, layer.call)

    def _heard_site(self, site: ActivationSite, call: Callable) -> Callable:
        def call_and_hear(*args: Any, **kwargs: Any) -> Any:
            return self._hear_function(site, 0, call(*args, **kwargs))

        return call_and_hear

    def _hear_function(
        self, site: ActivationSite, number: int, output: Tensor
    ) -> Tensor:
        return self._hear(output, functools.partial(self._note, site, number))

    def _note(
        self, site: ActivationSite, number: int, output: Tensor | None
    ) -> None:
        if output is None or getattr(output.shape, "rank", 0) is None:
            # Keras runs a recurrent cell once outside its loop, to learn
            # its output's shape: that use says nothing about the layer.
            self._unreadable.add(site.key)
            for part in self._parts.pop(site.key, []):
                del self.outputs[(*site.key, part)]
        if output is None or site.key in self._unreadable:
            return
        rank = len(output.shape)
        if rank < 2:
            return  # numbers of examples, not of units
        part = number, output.shape[site.unit_axis(rank)]
        key = (*site.key, part)
        if key not in self.outputs:
            self._parts.setdefault(site.key, []).append(part)
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

    def _heard_apply(self, optimizer: Any, weights: bool) -> Callable:
        apply = optimizer.apply

        def hear_and_apply(grads: Any, trainable_variables: Any = None) -> Any:
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

        return hear_and_apply


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
