"""No kernels: every update is computed by the formula in `keras.ops`.

It is also the interface. A kernel is a mixin that stands before the Keras
optimizer among the bases of a class. It may take over the update of one
variable (`_kernel_step`), or that of all of them (`_backend_update_step`, as
Keras names it), and leaves to `_formula_step` what it cannot do exactly.
"""

from typing import Any

import keras
from keras import ops

Tensor = Any


class Optimizer(keras.optimizers.Optimizer):
    """What an optimizer class relies on."""

    def _scalars(self, dtype: str, learning_rate: Tensor) -> tuple[Any, ...]:
        """Computes the numbers that all variables of one dtype share."""
        raise NotImplementedError

    def _shared_scalars(
        self, dtype: str, learning_rate: Tensor
    ) -> tuple[Any, ...]:
        """Returns `_scalars`, from memory within one step if it can."""
        return self._scalars(dtype, learning_rate)

    def update_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        """Updates one variable.

        Args:
            gradient: The gradient as it is to be used, after clipping.
            variable: The variable to update.
            learning_rate: The learning rate of this step.
        """
        if not self._kernel_step(gradient, variable, learning_rate):
            self._formula_step(gradient, variable, learning_rate)

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        """Updates the variable; False if the formula has to do it."""
        return False

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        """Updates the variable by the formula."""
        raise NotImplementedError

    def _descend(self, variable: Any, lr: Tensor, direction: Tensor) -> None:
        """Subtracts `lr * direction`, which may be sparse."""
        self.assign_sub(variable, ops.multiply(lr, direction))


def compute_dtype(dtype: Any) -> str:
    """Dtype of the arithmetic: at least float32.

    In bfloat16 a `beta_2` of 0.999 is 1: nothing would be learnt.
    """
    dtype = keras.backend.standardize_dtype(dtype)
    return "float32" if dtype in ("float16", "bfloat16") else dtype


AdagradKernel = Optimizer
AdamKernel = Optimizer
RMSpropKernel = Optimizer
SGDKernel = Optimizer
