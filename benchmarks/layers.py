"""CPU time of layers, losses and activations against the built-in ones.

    KERAS_BACKEND=tensorflow python -m benchmarks.layers [--xla]

It takes some minutes and prints a Markdown table: the ratio of forward and
backward pass together, compiled as `fit` compiles them. In brackets the
lowest and highest median of one build.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's idle threads would spin, which counts as CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras
import numpy as np

import keras_ext
from benchmarks import paired

BACKEND = keras.config.backend()
NEVER_SLOWER = 1.02

# Batch normalization: shape, axis of the channels, calls per timed step, and
# the bar on TensorFlow.
BATCH_NORMALIZATION = [
    ((64, 28, 28, 64), -1, 1, 0.55),
    ((32, 14, 14, 256), -1, 2, 0.60),
    ((256, 512), -1, 20, 0.75),
    ((64, 128), -1, 50, NEVER_SLOWER),
    ((32, 64, 14, 14), 1, 2, NEVER_SLOWER),
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
# Name, and which kind of labels.
LOSSES = [
    ("MeanSquaredError", "numbers"),
    ("MeanAbsoluteError", "numbers"),
    ("MeanAbsolutePercentageError", "numbers"),
    ("Huber", "numbers"),
    ("LogCosh", "numbers"),
    ("BinaryCrossentropy", "one_hot"),
    ("CategoricalCrossentropy", "one_hot"),
    ("SparseCategoricalCrossentropy", "integers"),
    ("BinaryFocalCrossentropy", "one_hot"),
    ("CategoricalFocalCrossentropy", "one_hot"),
    ("KLDivergence", "one_hot"),
    ("Hinge", "one_hot"),
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

        return step

    if BACKEND == "jax":
        import jax

        @jax.jit
        def step(x, dy, weights, state):
            y, pull, state = jax.vjp(
                lambda x, w: function(x, w, state), x, weights, has_aux=True
            )
            return y, pull(dy), state

        weights = [w.value for w in weights]
        state = [v.value for v in state]
        return lambda x, dy: jax.block_until_ready(step(x, dy, weights, state))

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

    return run


def layer_step(module, name, options, shape, repeats, xla):
    """Returns a function that calls a layer in training, there and back."""
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
    """Returns a function that computes an activation, there and back."""
    activation = getattr(module.activations, name)

    def call(x, *values):
        return (activation(x), values[1]) if values else activation(x)

    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape))
    return repeated(compiled(call, [], [], xla), x, dy, repeats)


def loss_step(module, name, labels, shape, repeats, xla):
    """Returns a function that computes a loss, there and back."""
    loss = getattr(module.losses, name)()
    rng = np.random.default_rng(0)
    x = rng.dirichlet(np.ones(shape[1]), size=shape[0])
    classes = rng.integers(0, shape[1], size=shape[0])
    y_true = {
        "numbers": rng.normal(size=shape),
        "one_hot": np.eye(shape[1])[classes],
        "integers": classes,
    }[labels]
    dtype = "int32" if labels == "integers" else "float32"
    y_true = keras.ops.convert_to_tensor(y_true, dtype)

    def call(x, *values):
        value = loss(y_true, x)
        return (value, values[1]) if values else value

    return repeated(compiled(call, [], [], xla), x, 1.0, repeats)


def cases(xla):
    """Yields name, bar, builder and its arguments after the module."""
    suffix = ", XLA" * xla
    kernels = BACKEND == "tensorflow" and not xla
    for shape, axis, repeats, bar in BATCH_NORMALIZATION:
        channels_first = ", channels first" * (axis == 1)
        yield (
            f"`BatchNormalization`, {shape}{channels_first}{suffix}",
            bar if kernels else NEVER_SLOWER,
            layer_step,
            ("BatchNormalization", {"axis": axis}, shape, repeats, xla),
        )
    for name, options, shape, repeats in LAYERS:
        yield (
            f"`{name}`, {shape}{suffix}",
            NEVER_SLOWER,
            layer_step,
            (name, options, shape, repeats, xla),
        )
    for name in ACTIVATIONS:
        yield (
            f"`{name}`, (128, 512){suffix}",
            NEVER_SLOWER,
            activation_step,
            (name, (128, 512), 30, xla),
        )
    for name, labels in LOSSES:
        yield (
            f"`{name}`, (256, 100){suffix}",
            NEVER_SLOWER,
            loss_step,
            (name, labels, (256, 100), 30, xla),
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument(
        "--xla", action="store_true", help="also with jit_compile=True"
    )
    parser.add_argument("--only", default="", help="part of a row's name")
    args = parser.parse_args()
    if args.xla and BACKEND != "tensorflow":
        parser.error("--xla is for TensorFlow; JAX always compiles")

    print(
        f"| {BACKEND} | ratio to the built-in | built-in to itself "
        "| built-in, CPU ms | bar | |"
    )
    print("|---|---|---|---|---|---|")
    for name, bar, build, arguments in [
        *cases(False),
        *(cases(True) if args.xla else []),
    ]:
        if args.only.lower() not in name.lower():
            continue
        c = paired.compare(
            lambda b=build, a=arguments: b(keras_ext, *a),
            lambda b=build, a=arguments: b(keras, *a),
            builds=args.builds,
            pairs=args.pairs,
        )
        met = "met" if c.ratio <= bar else "missed"
        print(f"{paired.row(name, c)} {bar:.2f} | {met} |", flush=True)


if __name__ == "__main__":
    main()
