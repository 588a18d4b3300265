"""Adam."""

from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._config import SavesArguments
from keras_ext._registration import registered
from keras_ext.optimizers._backend import AdamKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class Adam(SavesArguments, AdamKernel, keras.optimizers.Adam):
    """Adam: steps scaled by running averages of the gradient and its square.

    Formula, for the gradient `g` of step `t`, which starts at 1, from
    `m = v = 0`:

    ```
    m <- beta_1 * m + (1 - beta_1) * g
    v <- beta_2 * v + (1 - beta_2) * g**2
    alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
    w <- w - alpha * m / (sqrt(v) + epsilon)
    ```

    This is the paper's form with "epsilon hat". `epsilon_hat=False` is the
    paper's algorithm 1, which adds `epsilon` to the corrected root, so that
    `epsilon` counts less in the first steps:

    ```
    m_hat = m / (1 - beta_1**t)
    v_hat = v / (1 - beta_2**t)
    w <- w - learning_rate * m_hat / (sqrt(v_hat) + epsilon)
    ```

    Args:
        beta_1: Decay of the average of the gradients, in [0, 1).
        beta_2: Decay of the average of their squares, in [0, 1).
        epsilon: Small constant that keeps the denominator from 0, >= 0. The
            lectures use 1e-8 and 1e-7.
        amsgrad: Whether to divide by the largest `v` so far.
        epsilon_hat: Whether `epsilon` is the paper's "epsilon hat"; `False`
            is its algorithm 1.

    Raises:
        ValueError: If a beta is outside [0, 1), `epsilon` is negative,
            `epsilon_hat` is not a boolean, or `keras.optimizers.Adam`
            refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import Adam
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = Adam(learning_rate=0.1)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.9 2.1]

    References: [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980);
    [Reddi et al., 2018](https://arxiv.org/abs/1904.09237) for `amsgrad`

    It computes what `keras.optimizers.Adam` computes. Kernels run on
    TensorFlow for dense float32 and float64 variables without `amsgrad`, on
    PyTorch for all. The built-in learns nothing in bfloat16 variables, where
    its `beta_2` rounds to 1. In sparse gradients a row that occurs several
    times adds the squares of its parts to `v`, as in the built-in, not the
    square of their sum.
    """

    SAVED = ("epsilon_hat",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        epsilon_hat: bool = True,
        **kwargs: Any,
    ):
        for beta_name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            holds = not isinstance(beta, int | float) or 0 <= beta < 1
            require(holds, "be in [0, 1)", **{beta_name: beta})
        holds = not isinstance(epsilon, int | float) or epsilon >= 0
        require(holds, "be a number >= 0", epsilon=epsilon)
        is_boolean = isinstance(epsilon_hat, bool)
        require(is_boolean, "be a boolean", epsilon_hat=epsilon_hat)
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
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
        self.epsilon_hat = epsilon_hat

    def _scalars(self, dtype: str, learning_rate: Tensor) -> tuple[Any, ...]:
        lr = ops.cast(learning_rate, dtype)
        t = ops.cast(self.iterations + 1, dtype)
        # `ops.cast` of a number on TensorFlow and `ops.power` on PyTorch would
        # convert float64 to float32 and back.
        beta_1_power = ops.convert_to_tensor(self.beta_1, dtype) ** t
        beta_2_power = ops.convert_to_tensor(self.beta_2, dtype) ** t
        epsilon = ops.convert_to_tensor(self.epsilon, dtype)
        if not self.epsilon_hat:
            epsilon = epsilon * ops.sqrt(1 - beta_2_power)
        return lr, beta_1_power, beta_2_power, epsilon

    def _formula_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        dtype = compute_dtype(variable.dtype)
        lr, beta_1_power, beta_2_power, epsilon = self._shared_scalars(
            dtype, learning_rate
        )
        index = self._get_variable_index(variable)
        g = ops.cast(gradient, dtype)
        m = ops.cast(self._momentums[index], dtype)
        v = ops.cast(self._velocities[index], dtype)

        # `ops.subtract`, since a sparse `g` does not support `-`.
        m = m + (1 - self.beta_1) * ops.subtract(g, m)
        v = v + (1 - self.beta_2) * ops.subtract(ops.square(g), v)
        self.assign(self._momentums[index], m)
        self.assign(self._velocities[index], v)
        if self.amsgrad:
            v = ops.maximum(ops.cast(self._velocity_hats[index], dtype), v)
            self.assign(self._velocity_hats[index], v)
        alpha = lr * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        self._descend(variable, alpha, m / (ops.sqrt(v) + epsilon))
