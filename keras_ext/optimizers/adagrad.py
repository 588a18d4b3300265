"""Adagrad."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.optimizers._backend import AdagradKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class Adagrad(AdagradKernel, keras.optimizers.Adagrad):
    """Adagrad: steps scaled by the root of the sum of all squared gradients.

    Formula, for the gradient `g`, from `s = initial_accumulator_value`:

    ```
    s <- s + g**2
    w <- w - learning_rate * g / sqrt(s + epsilon)
    ```

    The paper and the lectures add `epsilon` outside the root. So does this
    with `epsilon_inside_root=False`:

    ```
    w <- w - learning_rate * g / (sqrt(s) + epsilon)
    ```

    Args:
        learning_rate: A float, a
            `keras.optimizers.schedules.LearningRateSchedule` or a callable
            that takes no arguments. Defaults to `0.001`.
        initial_accumulator_value: Where the sums start, >= 0. The paper's
            start at 0. Defaults to `0.1`.
        epsilon: Small constant that keeps the denominator from 0, >= 0.
            Defaults to `1e-7`.
        weight_decay: If set, every step first takes `weight_decay *
            learning_rate` of each weight from it. Defaults to `None`.
        clipnorm: If set, the largest L2 norm of a variable's gradient.
            Defaults to `None`.
        clipvalue: If set, the largest size of a gradient's entry.
            Defaults to `None`.
        global_clipnorm: If set, the largest L2 norm of all gradients
            together. Defaults to `None`.
        use_ema: Whether to keep an exponential moving average of the
            weights. Defaults to `False`.
        ema_momentum: Decay of that average. Defaults to `0.99`.
        ema_overwrite_frequency: Number of steps after which the weights are
            overwritten by their average, or `None`. Defaults to `None`.
        loss_scale_factor: If set, the loss is multiplied by it and the
            gradients are divided by it. Defaults to `None`.
        gradient_accumulation_steps: If set, the number of steps, >= 2, whose
            mean gradient makes one update. Defaults to `None`.
        name: Name of the optimizer and its variables. Defaults to `None`.
        epsilon_inside_root: Whether `epsilon` is added to the sum or to its
            root. Defaults to `True`.
        **kwargs: Only `decay`, of old, which is ignored with a warning.

    Raises:
        ValueError: If `initial_accumulator_value` or `epsilon` is negative,
            `epsilon_inside_root` is no boolean, or `keras.optimizers.Adagrad`
            refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import Adagrad
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = Adagrad(learning_rate=0.1, initial_accumulator_value=0.0)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.9 2.1]

    Reference:

    - [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html)

    It computes what `keras.optimizers.Adagrad` computes, and either loads the
    other's saved state. Updates of dense variables run in the backend's own
    kernels where there are any. In float16 and bfloat16 variables the
    arithmetic is float32, and the built-in's differs from it by rounding. In
    sparse gradients a row that occurs several times adds the squares of its
    parts to `s`, as in the built-in, not the square of their sum.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
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
        *,
        epsilon_inside_root: bool = True,
        **kwargs: Any,
    ):
        if not initial_accumulator_value >= 0:
            raise ValueError(
                "`initial_accumulator_value` must be a number >= 0. Received: "
                f"initial_accumulator_value={initial_accumulator_value}"
            )
        if not epsilon >= 0:
            raise ValueError(
                f"`epsilon` must be a number >= 0. Received: epsilon={epsilon}"
            )
        if not isinstance(epsilon_inside_root, bool):
            raise ValueError(
                "`epsilon_inside_root` must be a boolean. "
                f"Received: epsilon_inside_root={epsilon_inside_root}"
            )
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
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
        self.epsilon_inside_root = epsilon_inside_root

    def _scalars(self, dtype: str, learning_rate: Tensor) -> tuple[Any, ...]:
        lr = ops.cast(learning_rate, dtype)
        return lr, ops.convert_to_tensor(self.epsilon, dtype)

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        dtype = compute_dtype(variable.dtype)
        lr, epsilon = self._shared_scalars(dtype, learning_rate)
        accumulator = self._accumulators[self._get_variable_index(variable)]
        g = ops.cast(gradient, dtype)

        # `ops.square` and others, since `g` may be sparse.
        self.assign_add(accumulator, ops.square(g))
        s = ops.cast(accumulator, dtype)
        if self.epsilon_inside_root:
            scaled = ops.multiply(g, ops.rsqrt(s + epsilon))
        else:
            scaled = ops.divide(g, ops.sqrt(s) + epsilon)
        self._descend(variable, lr, scaled)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"epsilon_inside_root": self.epsilon_inside_root})
        return config
