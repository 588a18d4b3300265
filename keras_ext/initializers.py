"""Weight initializers.

Each takes the place of the class of the same name in
`keras.initializers`. The lectures' plain normal distributions, which Keras
truncates, are `truncated=False`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ext import _builtins, _registration

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

    For the kernels of hidden layers they are the wrong choice: all units of
    a layer compute the same, get the same gradient and stay the same for
    ever.

    Call arguments:
        shape: Shape of the weight.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import Zeros
    >>> print(keras.ops.convert_to_numpy(Zeros()(shape=(3,))))
    [0. 0. 0.]

    It computes what `keras.initializers.Zeros` computes.
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Makes a weight of this shape."""
        return ops.zeros(shape, dtype=dtype or keras.config.floatx())


@_registration.registered
class RandomNormal(keras.initializers.RandomNormal):
    """Normal distribution of a given standard deviation.

    Formula:

    ```
    w ~ N(mean, stddev**2)
    ```

    The size of the layer does not count. So with a small `stddev` the signal
    vanishes with depth, with a large one it explodes; `GlorotNormal` and
    `HeNormal` take the size into account.

    Args:
        mean: Mean of the distribution. Defaults to `0.0`.
        stddev: Standard deviation, >= 0. Defaults to `0.05`.
        seed: An integer, `None` or a `keras.random.SeedGenerator`. With an
            integer or `None` every call of one instance returns the same
            values; with a generator each call draws anew.
            Defaults to `None`.
        truncated: `True` draws anew what lies more than two `stddev` from
            the mean, as `keras.initializers.TruncatedNormal` does. That
            leaves a standard deviation of `0.88 * stddev`.
            Defaults to `False`.

    Call arguments:
        shape: Shape of the weight.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

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

    def __init__(
        self,
        mean: float = 0.0,
        stddev: float = 0.05,
        seed: Any = None,
        *,
        truncated: bool = False,
    ):
        if isinstance(stddev, int | float) and not stddev >= 0:
            raise ValueError(
                f"`stddev` must be a number >= 0. Received: stddev={stddev}"
            )
        _check_truncated(truncated)
        super().__init__(mean, stddev, seed)
        self.truncated = truncated

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draws a weight of this shape."""
        draw = (
            keras.random.truncated_normal
            if self.truncated
            else keras.random.normal
        )
        return draw(shape, self.mean, self.stddev, dtype=dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"truncated": self.truncated})
        return config


@_registration.registered
class RandomUniform(keras.initializers.RandomUniform):
    """Uniform distribution over a given range.

    Formula:

    ```
    w ~ U(minval, maxval)
    ```

    The size of the layer does not count. So with a small range the signal
    vanishes with depth, with a large one it explodes; `GlorotUniform` and
    `HeUniform` take the size into account.

    Args:
        minval: Lower bound. Defaults to `-0.05`.
        maxval: Upper bound, >= `minval`. Defaults to `0.05`.
        seed: An integer, `None` or a `keras.random.SeedGenerator`. With an
            integer or `None` every call of one instance returns the same
            values; with a generator each call draws anew.
            Defaults to `None`.

    Call arguments:
        shape: Shape of the weight.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

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
        numbers = isinstance(minval, int | float) and isinstance(
            maxval, int | float
        )
        if numbers and not minval <= maxval:
            raise ValueError(
                "`minval` must not be greater than `maxval`. "
                f"Received: minval={minval}, maxval={maxval}"
            )
        super().__init__(minval, maxval, seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draws a weight of this shape."""
        return keras.random.uniform(
            shape, self.minval, self.maxval, dtype=dtype, seed=self.seed
        )


class _VarianceScaling(keras.initializers.VarianceScaling):
    """What the initializers below share: a variance that fits the size.

    Formula:

    ```
    variance = scale / n
    ```

    where `n` is the fan-in or the mean of fan-in and fan-out, as `mode`
    says. Each initializer has `scale` and `mode` from the Keras class that
    it takes the place of.
    """

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        # Not handed on: Keras before 3.15 does not know the axes.
        super().__init__(seed=seed)
        self.input_axes = input_axes
        self.output_axes = output_axes

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {"input_axes": self.input_axes, "output_axes": self.output_axes}
        )
        return config

    def _variance(self, shape: Sequence[int]) -> float:
        n_in, n_out = _fans(shape, self.input_axes, self.output_axes)
        n = n_in if self.mode == "fan_in" else (n_in + n_out) / 2
        return self.scale / max(1.0, n)


class _Normal(_VarianceScaling):
    """Normal distribution of that variance, truncated or not."""

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
        """Draws a weight of this shape."""
        stddev = math.sqrt(self._variance(shape))
        if not self.truncated:
            return keras.random.normal(
                shape, stddev=stddev, dtype=dtype, seed=self.seed
            )
        return keras.random.truncated_normal(
            shape,
            stddev=stddev / _TRUNCATED_STDDEV,
            dtype=dtype,
            seed=self.seed,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"truncated": self.truncated})
        return config


class _Uniform(_VarianceScaling):
    """Uniform distribution of that variance: U(-b, b) has b**2 / 3."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Draws a weight of this shape."""
        bound = math.sqrt(3 * self._variance(shape))
        return keras.random.uniform(
            shape, -bound, bound, dtype=dtype, seed=self.seed
        )


