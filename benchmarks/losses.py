"""CPU time of the losses of `keras_ext` against those of `keras`.

    KERAS_BACKEND=tensorflow python -m benchmarks.losses [--xla]

It takes some minutes and prints a Markdown table: the ratio of value and
gradient of one loss for 2048 samples of 256 numbers, compiled as `fit`
compiles it. In brackets the lowest and highest median of one build.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's idle threads would spin, which counts as CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras
import numpy as np

from benchmarks import paired, programs

LOGITS = {"from_logits": True}
CASES = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("Huber", {}),
    ("LogCosh", {}),
    ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", LOGITS),
    ("CategoricalCrossentropy", {}),
    ("CategoricalCrossentropy", LOGITS),
    ("SparseCategoricalCrossentropy", {}),
    ("SparseCategoricalCrossentropy", LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0}),
    ("SparseCategoricalCrossentropy", LOGITS | {"ignore_class": 0}),
    ("BinaryFocalCrossentropy", {}),
    ("BinaryFocalCrossentropy", LOGITS),
    ("CategoricalFocalCrossentropy", {}),
    ("CategoricalFocalCrossentropy", LOGITS),
    ("KLDivergence", {}),
    ("Hinge", {}),
]


def data(name, arguments, samples=2048, size=256):
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(2, samples, size)).astype("float32")
    classes = rng.integers(0, size, samples)
    y_pred = z
    if name.startswith("Binary") or name == "Hinge":
        y_true = (t > 0).astype("float32")
        if name != "Hinge" and not arguments.get("from_logits"):
            y_pred = 1 / (1 + np.exp(-z))
    elif "Crossentropy" in name or name == "KLDivergence":
        y_true = np.eye(size, dtype="float32")[classes]
        if name == "KLDivergence":
            y_true = np.exp(t) / np.exp(t).sum(-1, keepdims=True)
        if not arguments.get("from_logits"):
            y_pred = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    else:
        y_true = t
    return classes if name.startswith("Sparse") else y_true, y_pred


def value_and_gradient(loss, y_true, y_pred, xla):
    """Returns a function that computes the loss and its gradient."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Variables, so that nothing is computed ahead.
        y_true, y_pred = tf.Variable(y_true), tf.Variable(y_pred)

        @tf.function(jit_compile=xla)
        def step():
            p = y_pred.read_value()
            with tf.GradientTape() as tape:
                tape.watch(p)
                value = loss(y_true.read_value(), p)
            return value, tape.gradient(value, p)

        step.program = lambda: programs.of_tensorflow(step, xla=xla)

    elif backend == "jax":
        import jax

        y_true, y_pred = jax.numpy.asarray(y_true), jax.numpy.asarray(y_pred)
        compiled = jax.jit(jax.value_and_grad(lambda p, y: loss(y, p)))

        def step():
            return jax.block_until_ready(compiled(y_pred, y_true))

        step.program = lambda: programs.of_jax(compiled, y_pred, y_true)

    else:
        y_true = keras.ops.convert_to_tensor(y_true)
        y_pred = keras.ops.convert_to_tensor(y_pred).requires_grad_()

        def step():
            y_pred.grad = None
            loss(y_true, y_pred).backward()

    return step


def loss_step(module, name, arguments, xla):
    """Returns a function that computes a loss and its gradient."""
    loss = getattr(module.losses, name)(**arguments)
    return value_and_gradient(loss, *data(name, arguments), xla)


def cases(xla):
    """Yields name, limit, builder and its arguments after the module."""
    for name, arguments in CASES:
        shown = ", ".join(f"{k}={v}" for k, v in arguments.items())
        yield (
            f"`{name}({shown})`" + ", XLA" * xla,
            paired.NEVER_SLOWER,
            loss_step,
            (name, arguments, xla),
        )


if __name__ == "__main__":
    paired.report(__doc__, cases)
