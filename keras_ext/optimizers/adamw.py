"""AdamW."""

from typing import Any

import keras

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.optimizers.adam import Adam


@registered
class AdamW(Adam, keras.optimizers.AdamW):
    """Adam with decoupled weight decay.

    Formula, for the gradient `g` of step `t`, which starts at 1, from
    `m = v = 0`:

    ```
    w <- w - learning_rate * weight_decay * w
    m <- beta_1 * m + (1 - beta_1) * g
    v <- beta_2 * v + (1 - beta_2) * g**2
    alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
    w <- w - alpha * m / (sqrt(v) + epsilon)
    ```

    The decay does not pass through `m` and `v`, as the gradient of an L2
    penalty does. It follows the learning rate of the step, which a schedule
    may change. Call `exclude_from_weight_decay` before the first step to
    exempt variables, such as biases, from the decay.

    `epsilon_hat=False` adds `epsilon` to the corrected root, as in `Adam` and
    as in algorithm 2 of the AdamW paper:

    ```
    m_hat = m / (1 - beta_1**t)
    v_hat = v / (1 - beta_2**t)
    w <- w - learning_rate * m_hat / (sqrt(v_hat) + epsilon)
    ```

    Args:
        weight_decay: Share of each weight, times the learning rate, that
            every step subtracts; a number.
        beta_1: Decay of the average of the gradients, in [0, 1).
        beta_2: Decay of the average of their squares, in [0, 1).
        amsgrad: Whether to divide by the largest `v` so far.
        epsilon_hat: Whether `epsilon` is the paper's "epsilon hat"; `False`
            is the algorithm of both papers.

    Raises:
        ValueError: If a beta is outside [0, 1), `epsilon` is negative,
            `weight_decay` is `None`, `epsilon_hat` is not a boolean, or
            `keras.optimizers.AdamW` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.optimizers import AdamW
    >>> w = keras.Variable([1.0, 2.0])
    >>> optimizer = AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> optimizer.apply([keras.ops.convert_to_tensor([0.5, -4.0])], [w])
    >>> print(w.numpy().round(3))
    [0.85 2.  ]

    References:
    [Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101);
    [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980) for Adam;
    [Reddi et al., 2018](https://arxiv.org/abs/1904.09237) for `amsgrad`

    It computes what `keras.optimizers.AdamW` computes. As there, the learning
    rate scales the decay. The paper scales the decay only by the schedule's
    multiplier, so that its decay corresponds to `learning_rate *
    weight_decay` here. `Adam` describes the kernels and rounding.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        is_number = weight_decay is not None
        require(is_number, "be a number", weight_decay=weight_decay)
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            epsilon_hat=epsilon_hat,
            **kwargs,
        )
