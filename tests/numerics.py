"""Numbers in and out of the backends, for comparing with NumPy."""

import contextlib

import keras
import numpy as np
from keras import ops

# JAX compiles for every shape.
EXAMPLES = 6 if keras.config.backend() == "jax" else 15


def numpy64(x):
    """Return a float64 array of a tensor, a variable or a list of numbers."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")), "float64")


@contextlib.contextmanager
def float64():
    """Make float64 available; by default JAX converts it to float32."""
    if keras.config.backend() != "jax":
        yield
        return
    import jax

    if hasattr(jax, "enable_x64"):
        enable_x64 = jax.enable_x64
    else:
        from jax.experimental import enable_x64
    with enable_x64(True):
        yield


def gradient(function, x):
    """Return the gradient of the sum of `function(x)` with respect to `x`."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x))
        return tape.gradient(total, x).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: function(x).sum())(x))
    x = ops.convert_to_tensor(x).requires_grad_()
    function(x).sum().backward()
    return x.grad.cpu().numpy()
