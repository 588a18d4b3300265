"""Activation layers without parameters, one for each activation function.

They are `keras.layers.Activation` layers with the function built in. The
functions' formulas and references are in `keras_ext.activations`.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_ext import activations
from keras_ext._registration import registered

Tensor = Any


class _ActivationLayer(keras.layers.Activation):
    """Base of the layers of this file, which set `function`."""

    function: Callable[[Tensor], Tensor]

    def __init__(self, **kwargs: Any):
        super().__init__(type(self).function, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["activation"]
        return config


@registered
class Linear(_ActivationLayer):
    """Identity, the output unit of a regression.

    Formula:

    ```
    f(z) = z
    ```

    Example:
    >>> import keras
    >>> from keras_ext.layers import Linear
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in Linear()(z)])
    [-1.0, 0.0, 1.0]

    It computes what `keras.layers.Activation("linear")` computes.
    """

    function = staticmethod(activations.linear)


@registered
class SELU(_ActivationLayer):
    """Scaled exponential linear unit, for self-normalizing networks.

    Formula:

    ```
    f(z) = scale * z                        if z > 0
    f(z) = scale * alpha * (exp(z) - 1)     otherwise
    ```

    with `scale = 1.0507` and `alpha = 1.6733`. Use it with weights from
    `keras_ext.initializers.LecunNormal`.

    Example:
    >>> import keras
    >>> from keras_ext.layers import SELU
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in SELU()(z)])
    [-1.1113, 0.0, 1.0507]

    It computes what `keras.layers.Activation("selu")` computes.
    """

    function = staticmethod(activations.selu)


@registered
class Sigmoid(_ActivationLayer):
    """Logistic sigmoid, the output unit of a binary classification.

    Formula:

    ```
    f(z) = 1 / (1 + exp(-z))
    ```

    Example:
    >>> import keras
    >>> from keras_ext.layers import Sigmoid
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in Sigmoid()(z)])
    [0.2689, 0.5, 0.7311]

    It computes what `keras.layers.Activation("sigmoid")` computes.
    """

    function = staticmethod(activations.sigmoid)


@registered
class Step(_ActivationLayer):
    """Step function, the unit of the perceptron.

    Formula:

    ```
    f(z) = 1    if z > 0
    f(z) = 0    otherwise
    ```

    The gradient is 0 everywhere, so layers before a step learn nothing from
    gradients.

    Example:
    >>> import keras
    >>> from keras_ext.layers import Step
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in Step()(z)])
    [0.0, 0.0, 1.0]

    Keras has no such layer.
    """

    function = staticmethod(activations.step)


@registered
class Swish(_ActivationLayer):
    """Swish, also called SiLU.

    Formula:

    ```
    f(z) = z * sigmoid(z)
    ```

    Example:
    >>> import keras
    >>> from keras_ext.layers import Swish
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in Swish()(z)])
    [-0.2689, 0.0, 0.7311]

    It computes what `keras.layers.Activation("swish")` computes.
    """

    function = staticmethod(activations.swish)


@registered
class Tanh(_ActivationLayer):
    """Hyperbolic tangent, zero-centred with values in (-1, 1).

    Formula:

    ```
    f(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))
    ```

    Example:
    >>> import keras
    >>> from keras_ext.layers import Tanh
    >>> z = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
    >>> print([round(float(value), 4) for value in Tanh()(z)])
    [-0.7616, 0.0, 0.7616]

    It computes what `keras.layers.Activation("tanh")` computes.
    """

    function = staticmethod(activations.tanh)
