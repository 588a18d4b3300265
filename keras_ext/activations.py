"""Activation functions.

Each replaces the function of the same name in `keras.activations`, works on
every backend and on symbolic inputs, and is registered with Keras as
`keras_ext>name`. Value and gradient come from the backend's own kernel if that
kernel computes the formula.

Integers are converted to dtype `keras.config.floatx()`. The built-ins fail on
integers on some backends. `linear`, `step` and `relu` return integers.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from keras_ext import _builtins, _checks, _registration

Tensor = Any


@_registration.registered
def linear(x: Tensor) -> Tensor:
    """Identity, the output unit of a regression.

    Formula:

    ```
    linear(z) = z
    ```

    Args:
        x: Input of any kind.

    Returns:
        `x` itself.

    Example:
    >>> from keras_ext.activations import linear
    >>> print(linear([-1.0, 2.0]))
    [-1.0, 2.0]

    It is the same as `keras.activations.linear`.
    """
    return x


@_registration.registered
def step(x: Tensor) -> Tensor:
    """Step function, the unit of the perceptron.

    Formula:

    ```
    step(z) = 1    if z > 0
    step(z) = 0    otherwise
    ```

    The gradient is 0 everywhere, so layers before a step learn nothing from
    gradients. `keras_ext.layers.Perceptron` has its own learning rule.

    Example:
    >>> import keras
    >>> from keras_ext.activations import step
    >>> print(keras.ops.convert_to_numpy(step([-0.5, 0.0, 0.5])))
    [0. 0. 1.]

    Reference: [Rosenblatt, 1958](https://doi.org/10.1037/h0042519)

    Keras has no such function.
    """
    # Unlike a comparison, `sign` has a gradient on every backend: 0.
    return ops.relu(ops.sign(_as_tensor(x)))


@_registration.registered
def sigmoid(x: Tensor) -> Tensor:
    """Logistic sigmoid, the output unit of a binary classification.

    Formula:

    ```
    sigmoid(z) = 1 / (1 + exp(-z))
    ```

    The gradient, `sigmoid(z) * (1 - sigmoid(z))`, is 0.25 at 0 and
    4.54e-5 at -10 and 10.

    Example:
    >>> import keras
    >>> from keras_ext.activations import sigmoid
    >>> y = keras.ops.convert_to_numpy(sigmoid([-10.0, 0.0, 2.0]))
    >>> print([round(float(value), 4) for value in y])
    [0.0, 0.5, 0.8808]

    It computes what `keras.activations.sigmoid` computes, and like that
    function passes the logits on to the crossentropy losses.
    """
    x = _as_float(x)
    return _remember_logits(ops.sigmoid(x), x)


@_registration.registered
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, zero-centred with values in (-1, 1).

    Formula:

    ```
    tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))
    ```

    The gradient, `1 - tanh(z)**2`, is 1 at 0.

    Example:
    >>> import keras
    >>> from keras_ext.activations import tanh
    >>> y = keras.ops.convert_to_numpy(tanh([-1.0, 0.0, 1.0]))
    >>> print([round(float(value), 4) for value in y])
    [-0.7616, 0.0, 0.7616]

    It computes what `keras.activations.tanh` computes. On JAX that function
    returns float32 for float64; here it is float64.
    """
    x = _as_float(x)
    y = ops.tanh(x)
    if y.dtype == x.dtype:
        return y
    # On JAX, Keras rounds float64 to float32. Above 20, tanh is 1.
    exp_minus_1 = ops.expm1(2.0 * ops.clip(x, -20.0, 20.0))
    return exp_minus_1 / (exp_minus_1 + 2.0)


@_registration.registered
def relu(
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """Rectified linear unit.

    Formula:

    ```
    relu(z) = max(0, z)
    ```

    and with the optional arguments

    ```
    relu(z) = z                                   if z > threshold
    relu(z) = negative_slope * (z - threshold)    otherwise
    ```

    where `max_value` limits the first line to [0, max_value].

    The gradient is 1 for `z > 0` and 0 for `z <= 0`.

    Args:
        x: Input tensor of any shape.
        negative_slope: Slope below the threshold.
        max_value: Largest value returned, >= 0; `None` means no limit.
        threshold: Value up to which the unit does not fire.

    Raises:
        ValueError: If `max_value` is negative.

    Example:
    >>> import keras
    >>> from keras_ext.activations import relu
    >>> z = [-10.0, -5.0, 0.0, 5.0, 10.0]
    >>> print(keras.ops.convert_to_numpy(relu(z)))
    [ 0.  0.  0.  5. 10.]
    >>> print(keras.ops.convert_to_numpy(relu(z, negative_slope=0.5)))
    [-5.  -2.5  0.   5.  10. ]
    >>> print(keras.ops.convert_to_numpy(relu(z, max_value=6.0)))
    [0. 0. 0. 5. 6.]

    Reference: [Nair and Hinton, 2010](https://dl.acm.org/doi/10.5555/3104322.3104425)

    It computes what `keras.activations.relu` computes. A negative
    `max_value`, for which that function returns a constant, is an error.
    """
    holds = max_value is None or not max_value < 0
    _checks.require(holds, "be `None` or a number >= 0", max_value=max_value)
    x = _as_tensor(x)
    if max_value is None and threshold == 0:
        # The backends' own kernels, for value and gradient.
        if negative_slope == 0:
            return ops.relu(x)
        return ops.leaky_relu(x, negative_slope)

    if threshold == 0:
        firing = ops.relu6(x) if max_value == 6 else ops.relu(x)
        silent = ops.relu(-x)
    else:
        threshold = ops.cast(threshold, x.dtype)
        firing = ops.where(x > threshold, x, 0)
        silent = ops.relu(-(x - threshold))
    if max_value is not None:
        firing = ops.clip(
            firing, ops.cast(0, x.dtype), ops.cast(max_value, x.dtype)
        )
    if negative_slope == 0:
        return firing
    return firing - negative_slope * silent


@_registration.registered
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """Leaky rectified linear unit: a ReLU that never stops learning.

    Formula:

    ```
    leaky_relu(z) = z                     if z > 0
    leaky_relu(z) = negative_slope * z    otherwise
    ```

    which is `max(negative_slope * z, z)` for slopes up to 1.

    Args:
        x: Input tensor of any shape.
        negative_slope: Slope for negative inputs. The lectures use 0.01 and
            0.1.

    Example:
    >>> import keras
    >>> from keras_ext.activations import leaky_relu
    >>> y = leaky_relu([-10.0, 0.0, 10.0], negative_slope=0.5)
    >>> print(keras.ops.convert_to_numpy(y))
    [-5.  0. 10.]

    Reference: [Maas et al.,
      2013](https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf)

    It computes what `keras.activations.leaky_relu` computes.
    """
    return ops.leaky_relu(_as_float(x), negative_slope)


@_registration.registered
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit.

    Formula:

    ```
    elu(z) = z                        if z > 0
    elu(z) = alpha * (exp(z) - 1)     otherwise
    ```

    Args:
        x: Input tensor of any shape.
        alpha: The unit saturates at `-alpha`.

    Example:
    >>> import keras
    >>> from keras_ext.activations import elu
    >>> y = keras.ops.convert_to_numpy(elu([-1.0, 0.0, 2.0]))
    >>> print([round(float(value), 4) for value in y])
    [-0.6321, 0.0, 2.0]

    Reference: [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)

    It computes what `keras.activations.elu` computes.
    """
    return ops.elu(_as_float(x), alpha)


@_registration.registered
def selu(x: Tensor) -> Tensor:
    """Scaled exponential linear unit, for self-normalizing networks.

    Formula, with `scale = 1.0507` and `alpha = 1.6733`:

    ```
    selu(z) = scale * z                        if z > 0
    selu(z) = scale * alpha * (exp(z) - 1)     otherwise
    ```

    The two numbers keep mean 0 and variance 1 from layer to layer if
    `keras_ext.initializers.LecunNormal` draws the weights.

    Example:
    >>> import keras
    >>> from keras_ext.activations import selu
    >>> y = keras.ops.convert_to_numpy(selu([-1.0, 0.0, 1.0]))
    >>> print([round(float(value), 4) for value in y])
    [-1.1113, 0.0, 1.0507]

    Reference: [Klambauer et al., 2017](https://arxiv.org/abs/1706.02515)

    It computes what `keras.activations.selu` computes.
    """
    return ops.selu(_as_float(x))


@_registration.registered
def swish(x: Tensor) -> Tensor:
    """Swish, also called SiLU.

    Formula:

    ```
    swish(z) = z * sigmoid(z)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.activations import swish
    >>> y = keras.ops.convert_to_numpy(swish([-1.0, 0.0, 1.0]))
    >>> print([round(float(value), 4) for value in y])
    [-0.2689, 0.0, 0.7311]

    Reference: [Ramachandran et al., 2017](https://arxiv.org/abs/1710.05941)

    It computes what `keras.activations.silu` computes. `swish` and `silu` are
    one function, as in Keras.
    """
    return ops.silu(_as_float(x))


silu = swish


@_registration.registered
def softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """Softmax, the output unit of a classification.

    Formula:

    ```
    softmax(z)_i = exp(z_i) / sum_j exp(z_j)
    ```

    computed from `z - max(z)`, so that large logits do not overflow.

    Args:
        x: Input tensor, `(batch_size, ..., num_classes)`.
        axis: Axis over which the outputs sum to 1. Several axes share one
            sum; `None` means all axes.

    Raises:
        ValueError: If `axis` is not an axis of `x`, or repeats an axis.

    Example:
    >>> import keras
    >>> from keras_ext.activations import softmax
    >>> y = keras.ops.convert_to_numpy(softmax([2.0, 1.0, 0.1]))
    >>> print([round(float(value), 3) for value in y])
    [0.659, 0.242, 0.099]

    Reference: [Bridle, 1990](https://doi.org/10.1007/978-3-642-76153-9_28)

    It computes what `keras.activations.softmax` computes, and like that
    function passes the logits on to the crossentropy losses. Several axes may
    come in any order and be negative, and the shape of `x` may be unknown.
    """
    x = _as_float(x)
    if axis is None:
        axis = range(len(x.shape))
    axes = _axes(axis, len(x.shape))
    if len(axes) == 1:
        return _remember_logits(ops.softmax(x, axis=axes[0]), x)
    if not axes:
        return ops.ones_like(x)
    # With an `initial`, Keras's `max` takes empty batches.
    top = ops.max(x, axis=axes, keepdims=True, initial=-math.inf)
    exp = ops.exp(x - ops.stop_gradient(top))
    return _remember_logits(exp / ops.sum(exp, axis=axes, keepdims=True), x)


def _as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, keras.KerasTensor) else ops.convert_to_tensor(x)


def _as_float(x: Any) -> Tensor:
    """Return a tensor, of a float dtype if the input has integers."""
    x = _as_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "int" in dtype or dtype == "bool":
        return ops.cast(x, keras.config.floatx())
    return x


def _axes(axis: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Return the axes counted from the front."""
    axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    try:
        positive = {range(rank)[a] for a in axes}
    except (IndexError, TypeError):
        positive = set()
    if len(positive) < len(axes):
        raise ValueError(
            f"`axis` must name axes of an input of rank {rank}, each once. "
            f"Received: axis={axis}"
        )
    return tuple(sorted(positive))


def _remember_logits(y: Tensor, logits: Tensor) -> Tensor:
    """Attach the logits, from which Keras's crossentropies compute."""
    try:
        y._keras_logits = logits
    except AttributeError:
        # JAX's arrays take no attributes.
        pass
    return y


__getattr__ = _builtins.fall_back(__name__)
