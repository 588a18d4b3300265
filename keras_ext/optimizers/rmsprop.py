"""RMSprop."""

from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.optimizers._backend import RMSpropKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class RMSprop(RMSpropKernel, keras.optimizers.RMSprop):
    """RMSprop: steps scaled by a running average of the squared gradient.

    Formula, for the gradient `g`, from `s = 0`:

    ```
    s <- rho * s + (1 - rho) * g**2
    w <- w - learning_rate * g / sqrt(s + epsilon)
    ```

    With `momentum`, from `v = 0`:

    ```
    v <- momentum * v + learning_rate * g / sqrt(s + epsilon)
    w <- w - v
    ```

    With `centered`, from `m = 0`, the variance replaces `s` in the root:

    ```
    m <- rho * m + (1 - rho) * g
    variance = max(s - m**2, 0)
    ```

    Args:
        rho: Decay of the averages, in [0, 1].
        momentum: Share of the last step that is kept, in [0, 1].
        centered: Whether to divide by the root of the variance.

    Raises:
        ValueError: If `rho` or `momentum` is outside [0, 1], `epsilon` is
            negative, or `keras.optimizers.RMSprop` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import RMSprop
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = RMSprop(learning_rate=0.1, rho=0.75)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.8 2.2]

    References:
    [Hinton, 2012](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf);
    [Graves, 2013](https://arxiv.org/abs/1308.0850) for `centered`

    It computes what `keras.optimizers.RMSprop` computes. Rounding can make a
    variance near 0 negative. Here such a variance counts as 0; the built-in
    turns the weight into NaN. In sparse gradients a row that occurs several
    times adds the squares of its parts to `s`, as in the built-in, not the
    square of their sum.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        for decay_name, decay in (("rho", rho), ("momentum", momentum)):
            require(0 <= decay <= 1, "be in [0, 1]", **{decay_name: decay})
        require(epsilon >= 0, "be a number >= 0", epsilon=epsilon)
        super().__init__(
            learning_rate=learning_rate,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )

    def _scalars(self, dtype: str, learning_rate: Tensor) -> tuple[Any, ...]:
        lr = ops.cast(learning_rate, dtype)
        numbers = self.rho, self.momentum, self.epsilon
        return lr, *(ops.convert_to_tensor(n, dtype) for n in numbers)

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        dtype = compute_dtype(variable.dtype)
        lr, _, momentum, epsilon = self._shared_scalars(dtype, learning_rate)
        index = self._get_variable_index(variable)
        g = ops.cast(gradient, dtype)
        s = ops.cast(self._velocities[index], dtype)

        # `ops.subtract` and others, since `g` may be sparse.
        s = s + (1 - self.rho) * ops.subtract(ops.square(g), s)
        self.assign(self._velocities[index], s)
        if self.centered:
            m = ops.cast(self._average_gradients[index], dtype)
            m = m + (1 - self.rho) * ops.subtract(g, m)
            self.assign(self._average_gradients[index], m)
            s = ops.maximum(s - ops.square(m), 0)
        scaled = ops.multiply(g, ops.rsqrt(s + epsilon))
        if self.momentum == 0:
            self._descend(variable, lr, scaled)
            return
        v = ops.cast(self._momentums[index], dtype)
        # `ops.add` fails on empty tensors in TensorFlow.
        v = ops.subtract(momentum * v, ops.multiply(-lr, scaled))
        self.assign(self._momentums[index], v)
        self.assign_sub(variable, v)
