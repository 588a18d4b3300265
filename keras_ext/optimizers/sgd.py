"""Gradient descent, with momentum or without."""

from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.optimizers._backend import SGDKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class SGD(SGDKernel, keras.optimizers.SGD):
    """Gradient descent: steps down the slope, with momentum or without.

    Formula, for the gradient `g`:

    ```
    w <- w - learning_rate * g
    ```

    With `momentum`, a running sum `v` of past steps, from `v = 0`:

    ```
    v <- momentum * v - learning_rate * g
    w <- w + v
    ```

    With `nesterov`, the gradient is taken at the point to which the momentum
    leads. The rearranged form, in which `w` is that point:

    ```
    v <- momentum * v - learning_rate * g
    w <- w + momentum * v - learning_rate * g
    ```

    The batch size decides whether this is batch, stochastic or mini-batch
    gradient descent.

    Args:
        momentum: Share of the last step that is kept, a float in [0, 1].
        nesterov: Whether to use Nesterov's momentum.

    Raises:
        ValueError: If `momentum` is not a float in [0, 1], or
            `keras.optimizers.SGD` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import SGD
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = SGD(learning_rate=0.1)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.95 2.4 ]

    Reference:
    [Sutskever et al., 2013](http://proceedings.mlr.press/v28/sutskever13.html)
    for both kinds of momentum

    It computes what `keras.optimizers.SGD` computes.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        holds = isinstance(momentum, float) and 0 <= momentum <= 1
        require(holds, "be a float in [0, 1]", momentum=momentum)
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
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
        return lr, ops.convert_to_tensor(self.momentum, dtype)

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        dtype = compute_dtype(variable.dtype)
        lr, momentum = self._shared_scalars(dtype, learning_rate)
        g = ops.cast(gradient, dtype)
        if self.momentum == 0:
            self._descend(variable, lr, g)
            return
        index = self._get_variable_index(variable)
        v = ops.cast(self.momentums[index], dtype)

        # `ops.multiply` and `ops.subtract`, since `g` may be sparse.
        step = ops.multiply(lr, g)
        v = ops.subtract(momentum * v, step)
        self.assign(self.momentums[index], v)
        if self.nesterov:
            v = ops.subtract(momentum * v, step)
        self.assign_add(variable, v)
