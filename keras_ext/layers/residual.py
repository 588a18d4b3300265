"""Residual connection."""

from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.layers.dense import get_activation

Tensor = Any
Shape = tuple[int | None, ...]


@registered
class Residual(keras.layers.Layer):
    """Residual (skip) connection around layers: they learn a difference.

    Formula, where `F` applies the layers one after the other:

    ```
    y = activation(x + F(x))              if F keeps the shape
    y = activation(projection(x) + F(x))  otherwise
    ```

    Since `dy/dx = 1 + dF/dx`, gradients reach the layers before the
    connection even if the gradients of `F` are small.

    Args:
        layers: A layer or a model, or a list of them.
        projection: The layer that makes the shapes equal; it is always
            applied. `"auto"` applies nothing if the shapes are equal, and
            otherwise a linear map without bias: a dense layer for the
            channels, or a convolution with a kernel of size 1 and strides if
            the other axes also shrink. `None` requires equal shapes.
        activation: Activation function after the sum, by name or as a
            callable; `None` is the identity.

    Call arguments:
        inputs: Tensor of rank 2 or more.
        training: Passed on to the layers.
        mask: Passed on to the layers.

    Input shape:
        The input shape of the first layer: `(batch_size, ..., channels)`.

    Output shape:
        The output shape of the last layer. Masks are passed on unless the
        axes before the channels change.

    Raises:
        ValueError: If `layers` or `projection` is none of the above, or the
            shapes differ without a projection.

    Example:
    >>> import keras
    >>> from keras_ext.layers import Residual
    >>> layer = Residual(keras.layers.Dense(3, kernel_initializer="ones"))
    >>> x = keras.ops.convert_to_tensor([[1.0, 2.0, 3.0]])
    >>> print(keras.ops.convert_to_numpy(layer(x)))
    [[7. 8. 9.]]
    >>> Residual(keras.layers.Dense(5)).compute_output_shape((None, 3))
    (None, 5)

    Reference: [He et al., 2015](https://arxiv.org/abs/1512.03385); the
    projection is their option B

    Keras has no such layer. A layer that is in `layers` and elsewhere in a
    model shares its weights; as with all wrappers, saving loses the sharing.
    """

    def __init__(
        self,
        layers: Any,
        projection: Any = "auto",
        activation: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(layers, list | tuple):
            layers = [layers]
        is_layer = [isinstance(layer, keras.layers.Layer) for layer in layers]
        holds = bool(layers) and all(is_layer)
        require(holds, "be a layer or a list of layers", layers=layers)
        given = isinstance(projection, keras.layers.Layer)
        holds = given or projection is None or projection == "auto"
        must = "be 'auto', `None` or a layer"
        require(holds, must, projection=projection)
        # `Sequential` passes masks and `training` from layer to layer.
        self.block = keras.Sequential(list(layers), name="block")
        self.block.supports_masking = True
        self.projection = projection
        self.projection_layer = projection if given else None
        self.activation = get_activation(activation)
        self.supports_masking = True

    @property
    def layers(self) -> list[Any]:
        """The layers that the connection skips."""
        return self.block.layers

    def build(self, input_shape: Shape) -> None:
        """Build the layers, and the projection if it is needed."""
        # `Sequential` would fix the batch size.
        input_shape = (None, *input_shape[1:])
        if not self.block.built:
            self.block.build(input_shape)
        output_shape = tuple(self.block.compute_output_shape(input_shape))
        if self.projection == "auto" and input_shape != output_shape:
            self.projection_layer = self._make_projection(
                input_shape, output_shape
            )
        if self.projection_layer is not None:
            if not self.projection_layer.built:
                self.projection_layer.build(input_shape)
            projected = self.projection_layer.compute_output_shape(input_shape)
            if tuple(projected) != output_shape:
                raise ValueError(
                    "`projection` must return the shape that `layers` "
                    f"return, {output_shape}. Received: {tuple(projected)}"
                )
        elif input_shape != output_shape:
            raise ValueError(
                "`layers` must keep the shape of the input if `projection` "
                f"is `None`. Received: {input_shape}, which they turn into "
                f"{output_shape}"
            )

    def _make_projection(self, input_shape: Shape, output_shape: Shape) -> Any:
        rank = len(input_shape)
        axis = self._channel_axis(rank)
        options = {
            "use_bias": False,
            "dtype": self.dtype_policy,
            "name": "projection",
        }
        if rank == len(output_shape) and rank >= 2:
            units = output_shape[axis]
            spatial = [i for i in range(1, rank) if i != axis]
            pairs = [(input_shape[i], output_shape[i]) for i in spatial]
            if all(n == m for n, m in pairs) and axis == rank - 1:
                return keras.layers.Dense(units, **options)
            strides = [_stride(n, m) for n, m in pairs]
            if rank in (3, 4, 5) and None not in strides:
                convolution = {
                    3: keras.layers.Conv1D,
                    4: keras.layers.Conv2D,
                    5: keras.layers.Conv3D,
                }[rank]
                return convolution(
                    units,
                    1,
                    strides=tuple(strides),
                    data_format=(
                        "channels_last"
                        if axis == rank - 1
                        else "channels_first"
                    ),
                    **options,
                )
        raise ValueError(
            "`projection` must be a layer where neither a dense layer nor "
            "a strided convolution with a kernel of size 1 makes the shapes "
            f"equal. Received: projection='auto', input shape {input_shape}, "
            f"which `layers` turn into {output_shape}"
        )

    def _channel_axis(self, rank: int) -> int:
        for layer in self.layers:
            if getattr(layer, "data_format", None) == "channels_first":
                return 1
        return rank - 1

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Add the input, projected if needed, to the output of the layers."""
        x = inputs
        if self.projection_layer is not None:
            x = self.projection_layer(inputs)
        difference = self.block(inputs, training=training, mask=mask)
        y = ops.cast(x, self.compute_dtype) + ops.cast(
            difference, self.compute_dtype
        )
        return y if self.activation is None else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape of the layers."""
        return tuple(self.block.compute_output_shape(tuple(input_shape)))

    def compute_mask(
        self, inputs: Tensor, previous_mask: Tensor | None = None
    ) -> Tensor | None:
        """Return the mask if the axes before the channels keep their sizes."""
        output_shape = self.compute_output_shape(inputs.shape)
        if output_shape[:-1] != tuple(inputs.shape[:-1]):
            return None
        return previous_mask

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        projection = self.projection
        if isinstance(projection, keras.layers.Layer):
            projection = keras.layers.serialize(projection)
        config.update(
            {
                "layers": [keras.layers.serialize(x) for x in self.layers],
                "projection": projection,
                "activation": keras.activations.serialize(self.activation),
            }
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Residual":
        """Create the layer from its `get_config`."""
        config = dict(config)
        config["layers"] = [
            keras.layers.deserialize(layer) for layer in config["layers"]
        ]
        if isinstance(config["projection"], dict):
            config["projection"] = keras.layers.deserialize(
                config["projection"]
            )
        return cls(**config)


def _stride(n: int | None, m: int | None) -> int | None:
    """Return the stride that takes an axis from `n` to `m`, if any."""
    if n == m:
        return 1
    if not n or not m:
        return None
    stride = -(-n // m)
    return stride if -(-n // stride) == m else None
