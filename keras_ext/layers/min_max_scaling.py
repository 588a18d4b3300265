"""Scaling of inputs to a range."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

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

    with the least and the greatest value of the data that `adapt` has seen,
    for each feature or for all inputs at once. A feature that was constant
    there comes out as `low`. `MinMaxScaling(minimum=0, maximum=255)` divides
    pixels by 255.

    Args:
        feature_range: Least and greatest result, of the data seen.
            Defaults to `(0, 1)`.
        axis: Axis or axes, each of whose indices has its own minimum and
            maximum: `-1` for each feature or channel, `(1, 2, 3)` for each
            pixel and channel of images, `None` for one minimum and maximum
            of all. Defaults to `-1`.
        minimum: The minimum, if it is known beforehand: a number, or an array
            that broadcasts to the sizes of `axis`. Defaults to `None`.
        maximum: The maximum, likewise; the two are given together.
            Defaults to `None`.
        clip: `True` confines the result for values that are outside of what
            was seen. Defaults to `False`.
        invert: `True` turns scaled values into the original ones.
            Defaults to `False`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`.

    Input shape:
        `(batch_size, ...)`, of any real dtype. Masks are passed on.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `feature_range` is no range; if `axis` names the batch
            axis or one of unknown size; if of `minimum` and `maximum` only
            one is given, or `minimum` is the greater one; or if the layer is
            called before it has statistics. (Within a compiled function,
            that cannot be seen: there minimum and maximum are 0 and 1.)

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

    Keras has no such layer; its base is `keras.layers.Normalization`, whose
    `adapt` it shares. It computes what scikit-learn's `MinMaxScaler` does,
    in float32 at least, also under a mixed policy; data with NaN is refused.
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
        if (
            len(feature_range) != 2
            or not all(map(math.isfinite, feature_range))
            or not feature_range[0] < feature_range[1]
        ):
            raise ValueError(
                "`feature_range` must be two finite numbers, the smaller one "
                f"first. Received: feature_range={feature_range}"
            )
        if (minimum is None) != (maximum is None):
            raise ValueError(
                "`minimum` and `maximum` must be given together. "
                f"Received: minimum={minimum}, maximum={maximum}"
            )
        if minimum is not None and np.any(
            np.asarray(minimum) > np.asarray(maximum)
        ):
            raise ValueError(
                "`minimum` must not be greater than `maximum`. "
                f"Received: minimum={minimum}, maximum={maximum}"
            )
        super().__init__(axis, (minimum, maximum), invert, **kwargs)
        self.feature_range = tuple(feature_range)
        self.clip = clip

    def scaled(self, x: Tensor, minimum: Tensor, maximum: Tensor) -> Tensor:
        """Returns the scaled inputs, or the original ones of such."""
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
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {"feature_range": list(self.feature_range), "clip": self.clip}
        )
        return config
