"""Adam."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.optimizers._backend import AdamKernel
from keras_ext.optimizers._plain import compute_dtype

Tensor = Any


@registered
class Adam(AdamKernel, keras.optimizers.Adam):
    """Adam: steps scaled by running averages of the gradient and its square.

    Formula, for the gradient `g` of step `t`, which starts at 1, from
    `m = v = 0`:

    ```
    m <- beta_1 * m + (1 - beta_1) * g
    v <- beta_2 * v + (1 - beta_2) * g**2
    alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
    w <- w - alpha * m / (sqrt(v) + epsilon)
    ```

    This is the paper's form with "epsilon hat". With `epsilon_hat=False` it
    is the paper's algorithm 1, in which `epsilon` is added to the corrected
    root and so counts less in the first steps:

    ```
    m_hat = m / (1 - beta_1**t)
    v_hat = v / (1 - beta_2**t)
    w <- w - learning_rate * m_hat / (sqrt(v_hat) + epsilon)
    ```

    Args:
        learning_rate: A float, a
            `keras.optimizers.schedules.LearningRateSchedule` or a callable
            that takes no arguments. Defaults to `0.001`.
        beta_1: Decay of the average of the gradients, in [0, 1).
            Defaults to `0.9`.
        beta_2: Decay of the average of their squares, in [0, 1).
            Defaults to `0.999`.
        epsilon: Small constant that keeps the denominator from 0, >= 0. The
            lectures use 1e-8 and 1e-7. Defaults to `1e-7`.
        amsgrad: Whether to divide by the largest `v` so far.
            Defaults to `False`.
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
        epsilon_hat: Whether `epsilon` is the paper's "epsilon hat"; `False`
            is its algorithm 1. Defaults to `True`.
        **kwargs: Only `decay`, of old, which is ignored with a warning.

    Raises:
        ValueError: If a beta is outside [0, 1), `epsilon` is negative,
            `epsilon_hat` is no boolean, or `keras.optimizers.Adam` refuses an
            argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import Adam
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = Adam(learning_rate=0.1)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.9 2.1]

    Reference:

    - [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)
    - [Reddi et al., 2018](https://arxiv.org/abs/1904.09237) for `amsgrad`

    It computes what `keras.optimizers.Adam` computes, and either loads the
    other's saved state. Updates run in the backend's own kernels where there
    are any: on TensorFlow for dense float32 and float64 variables without
    `amsgrad`, on PyTorch for all. In float16 and bfloat16 variables the
    arithmetic is float32: the built-in's, in which `beta_2` rounds to 1 in
    bfloat16, learns nothing there. In sparse gradients a row that occurs
    several times adds the squares of its parts to `v`, as in the built-in,
    not the square of their sum.
    """

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
            if isinstance(beta, int | float) and not 0 <= beta < 1:
                raise ValueError(
                    f"`{beta_name}` must be in [0, 1). "
                    f"Received: {beta_name}={beta}"
                )
        if isinstance(epsilon, int | float) and not epsilon >= 0:
            raise ValueError(
                f"`epsilon` must be a number >= 0. Received: epsilon={epsilon}"
            )
        if not isinstance(epsilon_hat, bool):
            raise ValueError(
                "`epsilon_hat` must be a boolean. "
                f"Received: epsilon_hat={epsilon_hat}"
            )
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
        # Where float64 would pass through float32: `ops.cast` of a number on
        # TensorFlow, `ops.power` on PyTorch.
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

        # `ops.subtract`, since `g` may be sparse, which knows no `-`.
        m = m + (1 - self.beta_1) * ops.subtract(g, m)
        v = v + (1 - self.beta_2) * ops.subtract(ops.square(g), v)
        self.assign(self._momentums[index], m)
        self.assign(self._velocities[index], v)
        if self.amsgrad:
            v = ops.maximum(ops.cast(self._velocity_hats[index], dtype), v)
            self.assign(self._velocity_hats[index], v)
        alpha = lr * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        self._descend(variable, alpha, m / (ops.sqrt(v) + epsilon))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"epsilon_hat": self.epsilon_hat})
        return config
