"""Standardization of inputs."""

from typing import Any

import numpy as np

from keras_ext._registration import registered
from keras_ext.layers._input_scaling import Axis, InputScaling

Tensor = Any


@registered
class Standardization(InputScaling):
    """Standardization of inputs: mean 0 and standard deviation 1.

    Formula:

    ```
    y = (x - mean) / sqrt(variance)
    ```

    with the mean and the variance of the data that `adapt` has seen, for
    each feature or for all inputs at once. A feature that was constant there
    comes out as 0.

    Args:
        axis: Axis or axes, each of whose indices has its own mean and
            variance: `-1` for each feature or channel, `(1, 2, 3)` for each
            pixel and channel of images, `None` for one mean and variance of
            all. Defaults to `-1`.
        mean: The mean, if it is known beforehand: a number, or an array that
            broadcasts to the sizes of `axis`. Defaults to `None`.
        variance: The variance, likewise; the two are given together.
            Defaults to `None`.
        invert: `True` turns standardized values into the original ones.
            Defaults to `False`.
        scale: `False` subtracts the mean and does not divide. Then `mean`
            may be given alone. Defaults to `True`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`.

    Input shape:
        `(batch_size, ...)`, of any real dtype. Masks are passed on.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `axis` names the batch axis or one of unknown size;
            if of `mean` and `variance` only one is given, or `variance` is
            negative; or if the layer is called before it has statistics.
            (Within a compiled function, that cannot be seen: there the
            inputs are passed on unchanged, as `keras.layers.Normalization`
            does.)

    Example:
    >>> import numpy as np
    >>> from keras_ext.layers import Standardization
    >>> data = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    >>> layer = Standardization()
    >>> layer.adapt(data)
    >>> for row in layer(data):
    ...     print([round(float(value), 4) for value in row])
    [-1.2247, 0.0]
    [0.0, 0.0]
    [1.2247, 0.0]

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    It takes the arguments and the weights of `keras.layers.Normalization`
    and computes the same, except: that class blows constant features up by
    1e7, learns in the compute dtype, and computes in half precision under a
    mixed policy; here they are 0, the statistics are learnt in float64, and
    float32 is the least precision. Learnt statistics are in use at once,
    also in functions that were compiled before. Data with NaN is refused.

    A feature counts as constant if its standard deviation is not above the
    rounding error of its mean in the layer's dtype, `1.2e-7 * |mean|` in
    float32.
    """

    STATISTICS = ("mean", "variance")

    def __init__(
        self,
        axis: Axis = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        scale: bool = True,
        **kwargs: Any,
    ):
        if not scale and mean is not None and variance is None:
            variance = np.ones_like(mean, "float64")
        if (mean is None) != (variance is None):
            raise ValueError(
                "`mean` and `variance` must be given together. "
                f"Received: mean={mean}, variance={variance}"
            )
        if variance is not None and np.any(np.asarray(variance) < 0):
            raise ValueError(
                f"`variance` must be >= 0. Received: variance={variance}"
            )
        super().__init__(axis, (mean, variance), invert, **kwargs)
        self.scale = scale

    def scaled(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Returns the standardized inputs, or the original ones of such."""
        numpy = self.backend.numpy
        stddev = numpy.sqrt(variance)
        if self.invert:
            return x * stddev + mean if self.scale else x + mean
        if not self.scale:
            return x - mean
        rounding = float(np.finfo(self.compute_dtype).eps) * numpy.abs(mean)
        return (x - mean) / numpy.where(stddev > rounding, stddev, np.inf)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"scale": self.scale})
        return config
