"""Models of every kind, with data, for tests that compare with autodiff.

All are compiled with a learning rate of 0, so that every step sees the same
weights.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

LAYERS = keras.layers
BACKEND = keras.config.backend()
STILL = {"learning_rate": 0.0}


@dataclasses.dataclass
class Case:
    """A compiled model, its data, and its loss without penalties."""

    model: Any
    x: Any
    y: Any
    loss: Callable[[Any, Any], Any]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def classes(n, k=3):
    return np.random.default_rng(1).integers(0, k, n)


def crossentropy(y, y_pred):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred))


def squared(y, y_pred):
    return ops.mean(ops.square(y - y_pred))


def compiled(model, loss, optimizer=None, **options):
    model.compile(optimizer or keras.optimizers.SGD(**STILL), loss, **options)
    return model


def classifier(layers, shape, samples=24, optimizer=None, **options):
    model = keras.Sequential(
        [
            keras.Input(shape),
            *layers,
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )
    name = "sparse_categorical_crossentropy"
    return Case(
        compiled(model, name, optimizer, **options),
        numbers(samples, *shape),
        classes(samples),
        crossentropy,
    )


def sequential(**options):
    layers = [
        LAYERS.Dense(
            8, activation="relu", kernel_regularizer="l2", name="first"
        ),
        LAYERS.BatchNormalization(name="norm"),
        LAYERS.Dense(5, name="second"),
        LAYERS.ReLU(name="relu"),
    ]
    return classifier(layers, (6,), **options)


def convolution():
    layers = [
        LAYERS.Conv2D(4, 3, activation="relu", name="conv"),
        LAYERS.MaxPooling2D(name="pool"),
        LAYERS.DepthwiseConv2D(2, name="depthwise"),
        LAYERS.Flatten(name="flat"),
    ]
    return classifier(layers, (8, 8, 2))


def functional():
    """Nested, shared, and a sum."""
    inputs = keras.Input((6,), name="in")
    shared = LAYERS.Dense(6, activation="relu", name="shared")
    encoder = keras.Sequential(
        [LAYERS.Dense(6, activation="relu", name="hidden")], name="encoder"
    )
    x = LAYERS.add([shared(shared(inputs)), encoder(inputs)], name="sum")
    x = ops.relu(LAYERS.Dense(5, name="plain")(x))
    outputs = LAYERS.Dense(3, activation="softmax", name="out")(x)
    name = "sparse_categorical_crossentropy"
    model = compiled(keras.Model(inputs, outputs), name)
    return Case(model, numbers(24, 6), classes(24), crossentropy)


class Person(keras.Model):
    """A person's own model, which calls ReLU as a function."""

    def __init__(self):
        super().__init__()
        self.first = LAYERS.Dense(6, name="first")
        self.last = LAYERS.Dense(3, activation="softmax", name="last")

    def call(self, x):
        return self.last(ops.relu(self.first(x)))


def subclassed():
    name = "sparse_categorical_crossentropy"
    model = compiled(Person(), name)
    return Case(model, numbers(24, 6), classes(24), crossentropy)


def recurrent():
    layers = [
        LAYERS.LSTM(4, return_sequences=True, name="lstm"),
        LAYERS.GRU(4, return_sequences=True, name="gru"),
        LAYERS.SimpleRNN(4, activation="relu", name="simple"),
    ]
    return classifier(layers, (5, 3))


def attention():
    inputs = keras.Input((5, 8), name="in")
    attended = LAYERS.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = LAYERS.LayerNormalization(name="norm")(attended + inputs)
    x = LAYERS.GlobalAveragePooling1D(name="pool")(x)
    outputs = LAYERS.Dense(3, activation="softmax", name="out")(x)
    name = "sparse_categorical_crossentropy"
    model = compiled(keras.Model(inputs, outputs), name)
    return Case(model, numbers(24, 5, 8), classes(24), crossentropy)


def autoencoder():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            LAYERS.Conv2D(
                4, 3, 2, padding="same", activation="relu", name="down"
            ),
            LAYERS.Conv2DTranspose(1, 3, 2, padding="same", name="up"),
        ]
    )
    x = numbers(24, 8, 8, 1)
    return Case(compiled(model, "mse"), x, x, squared)


def several_outputs():
    inputs = keras.Input((6,), name="in")
    x = LAYERS.Dense(5, activation="relu", name="trunk")(inputs)
    outputs = [LAYERS.Dense(1, name=name)(x) for name in ("a", "b")]
    model = compiled(keras.Model(inputs, outputs), ["mse", "mse"])

    def loss(y, y_pred):
        return sum(squared(a, b) for a, b in zip(y, y_pred, strict=True))

    y = (numbers(24, 1, seed=1), numbers(24, 1, seed=2))
    return Case(model, numbers(24, 6), y, loss)


def frozen_base():
    base = keras.Sequential(
        [keras.Input((6,)), LAYERS.Dense(5, activation="relu", name="inner")],
        name="base",
    )
    base.trainable = False
    return classifier([base], (6,))


def embedding():
    layers = [
        LAYERS.Embedding(7, 4, name="embedding"),
        LAYERS.Flatten(name="flat"),
    ]
    case = classifier(layers, (5,))
    case.x = np.random.default_rng(2).integers(0, 7, (24, 5))
    return case


def clipped():
    return sequential(optimizer=keras.optimizers.SGD(**STILL, clipnorm=1e-3))


def accumulated():
    return sequential(
        optimizer=keras.optimizers.SGD(**STILL, gradient_accumulation_steps=3)
    )


def scaled():
    optimizer = keras.optimizers.SGD(**STILL)
    return sequential(optimizer=keras.optimizers.LossScaleOptimizer(optimizer))


def loss_scale_factor():
    return sequential(
        optimizer=keras.optimizers.SGD(**STILL, loss_scale_factor=64.0)
    )


def eager():
    return sequential(run_eagerly=True)


def xla():
    # PyTorch's compiler is another matter.
    return sequential(jit_compile=BACKEND != "torch")


def not_jitted():
    return sequential(jit_compile=False)


def several_steps():
    return sequential(steps_per_execution=1 if BACKEND == "torch" else 2)


CASES = {
    function.__name__: function
    for function in (
        sequential,
        convolution,
        functional,
        subclassed,
        recurrent,
        attention,
        autoencoder,
        several_outputs,
        frozen_base,
        embedding,
        clipped,
        accumulated,
        scaled,
        loss_scale_factor,
        eager,
        xla,
        not_jitted,
        several_steps,
    )
}


def gradients(case, x, y):
    """Returns the gradient of the loss on one batch, as training has it."""
    model = case.model

    def loss():
        y_pred = model(keras.tree.map_structure(as_tensor, x), training=True)
        # Keras's losses are of float32 under mixed precision.
        y_pred = keras.tree.map_structure(
            lambda p: ops.cast(p, "float32"), y_pred
        )
        y_true = keras.tree.map_structure(as_tensor, y)
        return case.loss(y_true, y_pred) + sum(model.losses)

    return gradients_of(loss, model.trainable_variables)


def as_tensor(x):
    return ops.convert_to_tensor(x)


def gradients_of(loss, variables):
    """Returns the backend's own gradient of `loss()`."""
    if BACKEND == "jax":
        import jax

        def stateless(values):
            pairs = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=pairs):
                return loss()

        return jax.grad(stateless)([v.value for v in variables])
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, [v.value for v in variables])
        return [tf.convert_to_tensor(g) for g in found]

    import torch

    return torch.autograd.grad(loss(), [v.value for v in variables])