@_registration.registered
class GlorotNormal(_Normal, keras.initializers.GlorotNormal):
    """Glorot (Xavier) normal initializer, for sigmoid and tanh.

    Formula:

    ```
    w ~ N(0, 2 / (n_in + n_out))
    ```

    where `n_in` and `n_out` are fan-in and fan-out: rows and columns of a
    dense kernel, or input and output channels times receptive field of a
    convolution kernel. The distribution is
    truncated at two standard deviations, and widened so that its variance
    after truncation is `2 / (n_in + n_out)`.

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
    >>> from keras_ext.initializers import GlorotNormal
    >>> kernel = GlorotNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.039

    Reference:

    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)

    The paper draws from the plain normal distribution; the default is the
    truncated one, and the same seed draws the same values as
    `keras.initializers.GlorotNormal`. `XavierNormal` is another name of it.
    """


@_registration.registered
class GlorotUniform(_Uniform, keras.initializers.GlorotUniform):
    """Glorot (Xavier) uniform initializer, for sigmoid and tanh.

    Formula:

    ```
    w ~ U(-b, b),  b = sqrt(6 / (n_in + n_out))
    ```

    where `n_in` and `n_out` are fan-in and fan-out: rows and columns of a
    dense kernel, or input and output channels times receptive field of a
    convolution kernel.

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

    Call arguments:
        shape: Shape of the weight, `(..., n_in, n_out)`.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Raises:
        ValueError: If `seed` is of another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import GlorotUniform
    >>> kernel = GlorotUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.039

    Reference:

    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)

    The same seed draws the same values as
    `keras.initializers.GlorotUniform`. `XavierUniform` is another name
    of it.
    """


@_registration.registered
class HeNormal(_Normal, keras.initializers.HeNormal):
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
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.05

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852)

    The paper draws from the plain normal distribution; the default is the
    truncated one, and the same seed draws the same values as
    `keras.initializers.HeNormal`.
    """


@_registration.registered
class HeUniform(_Uniform, keras.initializers.HeUniform):
    """He (Kaiming) uniform initializer, for ReLU and its variants.

    Formula:

    ```
    w ~ U(-b, b),  b = sqrt(6 / n_in)
    ```

    where `n_in` is the fan-in: the rows of a dense kernel, or input channels
    times receptive field of a convolution kernel.

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

    Call arguments:
        shape: Shape of the weight, `(..., n_in, n_out)`.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Raises:
        ValueError: If `seed` is of another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import HeUniform
    >>> kernel = HeUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.05

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852)

    The same seed draws the same values as
    `keras.initializers.HeUniform`.
    """


@_registration.registered
class LecunNormal(_Normal, keras.initializers.LecunNormal):
    """LeCun normal initializer, for SELU.

    Formula:

    ```
    w ~ N(0, 1 / n_in)
    ```

    where `n_in` is the fan-in: the rows of a dense kernel, or input channels
    times receptive field of a convolution kernel. The distribution is
    truncated at two standard deviations, and widened so that its variance
    after truncation is `1 / n_in`.

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
    >>> from keras_ext.initializers import LecunNormal
    >>> kernel = LecunNormal(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.035

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    The paper draws from the plain normal distribution; the default is the
    truncated one, and the same seed draws the same values as
    `keras.initializers.LecunNormal`.
    """


@_registration.registered
class LecunUniform(_Uniform, keras.initializers.LecunUniform):
    """LeCun uniform initializer, for SELU.

    Formula:

    ```
    w ~ U(-b, b),  b = sqrt(3 / n_in)
    ```

    where `n_in` is the fan-in: the rows of a dense kernel, or input channels
    times receptive field of a convolution kernel.

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

    Call arguments:
        shape: Shape of the weight, `(..., n_in, n_out)`.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Raises:
        ValueError: If `seed` is of another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import LecunUniform
    >>> kernel = LecunUniform(seed=0)(shape=(800, 500))
    >>> print(round(float(keras.ops.std(kernel)), 3))
    0.035

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    The same seed draws the same values as
    `keras.initializers.LecunUniform`.
    """


@_registration.registered
class ScaledNormal(LecunNormal):
    """Standard normal numbers, scaled by the root of the fan-in.

    Formula:

    ```
    w = z * sqrt(1 / n_in),  z ~ N(0, 1)
    ```

    where `n_in` is the fan-in: the rows of a dense kernel, or input channels
    times receptive field of a convolution kernel. A lecture
    teaches it under the name of Xavier; it is the scaling of LeCun, without
    truncation: `LecunNormal(truncated=False)`.

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

    Call arguments:
        shape: Shape of the weight, `(..., n_in, n_out)`.
        dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

    Raises:
        ValueError: If `seed` is of another type.

    Example:
    >>> import keras
    >>> from keras_ext.initializers import ScaledNormal
    >>> kernel = ScaledNormal(seed=0)(shape=(400, 500))
    >>> print(round(float(keras.ops.std(kernel)), 2))
    0.05

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)

    Keras has it as `VarianceScaling(distribution="untruncated_normal")`.
    """

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(seed, input_axes, output_axes, truncated=False)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["truncated"]
        return config


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


def _check_truncated(truncated: bool) -> None:
    if not isinstance(truncated, bool):
        raise ValueError(
            f"`truncated` must be a boolean. Received: truncated={truncated}"
        )


__getattr__ = _builtins.fall_back(__name__)
