"""Rectified linear unit."""

from typing import Any

import keras

from keras_ext import activations
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

    where `max_value` confines the first of these to [0, max_value].

    The gradient is 1 for `z > 0` and 0 for `z <= 0`: a unit that fires for
    no input learns nothing and never fires again.

    Args:
        max_value: Largest value returned, >= 0; `None` means no limit.
            Defaults to `None`.
        negative_slope: Slope below the threshold, >= 0. Defaults to `0.0`.
        threshold: Value up to which the unit does not fire, >= 0.
            Defaults to `0.0`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`.

    Input shape:
        Any: `(batch_size, ...)`. Masks are passed on.

    Output shape:
        The shape of the input.

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

    Reference:

    - [Nair and Hinton, 2010](https://dl.acm.org/doi/10.5555/3104322.3104425)

    It computes what `keras.layers.ReLU` computes.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        if max_value is not None and not max_value >= 0:
            raise ValueError(
                "`max_value` must be `None` or a number >= 0. "
                f"Received: max_value={max_value}"
            )
        if negative_slope is None or not negative_slope >= 0:
            raise ValueError(
                "`negative_slope` must be a number >= 0. "
                f"Received: negative_slope={negative_slope}"
            )
        if threshold is None or not threshold >= 0:
            raise ValueError(
                "`threshold` must be a number >= 0. "
                f"Received: threshold={threshold}"
            )
        super().__init__(max_value, negative_slope, threshold, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Applies the unit to each entry."""
        return activations.relu(
            inputs, self.negative_slope, self.max_value, self.threshold
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {
                "max_value": self.max_value,
                "negative_slope": self.negative_slope,
                "threshold": self.threshold,
            }
        )
        return config
