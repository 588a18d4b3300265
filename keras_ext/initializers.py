"""Weight initializers.

Each replaces the class of the same name in `keras.initializers`. Keras
truncates its normal distributions; `truncated=False` draws the plain normal
distributions of the lectures.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ext import _builtins, _checks, _config, _registration

Tensor = Any

# Standard deviation of a standard normal truncated at two standard
# deviations. Dividing by it restores the variance that truncation takes.
_TRUNCATED_STDDEV = 0.87962566103423978


@_registration.registered
class Zeros(keras.initializers.Zeros):
    """Zeros, for biases.

    Formula:

    ```
    w = 0
    ```

    Zeros are wrong for the kernels of hidden layers: all units of a layer
    compute the same, get the same gradient and stay identical.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import Zeros
    >>> print(keras.ops.convert_to_numpy(Zeros()(shape=(3,))))
    [0. 0. 0.]

    It computes what `keras.initializers.Zeros` computes.
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Make a weight of this shape."""
        return ops.zeros(shape, dtype=dtype or keras.config.floatx())


@_registration.registered
class RandomNormal(_config.SavesArguments, keras.initializers.RandomNormal):
    """Normal distribution of a given standard deviation.

    Formula:

    ```
    w ~ N(mean, stddev**2)
    ```

    The formula ignores the size of the layer. So with a small `stddev` the
    signal vanishes with depth, with a large one it explodes; `GlorotNormal`
    and `HeNormal` take the size into account.

    Args:
        mean: Mean of the distribution.
        stddev: Standard deviation, >= 0.
        truncated: `True` draws again what lies more than two `stddev` from
            the mean, as `keras.initializers.TruncatedNormal` does. The
            standard deviation is then `0.88 * stddev`.

    Raises:
        ValueError: If `stddev` is negative, or `seed` or `truncated` is of
            another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import RandomNormal
    >>> kernel = RandomNormal(stddev=0.1, seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 2))
    0.1

    The same seed draws the same values as `keras.initializers.RandomNormal`.
    """

    SAVED = ("truncated",)

    def __init__(
        self,
        mean: float = 0.0,
        stddev: float = 0.05,
        seed: Any = None,
        *,
        truncated: bool = False,
    ):
        negative = isinstance(stddev, int | float) and not stddev >= 0
        _checks.require(not negative, "be a number >= 0", stddev=stddev)
        _check_truncated(truncated)
        super().__init__(mean, stddev, seed)
        self.truncated = truncated

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draw a weight of this shape."""
        draw = (
            keras.random.truncated_normal
            if self.truncated
            else keras.random.normal
        )
        return draw(shape, self.mean, self.stddev, dtype=dtype, seed=self.seed)


