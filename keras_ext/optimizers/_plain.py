"""No kernels: the formula in `keras.ops` computes every update.

This file is also the interface. A kernel is a mixin that comes before the
Keras optimizer among the bases of a class. It may update one variable
(`_kernel_step`) or all of them (`_backend_update_step`, as Keras names it).
`_formula_step` does what a kernel cannot do exactly.
"""

from typing import Any

import keras
from keras import ops

Tensor = Any


class Optimizer(keras.optimizers.Optimizer):
    """The methods that an optimizer class relies on."""

    def _scalars(self, dtype: str, learning_rate: Tensor) -> tuple[Any, ...]:
        """Return the numbers that all variables of one dtype share."""
        raise NotImplementedError

    def _shared_scalars(
        self, dtype: str, learning_rate: Tensor
    ) -> tuple[Any, ...]:
        """Return `_scalars`, computed once per step if possible."""
        return self._scalars(dtype, learning_rate)

    def update_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        """Update one variable.

        Args:
            gradient: The gradient, after clipping.
            variable: The variable to update.
            learning_rate: The learning rate of this step.
        """
        if not self._kernel_step(gradient, variable, learning_rate):
            self._formula_step(gradient, variable, learning_rate)

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        """Update the variable, or return False to leave it to the formula."""
        return False

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        """Update the variable by the formula."""
        raise NotImplementedError

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if self.weight_decay:
            shares: dict[str, Tensor] = {}
            for variable in variables:
                self._decay(variable, shares)

    def _decay(self, variable: Any, shares: dict[str, Tensor]) -> None:
        """Subtract the share of the variable; `shares` holds one per dtype."""
        if not self._use_weight_decay(variable):
            return
        dtype = compute_dtype(variable.dtype)
        if dtype not in shares:
            lr = ops.cast(self.learning_rate, dtype)
            shares[dtype] = lr * ops.convert_to_tensor(self.weight_decay, dtype)
        self.assign_sub(variable, shares[dtype] * ops.cast(variable, dtype))

    def _descend(self, variable: Any, lr: Tensor, direction: Tensor) -> None:
        """Subtract `lr * direction`, which may be sparse."""
        self.assign_sub(variable, ops.multiply(lr, direction))


def compute_dtype(dtype: Any) -> str:
    """Return the dtype of the arithmetic, at least float32.

    In bfloat16 a `beta_2` of 0.999 rounds to 1, and Adam learns nothing.
    """
    dtype = keras.backend.standardize_dtype(dtype)
    return "float32" if dtype in ("float16", "bfloat16") else dtype


AdagradKernel = Optimizer
AdamKernel = Optimizer
RMSpropKernel = Optimizer
SGDKernel = Optimizer
