"""TensorFlow's own optimizer kernels, one per variable.

The formula takes about a dozen elementwise kernels, and each of them moves the
whole variable through memory. The updates here take one kernel.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ext.optimizers import _plain

Tensor = Any


class Optimizer(_plain.Optimizer):
    """Computes the shared scalars once per step."""

    _memory: dict[Any, Any] | None = None
    _distribution_strategy: Any

    def _distributed_tf_update_step(self, *args: Any, **kwargs: Any) -> None:
        # Otherwise each variable would read the iteration and the learning
        # rate again; TensorFlow does not merge the reads. `object`, so that
        # Keras does not track an attribute that exists for one step.
        object.__setattr__(self, "_memory", {})
        try:
            super()._distributed_tf_update_step(*args, **kwargs)
        finally:
            object.__delattr__(self, "_memory")

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if not self.weight_decay:
            return
        shares: dict[str, Tensor] = {}

        def decay(strategy: Any, variables: list[Any]) -> None:
            for variable in variables:
                if isinstance(variable, keras.Variable):
                    variable = variable.value
                strategy.extended.update(
                    variable,
                    lambda part: self._decay(part, shares),
                    group=False,
                )

        tf.__internal__.distribute.interim.maybe_merge_call(
            decay, self._distribution_strategy, variables
        )

    def _shared_scalars(
        self, dtype: str, learning_rate: Tensor
    ) -> tuple[Any, ...]:
        if self._memory is None:
            return self._scalars(dtype, learning_rate)
        # A subclass may pass another learning rate for each variable. The
        # memory keeps a reference to it, so that its id is not used again.
        key = dtype, id(learning_rate)
        if key not in self._memory:
            scalars = self._scalars(dtype, learning_rate)
            self._memory[key] = learning_rate, scalars
        return self._memory[key][1]

    def _descend(self, variable: Any, lr: Tensor, direction: Tensor) -> None:
        if not _suits(direction, variable):
            super()._descend(variable, lr, direction)
            return
        tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.handle, alpha=lr, delta=direction
        )


def _suits(gradient: Tensor, variable: Any) -> bool:
    # In half precision the kernels also round the decays.
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return isinstance(gradient, tf.Tensor) and dtype in ("float32", "float64")


def _compiled() -> bool:
    """Return whether XLA compiles the traced code and fuses the formula."""
    return tf.__internal__.get_enclosing_xla_context() is not None


def _is_small(variable: Any, limit: int) -> bool:
    """Return whether the number of kernels costs more than memory does."""
    return math.prod(variable.shape) < limit


def _scratch(variable: Any, after: Tensor) -> Tensor:
    """Return the handle of a variable of this shape, for one kernel.

    Its memory is not initialized and is freed after the last use.
    """
    handle = variable.handle
    # Without this dependency all scratch memory would exist at once.
    with tf.device(handle.device), tf.control_dependencies([after]):
        scratch = tf.raw_ops.VarHandleOp(
            dtype=variable.dtype,
            shape=variable.shape,
            # TensorFlow's name for "a new variable each time".
            shared_name="cd2c89b7-88b7-44c8-ad83-06c2a9158347",
        )
        content = tf.raw_ops.Empty(
            shape=variable.shape, dtype=variable.dtype, init=False
        )
        tf.raw_ops.AssignVariableOp(resource=scratch, value=content)
    return scratch


class SGDKernel(Optimizer):
    """`ResourceApplyKerasMomentum`; `_descend` without momentum."""

    momentum: float
    nesterov: bool
    momentums: list[Any]

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        if self.momentum == 0 or not _suits(gradient, variable):
            return False
        dtype = keras.backend.standardize_dtype(variable.dtype)
        lr, momentum = self._shared_scalars(dtype, learning_rate)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[index].handle,
            lr=lr,
            grad=tf.cast(gradient, dtype),
            momentum=momentum,
            use_nesterov=bool(self.nesterov),
        )
        return True


class AdagradKernel(Optimizer):
    """`ResourceApplyAdagradV2`, which adds epsilon outside the root.

    An epsilon inside the root adds `epsilon / (2 * sqrt(s))` to it. While no
    sum is below its initial value `s0`, the kernel with
    `k * epsilon / (2 * sqrt(s0))` outside the root has the relative error
    `(x**2 - k * x) * epsilon / (2 * s0)` where `x = sqrt(s0 / s)`. With
    `k = 2 * sqrt(2) - 2` the error is less than `0.086 * epsilon / s0`: below
    rounding with the default arguments.
    """

    epsilon: float
    epsilon_inside_root: bool
    initial_accumulator_value: float
    _accumulators: list[Any]

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        if not _suits(gradient, variable):
            return False
        dtype = keras.backend.standardize_dtype(variable.dtype)
        lr, epsilon = self._shared_scalars(dtype, learning_rate)
        gradient = tf.cast(gradient, dtype)
        accumulator = self._accumulators[self._get_variable_index(variable)]

        def kernel(epsilon: Tensor) -> None:
            tf.raw_ops.ResourceApplyAdagradV2(
                var=variable.handle,
                accum=accumulator.handle,
                lr=lr,
                epsilon=epsilon,
                grad=gradient,
            )

        if not self.epsilon_inside_root or self.epsilon == 0:
            kernel(epsilon)
            return True

        s0 = np.float32(self.initial_accumulator_value)
        close = 0.086 * self.epsilon < s0 * np.finfo("float32").eps
        if dtype != "float32" or not close or _compiled():
            return False
        if _is_small(variable, 2**16):
            return False
        outside = (math.sqrt(2) - 1) * self.epsilon / math.sqrt(s0)
        # The bits of non-negative floats are ordered like the floats, and
        # integers compare faster. Loaded state may be lower than `s0`.
        bits = tf.bitcast(tf.convert_to_tensor(accumulator), tf.int32)
        tf.cond(
            tf.reduce_min(bits) >= s0.view(np.int32),
            lambda: kernel(tf.constant(outside, dtype)),
            lambda: self._formula_step(gradient, variable, learning_rate),
        )
        return True


class RMSpropKernel(Optimizer):
    """`ResourceApplyRMSProp`.

    The kernel always has a momentum. Without momentum, the variable takes the
    place of the kernel's momentum: with a decay of 1 and a negative learning
    rate the kernel subtracts the step from it. The kernel's variable is then
    scratch memory.

    The kernel rounds `rho` before it subtracts it from 1, the formula
    afterwards. So in float32 the averages differ by a relative
    3e-8 / (1 - rho) at most.
    """

    momentum: float
    centered: bool
    _velocities: list[Any]
    _momentums: list[Any]

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        # The centered kernel takes the root of negative variances.
        if self.centered or not _suits(gradient, variable):
            return False
        if self.momentum == 0 and (_compiled() or _is_small(variable, 2**12)):
            return False
        dtype = keras.backend.standardize_dtype(variable.dtype)
        lr, rho, momentum, epsilon = self._shared_scalars(dtype, learning_rate)
        gradient = tf.cast(gradient, dtype)
        index = self._get_variable_index(variable)
        if self.momentum == 0:
            var, mom = _scratch(variable, after=gradient), variable.handle
            lr, momentum = -lr, tf.ones_like(lr)
        else:
            var, mom = variable.handle, self._momentums[index].handle
        tf.raw_ops.ResourceApplyRMSProp(
            var=var,
            ms=self._velocities[index].handle,
            mom=mom,
            lr=lr,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            grad=gradient,
        )
        return True


class AdamKernel(Optimizer):
    """`ResourceApplyAdam`; for small variables, several small kernels.

    The kernel rounds `beta_2` before it subtracts it from 1, the formula
    afterwards. So in float32 the second moments differ by a relative 1.3e-5
    at most.
    """

    beta_1: Any
    beta_2: Any
    amsgrad: bool
    _momentums: list[Any]
    _velocities: list[Any]

    def _kernel_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> bool:
        # XLA has no kernel for `amsgrad`.
        if self.amsgrad or not _suits(gradient, variable):
            return False
        dtype = keras.backend.standardize_dtype(variable.dtype)
        lr, beta_1_power, beta_2_power, epsilon = self._shared_scalars(
            dtype, learning_rate
        )
        beta_1 = tf.convert_to_tensor(self.beta_1, dtype)
        beta_2 = tf.convert_to_tensor(self.beta_2, dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        g = tf.cast(gradient, dtype)
        if not _compiled() and _is_small(variable, 2**13):
            # The kernel wakes all threads even for a small variable.
            self._descend(m, 1 - beta_1, m.value - g)
            self._descend(v, 1 - beta_2, v.value - tf.square(g))
            alpha = lr * tf.sqrt(1 - beta_2_power) / (1 - beta_1_power)
            direction = m.value / (tf.sqrt(v.value) + epsilon)
            self._descend(variable, alpha, direction)
            return True
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=lr,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=g,
        )
        return True
