"""Adagrad."""

from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._config import SavesArguments
from keras_ext._registration import registered
from keras_ext.optimizers._backend import AdagradKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class Adagrad(SavesArguments, AdagradKernel, keras.optimizers.Adagrad):
    """Adagrad: steps scaled by the root of the sum of all squared gradients.

    Formula, for the gradient `g`, from `s = initial_accumulator_value`:

    ```
    s <- s + g**2
    w <- w - learning_rate * g / sqrt(s + epsilon)
    ```

    The paper and the lectures add `epsilon` outside the root. That is
    `epsilon_inside_root=False`:

    ```
    w <- w - learning_rate * g / (sqrt(s) + epsilon)
    ```

    Args:
        initial_accumulator_value: Initial value of the sums, >= 0. In the
            paper it is 0.
        epsilon_inside_root: Whether `epsilon` is added to the sum or to its
            root.

    Raises:
        ValueError: If `initial_accumulator_value` or `epsilon` is negative,
            `epsilon_inside_root` is not a boolean, or
            `keras.optimizers.Adagrad` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import Adagrad
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = Adagrad(learning_rate=0.1, initial_accumulator_value=0.0)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.9 2.1]

    Reference: [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html)

    It computes what `keras.optimizers.Adagrad` computes. In sparse gradients
    a row that occurs several times adds the squares of its parts to `s`, as
    in the built-in, not the square of their sum.
    """

    SAVED = ("epsilon_inside_root",)

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
        require(
            initial_accumulator_value >= 0,
            "be a number >= 0",
            initial_accumulator_value=initial_accumulator_value,
        )
        require(epsilon >= 0, "be a number >= 0", epsilon=epsilon)
        require(
            isinstance(epsilon_inside_root, bool),
            "be a boolean",
            epsilon_inside_root=epsilon_inside_root,
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
