"""Leaky rectified linear unit."""

import warnings
from typing import Any

import keras

from keras_ext import activations
from keras_ext._registration import registered

Tensor = Any


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
            0.01 and 0.1. Defaults to `0.3`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`. `alpha`, the former name of `negative_slope`, is still
            taken, with a warning.

    Input shape:
        Any: `(batch_size, ...)`. Masks are passed on.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `negative_slope` is negative or `None`.

    Example:
    >>> import keras
    >>> from keras_ext.layers import LeakyReLU
    >>> layer = LeakyReLU(negative_slope=0.5)
    >>> z = keras.ops.convert_to_tensor([-10.0, -5.0, 0.0, 5.0, 10.0])
    >>> print(keras.ops.convert_to_numpy(layer(z)))
    [-5.  -2.5  0.   5.  10. ]

    Reference:

    - [Maas et al.,
      2013](https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf)

    The paper's slope is 0.01; the default is that of
    `keras.layers.LeakyReLU`.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warnings.warn(
                "Argument `alpha` is deprecated. Use `negative_slope` instead.",
                stacklevel=2,
            )
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "`negative_slope` must be a number >= 0. "
                f"Received: negative_slope={negative_slope}"
            )
        super().__init__(negative_slope=negative_slope, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Applies the unit to each entry."""
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"negative_slope": self.negative_slope})
        return config
