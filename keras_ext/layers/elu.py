"""Exponential linear unit."""

import math
from typing import Any

import keras

from keras_ext import activations
from keras_ext._registration import registered

Tensor = Any


@registered
class ELU(keras.layers.ELU):
    """Exponential linear unit: a ReLU with a smooth, bounded negative side.

    Formula:

    ```
    f(z) = z                        if z > 0
    f(z) = alpha * (exp(z) - 1)     otherwise
    ```

    Args:
        alpha: The unit saturates at `-alpha`. Defaults to `1.0`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`.

    Input shape:
        Any: `(batch_size, ...)`. Masks are passed on.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `alpha` is no finite number.

    Example:
    >>> import keras
    >>> from keras_ext.layers import ELU
    >>> layer = ELU(alpha=2.0)
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in layer(z)])
    [-1.2642, 0.0, 1.0]

    Reference:

    - [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)

    It computes what `keras.layers.ELU` computes.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        if alpha is None or not math.isfinite(alpha):
            raise ValueError(
                f"`alpha` must be a finite number. Received: alpha={alpha}"
            )
        super().__init__(alpha=alpha, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Applies the unit to each entry."""
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"alpha": self.alpha})
        return config
