"""What one training step shows to whoever listens."""

import abc
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from keras_ext.taps.patch import replaced
from keras_ext.taps.points import ReluSite

Tensor = Any
Key = tuple[int, str]


class Record(abc.ABC):
    """Gradients, weights and outputs of one training step.

    While a block `with record.listening(...)` runs, or is traced, the
    optimizers' `apply` and the sites' callables are replaced, on the
    instances, by functions that note what passes and go on.

    Attributes:
        gradients: Maps the id of a `keras.Variable` to `(gradient, scale)`:
            the gradient as the optimizer received it, and the factor by
            which its loss was scaled or `None`.
        weights: Maps the id of a `keras.Variable` to its values before and
            after the optimizer's `apply`; filled only if asked for.
        outputs: Maps the key of a site to the outputs of its uses; a site
            of which a use cannot be read is not in it.
    """

    def __init__(self) -> None:
        self.gradients: dict[int, tuple[Tensor, Any]] = {}
        self.weights: dict[int, tuple[Tensor, Tensor]] = {}
        self.outputs: dict[Key, list[Tensor]] = {}
        self._unreadable: set[Key] = set()

    @abc.abstractmethod
    def _readable_gradient(self, gradient: Tensor) -> Tensor | None:
        """Return what can be measured of a gradient, `None` if nothing."""

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

    def _loss_scale(self, optimizer: Any) -> Any:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            if not optimizer.built:
                return optimizer.initial_scale
            return self._copy(optimizer.dynamic_scale)
        return optimizer.loss_scale_factor

    @contextlib.contextmanager
    def listening(
        self, model: Any, sites: Iterable[ReluSite], weights: bool = False
    ) -> Iterator[None]:
        """Listen for the length of the block.

        Args:
            model: The model whose optimizers are listened to.
            sites: Where outputs are listened to.
            weights: Whether `weights` is asked for.
        """
        with contextlib.ExitStack() as stack:
            for site in sites:
                call = getattr(site.owner, site.attribute)
                heard = self._heard_site(site.key, call)
                stack.enter_context(replaced(site.owner, site.attribute, heard))
            for optimizer in _optimizers(model):
                stack.enter_context(
                    replaced(
                        optimizer,
                        "apply",
                        self._heard_apply(optimizer, weights),
                    )
                )
            yield

    def _heard_site(self, key: Key, call: Callable) -> Callable:
        def call_and_hear(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            return self._hear(output, functools.partial(self._note, key))

        return call_and_hear

    def _note(self, key: Key, output: Tensor | None) -> None:
        if output is None:
            # Keras runs a recurrent cell once outside its loop, to learn
            # its output's shape: that use says nothing about the layer.
            self._unreadable.add(key)
            self.outputs.pop(key, None)
        elif key not in self._unreadable:
            self.outputs.setdefault(key, []).append(output)

    def _heard_apply(self, optimizer: Any, weights: bool) -> Callable:
        apply = optimizer.apply

        def hear_and_apply(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = optimizer._trainable_variables
            if trainable_variables is not None:
                variables = trainable_variables = list(trainable_variables)
            scale = self._loss_scale(optimizer)
            for gradient, variable in zip(grads, variables, strict=True):
                if gradient is not None:
                    gradient = self._readable_gradient(gradient)
                if gradient is not None:
                    self.gradients[id(variable)] = gradient, scale
            before = [self._copy(v) for v in variables] if weights else []
            result = apply(grads, trainable_variables)
            for value, variable in zip(before, variables, strict=False):
                self.weights[id(variable)] = value, self._copy(variable)
            return result

        return hear_and_apply


def _optimizers(model: Any) -> list[Any]:
    """Return the optimizers that are attributes of the model."""
    found = {
        id(value): value
        for value in vars(model).values()
        if isinstance(value, keras.optimizers.Optimizer)
    }
    return list(found.values())
