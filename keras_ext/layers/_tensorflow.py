"""Layer kernels of TensorFlow."""

import math
from typing import Any

import tensorflow as tf

from keras_ext.layers import _plain

Tensor = Any


def normalize_batch(
    x: Tensor,
    axis: int,
    gamma: Tensor | None,
    beta: Tensor | None,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize with a gradient of few kernels.

    TensorFlow's own gradient of the formula moves the whole tensor through
    memory about twice as often, and its second derivatives ignore that the
    deviations in the variance depend on the mean.
    """
    axis %= len(x.shape)
    last = axis == len(x.shape) - 1
    channels = x.shape[axis]
    # XLA fuses the formula better, except along the last axis.
    if channels is None or (not last and _in_xla()):
        return _plain.normalize_batch(x, axis, gamma, beta, epsilon)
    is_matrix = last and axis == 1
    shape = tf.shape(x)
    by_matmul = False
    if last:
        rows = x if is_matrix else tf.reshape(x, (-1, channels))
        by_matmul = _matmul_sums(x)
        sum_rows = _sum_rows if by_matmul else _reduce_rows
        size = tf.shape(rows)[0]
    else:
        inner = tf.reduce_prod(shape[axis + 1 :])
        rows = tf.reshape(x, (tf.reduce_prod(shape[:axis]), channels, inner))
        sum_rows = _reduce_planes
        size = tf.size(x) // channels
        gamma = None if gamma is None else tf.reshape(gamma, (1, -1, 1))
        beta = None if beta is None else tf.reshape(beta, (1, -1, 1))
    # An empty batch must not divide by 0.
    size = tf.cast(tf.maximum(size, 1), x.dtype)

    mean = sum_rows(rows) / size
    variance = sum_rows(tf.square(rows - mean)) / size
    error = tf.zeros_like(mean)
    if by_matmul:
        # Sums by products have larger rounding errors; `error` is the mean's.
        error = sum_rows(rows - mean) / size
        variance = tf.maximum(variance - tf.square(error), 0)
    inverse = tf.math.rsqrt(variance + epsilon)

    # The statistics are arguments, so that second derivatives include how
    # they depend on the rows. The gradient of the rows holds all first
    # derivatives.
    @tf.custom_gradient
    def normalize(
        x: Tensor,
        mean: Tensor,
        error: Tensor,
        inverse: Tensor,
        *weights: Tensor,
    ) -> Any:
        scale = inverse if gamma is None else inverse * weights[0]
        y = (x - mean) * scale
        if by_matmul:
            shift = error * scale
            y += weights[-1] - shift if beta is not None else -shift
        elif beta is not None:
            y += weights[-1]

        def gradient(dy: Tensor) -> tuple[Tensor | None, ...]:
            # Computed again: stored, it would take as much memory as `x`.
            centered = x - mean
            d_beta = sum_rows(dy)
            product = sum_rows(dy * centered)
            if by_matmul:
                product -= error * d_beta
            d_gamma = product * inverse
            slope = d_gamma * inverse / size
            constant = d_beta / size
            if by_matmul:
                constant -= error * slope
            dx = (dy - centered * slope - constant) * scale
            grads = [dx, None, None, None]
            if gamma is not None:
                grads.append(d_gamma)
            if beta is not None:
                grads.append(d_beta)
            return tuple(grads)

        return y, gradient

    weights = [weight for weight in (gamma, beta) if weight is not None]
    y = normalize(rows, mean, error, inverse, *weights)
    if not is_matrix:
        y = tf.reshape(y, shape)
        y.set_shape(x.shape)
    if by_matmul:
        mean += error
    return y, tf.reshape(mean, (-1,)), tf.reshape(variance, (-1,))


def _matmul_sums(x: Tensor) -> bool:
    # A product is slow for few columns, and not worth it for few numbers; an
    # unknown batch size counts as 64. Accelerators may round the factors to
    # fewer digits, and so may graph rewriting for mixed precision. XLA has
    # fast sums.
    if x.shape[-1] < 4 or math.prod(n or 64 for n in x.shape) < 2**15:
        return False
    if _in_xla():
        return False
    if any(d.device_type != "CPU" for d in tf.config.get_visible_devices()):
        return False
    options = tf.config.optimizer.get_experimental_options()
    return not any(name.startswith("auto_mixed") for name in options)


def _in_xla() -> bool:
    return tf.__internal__.get_enclosing_xla_context() is not None


def _sum_rows(x: Tensor) -> Tensor:
    # On a CPU several times faster than `tf.reduce_sum` over the first axis.
    ones = tf.ones((1, tf.shape(x)[0]), x.dtype)
    return tf.reshape(tf.matmul(ones, x), (-1,))


def _reduce_rows(x: Tensor) -> Tensor:
    return tf.reduce_sum(x, axis=0)


def _reduce_planes(x: Tensor) -> Tensor:
    return tf.reduce_sum(x, axis=(0, 2), keepdims=True)
