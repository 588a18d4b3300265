"""Train steps of one's own that run on every backend."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

Tensor = Any
Loss = Callable[[], Tensor]


class OwnStep(keras.Model):
    """A model whose `train_step` calls `step(data)`.

    `step` minimizes one loss or several, with one optimizer or several. It
    returns the logs.
    """

    def step(self, data: Any) -> dict[str, Tensor]:
        """Train on a batch."""
        raise NotImplementedError

    def train_step(self, *args: Any) -> Any:
        """Train on a batch, in the form that the backend expects."""
        if keras.config.backend() == "jax":
            return self._jax_step(*args)
        return self.step(*args)

    def minimize(
        self, loss: Loss, variables: Sequence[Any], optimizer: Any = None
    ) -> Tensor:
        """Compute a loss and update variables by its gradient."""
        optimizer = optimizer or self.optimizer
        value, gradients = _DIFFERENTIATE[keras.config.backend()](
            self, loss, variables
        )
        with _without_gradients():
            optimizer.apply(gradients, variables)
        return value

    def build_optimizers(self, optimizers: dict[str, Sequence[Any]]) -> None:
        """Build further optimizers, each for its variables.

        Args:
            optimizers: Names of attributes of the model, and the variables.
        """
        for name, variables in optimizers.items():
            getattr(self, name).build(variables)
        self.built_optimizers = list(optimizers)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Return also the state of further optimizers on JAX.

        There the state of a step has one optimizer only.
        """
        found = list(super().non_trainable_variables)
        if keras.config.backend() == "jax":
            for name in getattr(self, "built_optimizers", []):
                found += getattr(self, name).variables
        return found

    def _jax_step(self, state: Any, data: Any) -> Any:
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables if self.optimizer is not None else [],
            self.metrics_variables,
        )
        pairs = [
            pair
            for group, values in zip(groups, state, strict=True)
            for pair in zip(group, values, strict=True)
        ]
        with keras.StatelessScope(pairs) as scope:
            logs = self.step(data)
        return logs, tuple(
            [scope.get_current_value(v) for v in group] for group in groups
        )


def _without_gradients() -> Any:
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def gradient_of(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the gradient of a sum of outputs by the inputs.

    A loss may use the gradient.
    """
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    if backend == "torch":
        import torch

        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]
    import jax

    return jax.grad(lambda x: function(x).sum())(x)


def _tensorflow(model: Any, loss: Loss, variables: Sequence[Any]) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    return value, tape.gradient(value, [v.value for v in variables])


def _torch(model: Any, loss: Loss, variables: Sequence[Any]) -> Any:
    import torch

    value = loss()
    return value.detach(), torch.autograd.grad(
        value, [v.value for v in variables], allow_unused=True
    )


def _jax(model: Any, loss: Loss, variables: Sequence[Any]) -> Any:
    import jax

    chosen = {id(v) for v in variables}
    rest = [
        v
        for v in [*model.variables, *model.metrics_variables]
        if id(v) not in chosen
    ]
    fixed = [(v, v.value) for v in rest]

    def of(values: Any) -> Any:
        pairs = [*zip(variables, values, strict=True), *fixed]
        with keras.StatelessScope(pairs) as scope:
            value = loss()
        return value, [scope.get_current_value(v) for v in rest]

    (value, after), gradients = jax.value_and_grad(of, has_aux=True)(
        [v.value for v in variables]
    )
    for variable, number in zip(rest, after, strict=True):
        variable.assign(number)
    return value, gradients


_DIFFERENTIATE: dict[str, Any] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}
