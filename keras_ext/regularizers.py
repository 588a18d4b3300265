"""Penalties on the size of weights, added to the loss.

Each replaces the class of the same name in `keras.regularizers`.
"""

import math
import numbers
from typing import Any

import keras
from keras import ops

from keras_ext import _builtins, _checks, _registration

Tensor = Any


@_registration.registered
class L1(keras.regularizers.L1):
    """L1 penalty: makes weights exactly 0.

    Formula:

    ```
    penalty(w) = l1 * sum(|w|)
    ```

    Args:
        l1: Factor, >= 0; `None` means 0.01.

    Raises:
        ValueError: If `l1` is negative, not finite or not a number.

    Example:
    >>> import keras
    >>> from keras_ext.regularizers import L1
    >>> w = keras.ops.convert_to_tensor([[1.0, -2.0], [3.0, 0.0]])
    >>> print(float(L1(0.5)(w)))
    3.0

    Reference: [Tibshirani, 1996](https://doi.org/10.1111/j.2517-6161.1996.tb02080.x)

    It computes what `keras.regularizers.L1` computes. That class rounds `l1`
    to float32 in its config; here the config is exact. That class sums
    half-precision weights in half precision, which overflows; here the sum is
    in float32.
    """

    def __init__(self, l1: float | None = 0.01):
        l1 = _factor("l1", 0.01 if l1 is None else l1)
        super().__init__(l1)
        # The built-in keeps a tensor, which rounds the number.
        self.l1 = l1

    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty of a weight."""
        return _penalty(x, self.l1, 0.0)


@_registration.registered
class L2(keras.regularizers.L2):
    """L2 penalty: keeps weights small.

    Formula:

    ```
    penalty(w) = l2 * sum(w**2)
    ```

    Args:
        l2: Factor, >= 0; `None` means 0.01.

    Raises:
        ValueError: If `l2` is negative, not finite or not a number.

    Example:
    >>> import keras
    >>> from keras_ext.regularizers import L2
    >>> w = keras.ops.convert_to_tensor([[1.0, -2.0], [3.0, 0.0]])
    >>> print(float(L2(0.5)(w)))
    7.0

    Reference: [Krogh and Hertz, 1991](https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html)

    It computes what `keras.regularizers.L2` computes. That class sums
    half-precision weights in half precision, which overflows; here the sum
    is in float32.
    """

    def __init__(self, l2: float | None = 0.01):
        super().__init__(_factor("l2", 0.01 if l2 is None else l2))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty of a weight."""
        return _penalty(x, 0.0, self.l2)


@_registration.registered
class L1L2(keras.regularizers.L1L2):
    """L1 and L2 penalty together, the elastic net.

    Formula:

    ```
    penalty(w) = l1 * sum(|w|) + l2 * sum(w**2)
    ```

    Args:
        l1: Factor of the first, >= 0; `None` means 0.
        l2: Factor of the second, >= 0; `None` means 0.

    Raises:
        ValueError: If `l1` or `l2` is negative, not finite or not a number.

    Example:
    >>> import keras
    >>> from keras_ext.regularizers import L1L2
    >>> w = keras.ops.convert_to_tensor([[1.0, -2.0], [3.0, 0.0]])
    >>> print(float(L1L2(l1=0.5, l2=0.25)(w)))
    6.5

    Reference: [Zou and Hastie, 2005](https://doi.org/10.1111/j.1467-9868.2005.00503.x)

    It computes what `keras.regularizers.L1L2` computes. That class sums
    half-precision weights in half precision, which overflows; here the sum
    is in float32.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        super().__init__(
            _factor("l1", 0.0 if l1 is None else l1),
            _factor("l2", 0.0 if l2 is None else l2),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty of a weight."""
        return _penalty(x, self.l1, self.l2)


# `keras.regularizers` has these names too.
l1 = L1
l2 = L2
l1_l2 = L1L2


def _penalty(w: Tensor, l1: float, l2: float) -> Tensor:
    if not isinstance(w, keras.KerasTensor):
        w = ops.convert_to_tensor(w)
    dtype = keras.backend.standardize_dtype(w.dtype)
    w = ops.cast(w, "float64" if dtype == "float64" else "float32")
    penalty = 0.0
    if l1:
        penalty += l1 * ops.sum(ops.abs(w))
    if l2:
        penalty += l2 * ops.sum(ops.square(w))
    return ops.cast(penalty, dtype)


def _factor(name: str, value: Any) -> float:
    holds = isinstance(value, numbers.Real) and 0 <= float(value) < math.inf
    _checks.require(holds, "be a finite number >= 0", **{name: value})
    return float(value)


__getattr__ = _builtins.fall_back(__name__)
