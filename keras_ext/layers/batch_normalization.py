"""Batch normalization."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._registration import registered
from keras_ext.layers._backend import normalize_batch

Tensor = Any

# Keras 3.12 has no batch renormalization.
_RENORM = (
    "renorm" in inspect.signature(keras.layers.BatchNormalization).parameters
)


@registered
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization: each channel with mean 0 and variance 1.

    Formula in training, with the mean `mu` and the variance `sigma2` of each
    channel over the batch and all axes but `axis`:

    ```
    x_hat = (x - mu) / sqrt(sigma2 + epsilon)
    y = gamma * x_hat + beta
    moving_mean <- momentum * moving_mean + (1 - momentum) * mu
    moving_variance <- momentum * moving_variance + (1 - momentum) * sigma2
    ```

    At inference the moving averages replace `mu` and `sigma2`. They also do so
    in a frozen layer (`trainable = False`), whose averages do not change.
    `sigma2` is the mean squared deviation, divided by `n` and not by `n - 1`.
    In half precision the arithmetic is float32.

    Args:
        axis: The axis of the channels, each normalized separately: -1, or 1
            for images with the channels first.
        momentum: Weight of the past in the moving averages, in [0, 1].
        epsilon: Small constant that keeps the root from 0, >= 0.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        moving_mean_initializer: Initializer of the moving mean.
        moving_variance_initializer: Initializer of the moving variance.
        beta_regularizer: Regularizer of `beta`.
        gamma_regularizer: Regularizer of `gamma`.
        beta_constraint: Constraint on `beta`.
        gamma_constraint: Constraint on `gamma`.
        renorm: Whether to use batch renormalization, as the built-in
            computes it; not in Keras 3.12.
        renorm_clipping: Limits `"rmax"`, `"rmin"` and `"dmax"` of the
            renormalization's correction, in a dictionary.
        renorm_momentum: Weight of the past in the renormalization's averages.
        synchronized: Whether the replicas of a `tf.distribute` strategy
            share their statistics; TensorFlow only.

    Call arguments:
        inputs: Tensor of any rank.
        training: Whether to normalize by the batch and to update the
            averages.
        mask: Tensor of the shape of `inputs` without the last axis; masked
            entries do not count for the statistics.

    Input shape:
        `(batch_size, ..., channels)`, or with the channels at `axis`.

    Output shape:
        The shape of the input. Masks are passed on.

    Raises:
        ValueError: If `momentum` is outside [0, 1], `epsilon` is negative,
            the input has no axis `axis` of known length, or
            `keras.layers.BatchNormalization` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.layers import BatchNormalization
    >>> layer = BatchNormalization(epsilon=0.0)
    >>> x = keras.ops.convert_to_tensor([[1.0, 10.0], [3.0, 50.0]])
    >>> y = layer(x, training=True)
    >>> print(keras.ops.convert_to_numpy(y).round(2))
    [[-1. -1.]
     [ 1.  1.]]
    >>> print(layer.moving_mean.numpy().round(2))
    [0.02 0.3 ]

    References: [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167);
    [Ioffe, 2017](https://arxiv.org/abs/1702.03275) for `renorm`

    It computes what `keras.layers.BatchNormalization` computes. In the moving
    variance the paper divides by `n - 1`. Differences from the built-in:

    - An empty batch leaves the moving averages unchanged; the built-in makes
      them NaN.
    - In float64 the arithmetic is float64 on every backend; the built-in's is
      float32 on JAX and PyTorch.
    - On PyTorch the variance is the mean of squared deviations; the built-in's
      difference of two squares loses its digits if the mean is large.
    - On TensorFlow the second derivatives include how the deviations depend on
      the mean; the built-in's do not. With `synchronized`, and under XLA if
      the channels are not last, they are those of the built-in.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        require(0 <= momentum <= 1, "be in [0, 1]", momentum=momentum)
        require(epsilon >= 0, "be a number >= 0", epsilon=epsilon)
        if _RENORM:
            kwargs.update(
                renorm=renorm,
                renorm_clipping=renorm_clipping,
                renorm_momentum=renorm_momentum,
            )
        else:
            must = "be `False` in this version of Keras"
            require(not renorm, must, renorm=renorm)
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            synchronized=synchronized,
            **kwargs,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights, one number per channel."""
        rank = len(input_shape)
        is_axis = -rank <= self.axis < rank
        require(
            is_axis and input_shape[self.axis] is not None,
            "be an axis of the input of known length",
            axis=self.axis,
            input_shape=input_shape,
        )
        super().build(input_shape)

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Normalize by the batch in training, else by the moving averages."""
        if getattr(self, "renorm", False):
            return super().call(inputs, training=training, mask=mask)
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ValueError(
                "`mask` must have one axis less than the inputs. Received: "
                f"mask.shape={mask.shape}, inputs.shape={inputs.shape}"
            )
        # Squares overflow in half precision. Except on TensorFlow, Keras's
        # result type of float64 and float32 is float32.
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype != "float64":
            dtype = keras.backend.result_type(dtype, "float32")
        x = ops.cast(inputs, dtype)
        gamma = ops.cast(self.gamma, x.dtype) if self.scale else None
        beta = ops.cast(self.beta, x.dtype) if self.center else None

        # An empty batch has no statistics.
        if training and self.trainable and 0 not in x.shape:
            if mask is None and not self.synchronized:
                y, mean, variance = normalize_batch(
                    x, self.axis, gamma, beta, self.epsilon
                )
                self._move(x, mean, variance)
                return ops.cast(y, self.compute_dtype)
            if mask is None:
                mean, variance = ops.moments(
                    x, self._axes(x), synchronized=True
                )
            else:
                mean, variance = self._masked_moments(x, mask)
            self._move(x, mean, variance)
        else:
            mean = ops.cast(self.moving_mean, x.dtype)
            variance = ops.cast(self.moving_variance, x.dtype)
        y = ops.batch_normalization(
            x, mean, variance, self.axis, beta, gamma, self.epsilon
        )
        return ops.cast(y, self.compute_dtype)

    def _axes(self, x: Tensor) -> list[int]:
        rank = len(x.shape)
        return [i for i in range(rank) if i != self.axis % rank]

    def _masked_moments(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        axes = self._axes(x)
        mask = ops.cast(ops.expand_dims(mask, -1), "bool")
        mask = ops.broadcast_to(mask, ops.shape(x))
        size = ops.sum(ops.cast(mask, x.dtype), axes, keepdims=True)
        # As in Keras: 0 instead of NaN if everything is masked.
        size = size + keras.config.epsilon()
        total = ops.sum(ops.where(mask, x, 0), axes, keepdims=True)
        mean = total / size
        square = ops.square(ops.where(mask, x - mean, 0))
        variance = ops.sum(square, axes, keepdims=True) / size
        return ops.squeeze(mean, axes), ops.squeeze(variance, axes)

    def _move(self, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            old = ops.cast(moving, value.dtype)
            new = old * self.momentum + value * (1 - self.momentum)
            if None in x.shape:
                new = ops.where(ops.size(x) > 0, new, old)
            moving.assign(new)
