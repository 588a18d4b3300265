"""Weight initializers.

Each takes the place of the class of the same name in
`keras.initializers`. The lectures' plain normal distributions, which Keras
truncates, are `truncated=False`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras

Tensor = Any

# Standard deviation of a standard normal truncated at two standard
# deviations. Dividing by it restores the variance that truncation takes.
_TRUNCATED_STDDEV = 0.87962566103423978


@keras.saving.register_keras_serializable(package="keras_ext")
class HeNormal(keras.initializers.HeNormal):
    """He (Kaiming) normal initializer, for ReLU and its variants.

    Formula:

    ```
    w ~ N(0, 2 / n_in)
    ```

    where `n_in` is the fan-in: the rows of a dense kernel, or input channels
    times receptive field of a convolution kernel. The distribution is
    truncated at two standard deviations, and widened so that its variance
    after truncation is `2 / n_in`.

    Args:
        seed: An integer, `None` or a `keras.random.SeedGenerator`. With an
            integer or `None` every call of one instance returns the same
            values; with a generator each call draws anew.
            Defaults to `None`.
        input_axes: Axes of the weight that count as inputs, if the last but
            one and the receptive field do not. `keras.layers.EinsumDense`
            sets it. Defaults to `None`.
        output_axes: Axes of the weight that count as outputs. The two are
            used only if both are given. Defaults to `None`.
        truncated: `False` draws from the plain normal distribution of the
            paper. Defaults to `True`.

    Call arguments:
        shape: Shape of the weight, `(..., n_in, n_out)`.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Raises:
        ValueError: If `seed` or `truncated` is of another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import HeNormal
    >>> kernel = HeNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 2))
    0.05

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852)

    The paper draws from the plain normal distribution; the default is the
    truncated one, and the same seed draws the same values as
    `keras.initializers.HeNormal`.
    """

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        *,
        truncated: bool = True,
    ):
        _check_truncated(truncated)
        super().__init__(seed=seed)
        self.input_axes = input_axes
        self.output_axes = output_axes
        self.truncated = truncated

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draws a weight of this shape."""
        n_in, _ = _fans(shape, self.input_axes, self.output_axes)
        stddev = math.sqrt(2 / max(1, n_in))
        return _normal(shape, stddev, dtype, self.seed, self.truncated)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {
                "input_axes": self.input_axes,
                "output_axes": self.output_axes,
                "truncated": self.truncated,
            }
        )
        return config


def _fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Counts the inputs and the outputs that a weight connects.

    A kernel's last two axes are input and output channels, the axes before
    them are the receptive field, through which each channel passes. A vector
    counts its length as both, a scalar counts as one of each.
    """
    if input_axes is not None and output_axes is not None:
        n_in = math.prod(shape[axis] for axis in input_axes)
        n_out = math.prod(shape[axis] for axis in output_axes)
        return n_in, n_out
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    *field, n_in, n_out = shape
    return n_in * math.prod(field), n_out * math.prod(field)


def _normal(
    shape: Sequence[int], stddev: float, dtype: Any, seed: Any, truncated: bool
) -> Tensor:
    """Draws with standard deviation `stddev`, truncated or not."""
    if truncated:
        return keras.random.truncated_normal(
            shape, stddev=stddev / _TRUNCATED_STDDEV, dtype=dtype, seed=seed
        )
    return keras.random.normal(shape, stddev=stddev, dtype=dtype, seed=seed)


def _check_truncated(truncated: bool) -> None:
    if not isinstance(truncated, bool):
        raise ValueError(
            f"`truncated` must be a boolean. Received: truncated={truncated}"
        )