@_registration.registered
class RandomUniform(keras.initializers.RandomUniform):
    """Uniform distribution over a given range.

    Formula:

    ```
    w ~ U(minval, maxval)
    ```

    The formula ignores the size of the layer. So with a small range the
    signal vanishes with depth, with a large one it explodes; `GlorotUniform`
    and `HeUniform` take the size into account.

    Args:
        minval: Lower bound.
        maxval: Upper bound, >= `minval`.

    Raises:
        ValueError: If `minval` is greater than `maxval`, or `seed` is of
            another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import RandomUniform
    >>> kernel = RandomUniform(-0.1, 0.1, seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.max(kernel)), 2))
    0.1

    The same seed draws the same values as
    `keras.initializers.RandomUniform`.
    """

    def __init__(
        self,
        minval: float = -0.05,
        maxval: float = 0.05,
        seed: Any = None,
    ):
        if isinstance(minval, int | float) and isinstance(maxval, int | float):
            must = "not be greater than `maxval`"
            _checks.require(
                minval <= maxval, must, minval=minval, maxval=maxval
            )
        super().__init__(minval, maxval, seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draw a weight of this shape."""
        return keras.random.uniform(
            shape, self.minval, self.maxval, dtype=dtype, seed=self.seed
        )


class _VarianceScaling(
    _config.SavesArguments, keras.initializers.VarianceScaling
):
    """Base of the initializers below: a variance that fits the layer's size.

    Formula:

    ```
    variance = scale / n
    ```

    where `n` is the fan-in or the mean of fan-in and fan-out, as `mode` says.
    Each initializer has `scale` and `mode` from its Keras class.
    """

    SAVED: tuple[str, ...] = ("input_axes", "output_axes")

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        # Not passed on: Keras before 3.15 does not know the axes.
        super().__init__(seed=seed)
        self.input_axes = input_axes
        self.output_axes = output_axes

    def _variance(self, shape: Sequence[int]) -> float:
        n_in, n_out = _fans(shape, self.input_axes, self.output_axes)
        n = n_in if self.mode == "fan_in" else (n_in + n_out) / 2
        return self.scale / max(1.0, n)


class _Normal(_VarianceScaling):
    """Normal distribution of that variance, truncated or not."""

    SAVED: tuple[str, ...] = ("input_axes", "output_axes", "truncated")

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        *,
        truncated: bool = True,
    ):
        _check_truncated(truncated)
        super().__init__(seed, input_axes, output_axes)
        self.truncated = truncated

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draw a weight of this shape."""
        stddev = math.sqrt(self._variance(shape))
        draw = keras.random.normal
        if self.truncated:
            draw = keras.random.truncated_normal
            stddev /= _TRUNCATED_STDDEV
        return draw(shape, stddev=stddev, dtype=dtype, seed=self.seed)


class _Uniform(_VarianceScaling):
    """Uniform distribution of that variance: U(-b, b) has b**2 / 3."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draw a weight of this shape."""
        bound = math.sqrt(3 * self._variance(shape))
        return keras.random.uniform(
            shape, -bound, bound, dtype=dtype, seed=self.seed
        )


@_registration.registered
class GlorotNormal(_Normal, keras.initializers.GlorotNormal):
    """Glorot (Xavier) normal initializer, for sigmoid and tanh.

    Formula, with fan-in `n_in` and fan-out `n_out`:

    ```
    w ~ N(0, 2 / (n_in + n_out))
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import GlorotNormal
    >>> kernel = GlorotNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.039

    Reference: [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)

    The same seed draws the same values as `keras.initializers.GlorotNormal`.
    `XavierNormal` is another name of this class.
    """


@_registration.registered
class GlorotUniform(_Uniform, keras.initializers.GlorotUniform):
    """Glorot (Xavier) uniform initializer, for sigmoid and tanh.

    Formula, with fan-in `n_in` and fan-out `n_out`:

    ```
    w ~ U(-b, b),  b = sqrt(6 / (n_in + n_out))
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import GlorotUniform
    >>> kernel = GlorotUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.039

    Reference: [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)

    The same seed draws the same values as
    `keras.initializers.GlorotUniform`. `XavierUniform` is another name of
    this class.
    """


@_registration.registered
class HeNormal(_Normal, keras.initializers.HeNormal):
    """He (Kaiming) normal initializer, for ReLU and its variants.

    Formula, with fan-in `n_in`:

    ```
    w ~ N(0, 2 / n_in)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import HeNormal
    >>> kernel = HeNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.05

    Reference: [He et al., 2015](https://arxiv.org/abs/1502.01852)

    The same seed draws the same values as `keras.initializers.HeNormal`.
    """


@_registration.registered
class HeUniform(_Uniform, keras.initializers.HeUniform):
    """He (Kaiming) uniform initializer, for ReLU and its variants.

    Formula, with fan-in `n_in`:

    ```
    w ~ U(-b, b),  b = sqrt(6 / n_in)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import HeUniform
    >>> kernel = HeUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.05

    Reference: [He et al., 2015](https://arxiv.org/abs/1502.01852)

    The same seed draws the same values as `keras.initializers.HeUniform`.
    """


@_registration.registered
class LecunNormal(_Normal, keras.initializers.LecunNormal):
    """LeCun normal initializer, for SELU.

    Formula, with fan-in `n_in`:

    ```
    w ~ N(0, 1 / n_in)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import LecunNormal
    >>> kernel = LecunNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.035

    Reference: [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    The same seed draws the same values as `keras.initializers.LecunNormal`.
    """


@_registration.registered
class LecunUniform(_Uniform, keras.initializers.LecunUniform):
    """LeCun uniform initializer, for SELU.

    Formula, with fan-in `n_in`:

    ```
    w ~ U(-b, b),  b = sqrt(3 / n_in)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.initializers import LecunUniform
    >>> kernel = LecunUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.035

    Reference: [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    The same seed draws the same values as `keras.initializers.LecunUniform`.
    """


@_registration.registered
class ScaledNormal(LecunNormal):
    """Standard normal numbers, scaled by the root of the fan-in.

    Formula, with fan-in `n_in`:

    ```
    w = z * sqrt(1 / n_in),  z ~ N(0, 1)
    ```

    One of the lectures calls this scaling Xavier. It is the scaling of LeCun
    without truncation: `LecunNormal(truncated=False)`.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import ScaledNormal
    >>> kernel = ScaledNormal(seed=0)(shape=(400, 500))
    >>> print(round(float(keras.ops.std(kernel)), 2))
    0.05

    Reference: [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    Keras has it as `VarianceScaling(distribution="untruncated_normal")`.
    """

    SAVED = ("input_axes", "output_axes")

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(seed, input_axes, output_axes, truncated=False)


XavierNormal = GlorotNormal
XavierUniform = GlorotUniform

# `keras.initializers` has these names too.
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
random_normal = RandomNormal
random_uniform = RandomUniform
zeros = Zeros


def _fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Count the inputs and the outputs that a weight connects.

    A kernel's last two axes are input and output channels. The axes before
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


def _check_truncated(truncated: bool) -> None:
    _checks.require(
        isinstance(truncated, bool), "be a boolean", truncated=truncated
    )


__getattr__ = _builtins.fall_back(__name__)
