"""Dense layer."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_ext import activations
from keras_ext._checks import require
from keras_ext._registration import registered

Tensor = Any

# Keras 3.12 has no configuration of quantization.
_QUANTIZATION_CONFIG = (
    "quantization_config" in inspect.signature(keras.layers.Dense).parameters
)


def get_activation(identifier: Any) -> Any:
    """Return the function that a layer's `activation` argument names.

    Names that Keras does not know, such as `"step"`, are looked up in
    `keras_ext.activations`.
    """
    if isinstance(identifier, str) and not hasattr(
        keras.activations, identifier
    ):
        identifier = getattr(activations, identifier, identifier)
    return keras.activations.get(identifier)


@registered
class Dense(keras.layers.Dense):
    """Dense (fully connected) layer: each unit sees all inputs.

    Formula:

    ```
    y = activation(x @ kernel + bias)
    ```

    along the last axis of an input of any rank.

    Args:
        activity_regularizer: Regularizer of the output.
        lora_rank: If set, the kernel is frozen and a trainable product of
            two matrices of this rank is added to it.
        lora_alpha: Scale of that product, times `lora_rank`; `None` means
            `lora_rank`.
        quantization_config: Configuration of `quantize`; not in Keras 3.12.

    Input shape:
        `(batch_size, ..., input_dim)`. Masks are passed on.

    Output shape:
        `(batch_size, ..., units)`.

    Raises:
        ValueError: If `units` is not a positive integer, or
            `keras.layers.Dense` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.layers import Dense
    >>> layer = Dense(2, activation="step", kernel_initializer="ones")
    >>> x = keras.ops.convert_to_tensor([[0.5, 1.0], [0.5, -1.0]])
    >>> print(keras.ops.convert_to_numpy(layer(x)))
    [[1. 1.]
     [0. 0.]]

    Reference: [Goodfellow et al., 2016](https://www.deeplearningbook.org),
    chapter 6

    It computes what `keras.layers.Dense` computes, and weights are
    interchangeable. `activation` also accepts the names of functions that
    only this package has.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ):
        holds = isinstance(units, int) and units > 0
        require(holds, "be a positive integer", units=units)
        if _QUANTIZATION_CONFIG:
            kwargs["quantization_config"] = quantization_config
        else:
            require(
                quantization_config is None,
                "be `None` in this version of Keras",
                quantization_config=quantization_config,
            )
        super().__init__(
            units=units,
            activation=get_activation(activation),
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            **kwargs,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Compute the units' outputs."""
        z = self._weigh(inputs)
        return z if self.activation is None else self.activation(z)

    def _weigh(self, x: Tensor) -> Tensor:
        # `kernel` includes what LoRA adds to it.
        z = ops.matmul(x, self.kernel)
        return z if self.bias is None else z + self.bias

    def quantize(
        self,
        mode: Any = None,
        type_check: bool = True,
        config: Any = None,
    ) -> None:
        """Quantize the weights, as the built-in does.

        Args:
            mode: Name of the mode, such as `"int8"`.
            type_check: Whether to refuse subclasses.
            config: Configuration of the quantization.
        """
        # The built-in treats this class as a subclass and refuses it.
        type_check = type_check and type(self) is not Dense
        arguments = {} if config is None else {"config": config}
        super().quantize(mode, type_check=type_check, **arguments)
