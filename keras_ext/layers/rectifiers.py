"""Rectified linear units with arguments."""

import math
from typing import Any

import keras

from keras_ext import activations
from keras_ext._checks import require
from keras_ext._config import SavesArguments
from keras_ext._registration import registered

Tensor = Any


@registered
class ReLU(keras.layers.ReLU):
    """Rectified linear unit.

    Formula:

    ```
    f(z) = max(0, z)
    ```

    and with the optional arguments

    ```
    f(z) = z                                   if z > threshold
    f(z) = negative_slope * (z - threshold)    otherwise
    ```

    where `max_value` limits the first line to [0, max_value].

    The gradient is 1 for `z > 0` and 0 for `z <= 0`: a unit that fires for
    no input learns nothing and never fires again.

    Args:
        max_value: Largest value returned, >= 0; `None` means no limit.
        negative_slope: Slope below the threshold, >= 0.
        threshold: Value up to which the unit does not fire, >= 0.

    Raises:
        ValueError: If `max_value`, `negative_slope` or `threshold` is
            negative, or one of the latter two is `None`.

    Example:
    >>> import keras
    >>> from keras_ext.layers import ReLU
    >>> layer = ReLU(max_value=6.0, negative_slope=0.5)
    >>> z = keras.ops.convert_to_tensor([-10.0, -5.0, 0.0, 5.0, 10.0])
    >>> print(keras.ops.convert_to_numpy(layer(z)))
    [-5.  -2.5  0.   5.   6. ]

    Reference: [Nair and Hinton, 2010](https://dl.acm.org/doi/10.5555/3104322.3104425)

    It computes what `keras.layers.ReLU` computes.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        holds = max_value is None or max_value >= 0
        require(holds, "be `None` or a number >= 0", max_value=max_value)
        _check_not_negative(negative_slope=negative_slope)
        _check_not_negative(threshold=threshold)
        super().__init__(max_value, negative_slope, threshold, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the unit to each entry."""
        return activations.relu(
            inputs, self.negative_slope, self.max_value, self.threshold
        )


@registered
class LeakyReLU(keras.layers.LeakyReLU):
    """Leaky rectified linear unit: a ReLU that never stops learning.

    Formula:

    ```
    f(z) = z                     if z > 0
    f(z) = negative_slope * z    otherwise
    ```

    which is `max(negative_slope * z, z)` for slopes up to 1. The gradient is
    `negative_slope`, not 0, where the unit does not fire.

    Args:
        negative_slope: Slope for negative inputs, >= 0. The lectures use
            0.01 and 0.1.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`. Keras still accepts `alpha`, the former name of
            `negative_slope`, with a warning.

    Raises:
        ValueError: If `negative_slope` is negative or `None`.

    Example:
    >>> import keras
    >>> from keras_ext.layers import LeakyReLU
    >>> layer = LeakyReLU(negative_slope=0.5)
    >>> z = keras.ops.convert_to_tensor([-10.0, -5.0, 0.0, 5.0, 10.0])
    >>> print(keras.ops.convert_to_numpy(layer(z)))
    [-5.  -2.5  0.   5.  10. ]

    Reference: [Maas et al.,
      2013](https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf)

    The paper's slope is 0.01; the default is that of
    `keras.layers.LeakyReLU`.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        _check_not_negative(negative_slope=negative_slope)
        super().__init__(negative_slope=negative_slope, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the unit to each entry."""
        return activations.leaky_relu(inputs, self.negative_slope)


@registered
class ELU(SavesArguments, keras.layers.ELU):
    """Exponential linear unit: a ReLU with a smooth, bounded negative side.

    Formula:

    ```
    f(z) = z                        if z > 0
    f(z) = alpha * (exp(z) - 1)     otherwise
    ```

    Args:
        alpha: The unit saturates at `-alpha`.

    Raises:
        ValueError: If `alpha` is not a finite number.

    Example:
    >>> import keras
    >>> from keras_ext.layers import ELU
    >>> layer = ELU(alpha=2.0)
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in layer(z)])
    [-1.2642, 0.0, 1.0]

    Reference: [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)

    It computes what `keras.layers.ELU` computes.
    """

    SAVED = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        holds = alpha is not None and math.isfinite(alpha)
        require(holds, "be a finite number", alpha=alpha)
        super().__init__(alpha=alpha, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the unit to each entry."""
        return activations.elu(inputs, self.alpha)


def _check_not_negative(**argument: Any) -> None:
    (value,) = argument.values()
    require(value is not None and value >= 0, "be a number >= 0", **argument)
