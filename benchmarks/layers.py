"""CPU time of layers and activations against the built-in ones.

    KERAS_BACKEND=tensorflow python -m benchmarks.layers [--xla]

It takes some minutes and prints a Markdown table: the ratio of a forward and
backward pass, compiled as `fit` compiles it. In brackets the lowest and
highest median of one build.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's idle threads would spin, which counts as CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import functools

import keras
import numpy as np

from benchmarks import paired, programs

BACKEND = keras.config.backend()

# Batch normalization: shape, axis of the channels, calls per timed step, and
# the limit on TensorFlow.
BATCH_NORMALIZATION = [
    ((64, 28, 28, 64), -1, 1, 0.55),
    ((32, 14, 14, 256), -1, 2, paired.NEVER_SLOWER),
    ((256, 512), -1, 20, 0.75),
    ((64, 128), -1, 50, paired.NEVER_SLOWER),
    ((32, 64, 14, 14), 1, 2, paired.NEVER_SLOWER),
]

# Name, arguments, shape and calls per timed step.
LAYERS = [
    ("Dense", {"units": 512, "activation": "relu"}, (128, 784), 5),
    ("Dropout", {"rate": 0.5, "seed": 1}, (128, 512), 20),
    ("ReLU", {}, (128, 512), 30),
    ("LeakyReLU", {}, (128, 512), 30),
    ("ELU", {}, (128, 512), 20),
    ("Softmax", {}, (128, 512), 20),
]
ACTIVATIONS = [
    "elu",
    "leaky_relu",
    "linear",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "swish",
    "tanh",
]


def compiled(function, weights, state, xla):
    """Returns a step: the value of `function(x)` and all gradients.

    The function takes `x`, and on JAX also the weights and the state.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=xla)
        def step(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            sources = [x, *[w.value for w in weights]]
            return y, tape.gradient(y, sources, dy)

        step.program = lambda x, dy: programs.of_tensorflow(
            step, x, dy, xla=xla
        )
        return step

    if BACKEND == "jax":
        import jax

        @jax.jit
        def compiled(x, dy, weights, state):
            y, pull, state = jax.vjp(
                lambda x, w: function(x, w, state), x, weights, has_aux=True
            )
            return y, pull(dy), state

        weights = [w.value for w in weights]
        state = [v.value for v in state]

        def step(x, dy):
            return jax.block_until_ready(compiled(x, dy, weights, state))

        step.program = lambda x, dy: programs.of_jax(
            compiled, x, dy, weights, state
        )
        return step

    import torch

    def step(x, dy):
        x.requires_grad_()
        y = function(x)
        sources = [x, *[w.value for w in weights]]
        return y, torch.autograd.grad(y, sources, dy)

    return step


def repeated(step, x, dy, repeats):
    x, dy = (keras.ops.convert_to_tensor(v, "float32") for v in (x, dy))

    def run():
        for _ in range(repeats):
            step(x, dy)

    program = getattr(step, "program", None)
    run.program = program and functools.partial(program, x, dy)
    return run


def layer_step(module, name, options, shape, repeats, xla):
    """Returns a forward and backward pass of a layer in training."""
    keras.utils.set_random_seed(0)
    layer = getattr(module.layers, name)(**options)
    layer.build(shape)
    options = (
        {"training": True} if name in ("BatchNormalization", "Dropout") else {}
    )
    weights = layer.trainable_variables
    state = layer.non_trainable_variables

    def call(x, *values):
        if values:
            return layer.stateless_call(*values[:1], values[1], x, **options)
        return layer(x, **options)

    rng = np.random.default_rng(0)
    dy = rng.normal(size=layer.compute_output_shape(shape))
    step = compiled(call, weights, state, xla)
    return repeated(step, rng.normal(size=shape), dy, repeats)


def activation_step(module, name, shape, repeats, xla):
    """Returns a forward and backward pass of an activation."""
    activation = getattr(module.activations, name)

    def call(x, *values):
        return (activation(x), values[1]) if values else activation(x)

    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape))
    return repeated(compiled(call, [], [], xla), x, dy, repeats)


def cases(xla):
    """Yields name, limit, builder and its arguments after the module."""
    suffix = ", XLA" * xla
    kernels = BACKEND == "tensorflow" and not xla
    for shape, axis, repeats, limit in BATCH_NORMALIZATION:
        channels_first = ", channels first" * (axis == 1)
        yield (
            f"`BatchNormalization`, {shape}{channels_first}{suffix}",
            limit if kernels else paired.NEVER_SLOWER,
            layer_step,
            ("BatchNormalization", {"axis": axis}, shape, repeats, xla),
        )
    for name, options, shape, repeats in LAYERS:
        yield (
            f"`{name}`, {shape}{suffix}",
            paired.NEVER_SLOWER,
            layer_step,
            (name, options, shape, repeats, xla),
        )
    for name in ACTIVATIONS:
        yield (
            f"`{name}`, (128, 512){suffix}",
            paired.NEVER_SLOWER,
            activation_step,
            (name, (128, 512), 30, xla),
        )


if __name__ == "__main__":
    paired.report(__doc__, cases)
