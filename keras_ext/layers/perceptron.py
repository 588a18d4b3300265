"""Perceptron."""

from typing import Any

from keras import ops

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.activations import step
from keras_ext.layers.dense import Dense

Tensor = Any


@registered
class Perceptron(Dense):
    """Perceptron: units that fire or not, trained by the perceptron rule.

    Formula:

    ```
    z = x @ kernel + bias
    y = 1 if z > 0, else 0
    ```

    The slope of the step is 0, so the gradient passes straight through it, as
    if `dy/dz` were 1. Train a layer of one unit on batches of one by
    `keras.optimizers.SGD(learning_rate)` without momentum, with the loss
    `Huber` of `delta` 1 or more. Each step is then Rosenblatt's rule:

    ```
    kernel <- kernel + learning_rate * (y_true - y) * x
    bias <- bias + learning_rate * (y_true - y)
    ```

    The reason: for errors of -1, 0 and 1 the derivative of `Huber` is the
    error. This also holds for `MeanAbsoluteError`, except on JAX, where the
    slope of `|e|` at 0 is 1. `MeanSquaredError` doubles the step. All losses
    average over the batch and over the units, so that `n` units take steps of
    `learning_rate / n`.

    The rule stops without errors if and only if a line (a hyperplane)
    separates the two classes: the layer learns AND and OR, and never XOR.

    Args:
        **kwargs: Other arguments of `Dense` except `activation`, such as
            `name` and `dtype`.

    Input shape:
        `(batch_size, ..., input_dim)`. Masks are passed on.

    Output shape:
        `(batch_size, ..., units)`, of zeros and ones.

    Raises:
        ValueError: If `units` is not a positive integer, or `activation` is
            given.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_ext.layers import Perceptron
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    >>> y = np.array([[0], [0], [0], [1]], "float32")
    >>> model = keras.Sequential([Perceptron(kernel_initializer="zeros")])
    >>> model.compile(keras.optimizers.SGD(1.0), "huber")
    >>> _ = model.fit(x, y, batch_size=1, epochs=10, verbose=0)
    >>> print(model.predict(x, verbose=0).ravel())
    [0. 0. 0. 1.]

    References: [Rosenblatt, 1958](https://doi.org/10.1037/h0042519);
    [Bengio et al., 2013](https://arxiv.org/abs/1308.3432) for the gradient
    that passes straight through

    Keras has no such layer. As a hidden layer it also learns, by the gradient
    that passes through, but no theorem guarantees that the rule stops.
    """

    def __init__(
        self,
        units: int = 1,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        require(
            "activation" not in kwargs,
            "be left out: it is the step",
            activation=kwargs.get("activation"),
        )
        super().__init__(
            units=units,
            activation=step,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Compute which units fire."""
        z = self._weigh(inputs)
        # 0 with a slope of 1. `z + stop_gradient(step(z) - z)` would lose
        # the 1 to rounding where `z` is large.
        slope = z - ops.stop_gradient(z)
        return step(z) + ops.where(ops.isfinite(z), slope, 0 * step(z))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["activation"]
        return config
