"""Activation functions.

Each takes the place of the function of the same name in
`keras.activations`, works on every backend and on symbolic inputs, and is
registered with Keras as `keras_ext>name`.
"""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_ext")
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

    where `max_value` confines the first of these to [0, max_value].

    The gradient is 1 for `z > 0` and 0 for `z <= 0`.

    Args:
        x: Input tensor of any shape.
        negative_slope: Slope below the threshold. Defaults to `0.0`.
        max_value: Largest value returned, >= 0; `None` means no limit.
            Defaults to `None`.
        threshold: Value up to which the unit does not fire.
            Defaults to `0.0`.

    Returns:
        A tensor of the shape and dtype of `x`.

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

    Reference:

    - [Nair and Hinton, 2010](https://dl.acm.org/doi/10.5555/3104322.3104425)

    It computes what `keras.activations.relu` computes; a negative
    `max_value`, for which that function returns a constant, is refused.
    """
    if max_value is not None and max_value < 0:
        raise ValueError(
            "`max_value` must be `None` or a number >= 0. "
            f"Received: max_value={max_value}"
        )
    if not isinstance(x, keras.KerasTensor):
        x = ops.convert_to_tensor(x)
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
