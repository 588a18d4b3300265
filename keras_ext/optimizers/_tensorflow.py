"""TensorFlow's own optimizer kernels, one per variable.

The formula takes about a dozen elementwise kernels, each of which moves the
whole variable through memory; these take one.
"""

from typing import Any

import keras
import tensorflow as tf

from keras_ext.optimizers import _plain

Tensor = Any


class Optimizer(_plain.Optimizer):
    """Reads and computes the shared scalars once per step."""

    _memory: dict[Any, Any] | None = None

    def _distributed_tf_update_step(self, *args: Any, **kwargs: Any) -> None:
        # Otherwise each variable would read the iteration and the rate again,
        # which TensorFlow does not merge. `object`, so that Keras does not
        # track what lives for one step.
        object.__setattr__(self, "_memory", {})
        try:
            super()._distributed_tf_update_step(*args, **kwargs)
        finally:
            object.__delattr__(self, "_memory")

    def _shared_scalars(
        self, dtype: str, learning_rate: Tensor
    ) -> tuple[Any, ...]:
        if self._memory is None:
            return self._scalars(dtype, learning_rate)
        # A subclass may pass another rate for each variable. The rate is kept
        # beside its scalars so that its id is not given to the next one.
        key = dtype, id(learning_rate)
        if key not in self._memory:
            scalars = self._scalars(dtype, learning_rate)
            self._memory[key] = learning_rate, scalars
        return self._memory[key][1]


def _suits(gradient: Tensor, variable: Any) -> bool:
    # In half precision the kernels round the betas too.
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return isinstance(gradient, tf.Tensor) and dtype in ("float32", "float64")


class AdamKernel(Optimizer):
    """`ResourceApplyAdam`.

    It rounds `beta_2` before subtracting it from 1, the formula after it,
    so in float32 the second moments differ by up to 1.3e-5 of their size.
    """

    beta_1: Any
    beta_2: Any
    amsgrad: bool
    _momentums: list[Any]
    _velocities: list[Any]

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        # XLA does not know the kernel for `amsgrad`.
        if self.amsgrad or not _suits(gradient, variable):
            return False
        dtype = keras.backend.standardize_dtype(variable.dtype)
        lr, beta_1_power, beta_2_power, epsilon = self._shared_scalars(
            dtype, learning_rate
        )
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=lr,
            beta1=tf.convert_to_tensor(self.beta_1, dtype),
            beta2=tf.convert_to_tensor(self.beta_2, dtype),
            epsilon=epsilon,
            grad=tf.cast(gradient, dtype),
        )
        return True
