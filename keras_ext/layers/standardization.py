"""Standardization of inputs."""

from typing import Any

import numpy as np

from keras_ext._checks import require
from keras_ext._config import SavesArguments
from keras_ext._registration import registered
from keras_ext.layers._input_scaling import Axis, InputScaling

Tensor = Any


@registered
class Standardization(SavesArguments, InputScaling):
    """Standardization of inputs: mean 0 and standard deviation 1.

    Formula:

    ```
    y = (x - mean) / sqrt(variance)
    ```

    with the mean and the variance of the data given to `adapt`, for each
    feature or for all inputs at once. A feature that is constant in that data
    becomes 0.

    Args:
        mean: The mean, if it is known: a number, or an array that broadcasts
            to the sizes of `axis`.
        variance: The variance, in the same form; it is given together with
            `mean`.
        scale: `False` subtracts the mean and does not divide. Then `mean`
            may be given alone.

    Input shape:
        `(batch_size, ...)`, of any real dtype. Masks are passed on.

    Raises:
        ValueError: If `axis` names the batch axis or an axis of unknown size;
            if only one of `mean` and `variance` is given, or `variance` is
            negative; or if the layer is called before it has statistics.
            (A compiled function cannot check this: there the layer returns
            its inputs, like `keras.layers.Normalization`.)

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

    Reference: [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    It has the arguments and the weights of `keras.layers.Normalization` and
    computes the same, with these differences. That class multiplies constant
    features by 1e7; here they become 0. It learns in the compute dtype; here
    in float64. It computes in half precision under a mixed policy; here in
    float32 at least. Here learnt statistics are used at once, also in
    functions that were compiled before, and NaN in the data is an error.

    A feature counts as constant if its standard deviation is not above the
    rounding error of its mean in the layer's dtype, `1.2e-7 * |mean|` in
    float32.
    """

    STATISTICS = ("mean", "variance")
    SAVED = ("scale",)

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
        holds = variance is None or not np.any(np.asarray(variance) < 0)
        require(holds, "be >= 0", variance=variance)
        super().__init__(axis, (mean, variance), invert, **kwargs)
        self.scale = scale

    def scaled(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Return standardized inputs, or original ones with `invert`."""
        numpy = self.backend.numpy
        stddev = numpy.sqrt(variance)
        if self.invert:
            return x * stddev + mean if self.scale else x + mean
        if not self.scale:
            return x - mean
        rounding = float(np.finfo(self.compute_dtype).eps) * numpy.abs(mean)
        return (x - mean) / numpy.where(stddev > rounding, stddev, np.inf)
