"""Perceptron."""

from typing import Any

from keras import ops

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

    The slope of that is 0 wherever it has one, so the gradient passes
    straight through the step, as if `dy/dz` were 1. Trained on batches of
    one by `keras.optimizers.SGD(learning_rate)` without momentum, a layer of
    one unit then follows Rosenblatt's rule to the letter,

    ```
    kernel <- kernel + learning_rate * (y_true - y) * x
    bias <- bias + learning_rate * (y_true - y)
    ```

    with `Huber` of `delta` 1 or more, whose derivative is the error for
    errors of -1, 0 and 1. So is that of `MeanAbsoluteError`, except on JAX,
    which takes the slope of `|e|` at 0 to be 1. `MeanSquaredError` doubles
    the step. All of them average: over a batch, and over the units, so that
    `n` units take steps of `learning_rate / n`.

    The rule ends, with no more errors, if and only if a line (a hyperplane)
    parts the two classes: it learns AND and OR, and never XOR.

    Args:
        units: Number of units, a positive integer. Defaults to `1`.
        use_bias: Whether to add a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel.
            Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the bias. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernel. Defaults to `None`.
        bias_regularizer: Regularizer of the bias. Defaults to `None`.
        kernel_constraint: Constraint on the kernel. Defaults to `None`.
        bias_constraint: Constraint on the bias. Defaults to `None`.
        **kwargs: Other arguments of `Dense`, such as `name` and `dtype`;
            `activation` is not one of them.

    Input shape:
        `(batch_size, ..., input_dim)`. Masks are passed on.

    Output shape:
        `(batch_size, ..., units)`, of zeros and ones.

    Raises:
        ValueError: If `units` is no positive integer, or `activation` is
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

    Reference:

    - [Rosenblatt, 1958](https://doi.org/10.1037/h0042519)
    - [Bengio et al., 2013](https://arxiv.org/abs/1308.3432) for the gradient
      that passes straight through

    Keras has no such layer. As a hidden layer it trains too, by the gradient
    that passes through, but no theorem says that it ends.
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
        if "activation" in kwargs:
            raise ValueError(
                "`activation` must be left out: it is the step. "
                f"Received: activation={kwargs['activation']}"
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
        """Computes which units fire."""
        z = self._weigh(inputs)
        # 0 with a slope of 1. `z + stop_gradient(step(z) - z)` would round
        # the 1 away where `z` is large.
        slope = z - ops.stop_gradient(z)
        return step(z) + ops.where(ops.isfinite(z), slope, 0 * step(z))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["activation"]
        return config
