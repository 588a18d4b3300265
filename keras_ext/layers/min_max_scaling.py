"""Scaling of inputs to a range."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.layers._input_scaling import Axis, InputScaling

Tensor = Any


@registered
class MinMaxScaling(InputScaling):
    """Scaling of inputs to a range, such as [0, 1] or [-1, 1].

    Formula, with `(low, high) = feature_range`:

    ```
    y = low + (high - low) * (x - minimum) / (maximum - minimum)
    ```

    with the minimum and the maximum of the data given to `adapt`, for each
    feature or for all inputs at once. A feature that is constant in that data
    becomes `low`. `MinMaxScaling(minimum=0, maximum=255)` divides pixels by
    255.

    Args:
        feature_range: Smallest and largest result for that data.
        minimum: The minimum, if it is known: a number, or an array that
            broadcasts to the sizes of `axis`.
        maximum: The maximum, in the same form; it is given together with
            `minimum`.
        clip: `True` clips the result to `feature_range`, for values outside
            the range of that data.

    Input shape:
        `(batch_size, ...)`, of any real dtype. Masks are passed on.

    Raises:
        ValueError: If `feature_range` is not a range; if `axis` names the
            batch axis or an axis of unknown size; if only one of `minimum`
            and `maximum` is given, or `minimum` is the larger one; or if the
            layer is called before it has statistics. (A compiled function
            cannot check this: there minimum and maximum are 0 and 1.)

    Example:
    >>> import numpy as np
    >>> from keras_ext.layers import MinMaxScaling
    >>> data = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    >>> layer = MinMaxScaling(feature_range=(-1, 1))
    >>> layer.adapt(data)
    >>> for row in layer(data):
    ...     print([round(float(value), 4) for value in row])
    [-1.0, -1.0]
    [0.0, -1.0]
    [1.0, -1.0]

    Keras has no such layer; the base is `keras.layers.Normalization`, for its
    `adapt`. The layer computes what scikit-learn's `MinMaxScaler` computes, in
    float32 at least, also under a mixed policy. NaN in the data is an error.
    """

    STATISTICS = ("minimum", "maximum")

    def __init__(
        self,
        feature_range: Sequence[float] = (0, 1),
        axis: Axis = -1,
        minimum: Any = None,
        maximum: Any = None,
        clip: bool = False,
        invert: bool = False,
        **kwargs: Any,
    ):
        holds = (
            len(feature_range) == 2
            and all(map(math.isfinite, feature_range))
            and feature_range[0] < feature_range[1]
        )
        must = "be two finite numbers, the smaller one first"
        require(holds, must, feature_range=feature_range)
        if minimum is not None and maximum is not None:
            holds = not np.any(np.asarray(minimum) > np.asarray(maximum))
            must = "not be greater than `maximum`"
            require(holds, must, minimum=minimum, maximum=maximum)
        super().__init__(axis, (minimum, maximum), invert, **kwargs)
        self.feature_range = tuple(feature_range)
        self.clip = clip

    def scaled(self, x: Tensor, minimum: Tensor, maximum: Tensor) -> Tensor:
        """Return scaled inputs, or original ones with `invert`."""
        numpy = self.backend.numpy
        low, high = self.feature_range
        span = maximum - minimum
        if self.invert:
            share = (x - low) / (high - low)
        else:
            share = (x - minimum) / numpy.where(span > 0, span, np.inf)
        if self.clip:
            share = numpy.clip(share, 0, 1)
        if self.invert:
            return minimum + span * share
        return low + (high - low) * share

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"feature_range": list(self.feature_range), "clip": self.clip}
        return super().get_config() | own
