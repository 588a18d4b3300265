"""Initial weights that are too large or too small."""

import keras
from keras import layers

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
)
from benchmarks.doctor.programs.common import (
    Setup,
    conv,
    dense,
    program,
    softmax,
    task,
    with_one_hot,
)

Normal = keras.initializers.RandomNormal


@program(
    "40147568",
    "Weights are drawn from far too wide a distribution",
    "A standard deviation that fits the layer",
    "exploding_gradient",
    "learning_rate_too_high learning_rate_too_low numerical_instability "
    "dying_relu underfitting",
    listed="TheDeepChecker",
)
def wide_weights(repaired):
    start = "he_normal" if repaired else Normal(stddev=2)
    last = layers.Dense(10, "softmax", kernel_initializer=start)
    model = dense((64,), 64, 64, 64, last=last, kernel_initializer=start)
    split = with_one_hot(task("digits", "minmax"), 10)
    optimizer = keras.optimizers.SGD(0.05)
    return Setup(model, split, CROSSENTROPY, optimizer, 12)


@program(
    "TheDeepChecker, Stack Overflow sample IPS-4",
    "Three wide ReLU layers with weights and biases of N(0, 1)",
    "He's initialization",
    "exploding_gradient",
    "learning_rate_too_high learning_rate_too_low underfitting overfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def wide_layers_of_normal_weights(repaired):
    start = "he_normal" if repaired else Normal(stddev=1)
    bias = "zeros" if repaired else Normal(stddev=1)
    options = {"kernel_initializer": start, "bias_initializer": bias}
    last = layers.Dense(10, "softmax", **options)
    model = dense((64,), 150, 150, 150, last=last, **options)
    split = with_one_hot(task("digits", "minmax"), 10)
    optimizer = keras.optimizers.Adam(3e-3)
    return Setup(model, split, CROSSENTROPY, optimizer, 8, 100)


@program(
    "GitHub aymericdamien/TensorFlow-Examples issue 368",
    "Linear hidden layers with weights of N(0, 1)",
    "ReLU and small weights",
    "exploding_gradient learning_rate_too_high underfitting",
    "overfitting",
    listed="TheDeepChecker",
    licence="the repository's",
)
def linear_layers_of_normal_weights(repaired):
    start = "he_normal" if repaired else Normal(stddev=1)
    options = {"kernel_initializer": start}
    last = layers.Dense(3, "softmax", **options)
    activation = "relu" if repaired else None
    model = dense((5,), 64, 64, last=last, activation=activation, **options)
    optimizer = keras.optimizers.Adam(5e-3 if repaired else 0.1)
    loss = "sparse_categorical_crossentropy"
    return Setup(model, task("shells"), loss, optimizer, 25, 64)


@program(
    "56541683",
    "Tiny weights: the answer of a CNN hardly depends on the image",
    "He's initialization",
    "vanishing_gradient",
    "learning_rate_too_low too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def tiny_weights(repaired):
    start = "he_normal" if repaired else Normal(stddev=0.01)
    parts = [keras.Input((12, 12, 1))]
    for n in (8, 8, 16, 16):
        parts.append(
            layers.Conv2D(
                n,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=start,
            )
        )
    parts += [layers.MaxPooling2D(2), layers.Flatten()]
    parts += [layers.Dense(32, "relu", kernel_initializer=start), softmax(4)]
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    loss = "sparse_categorical_crossentropy"
    model = keras.Sequential(parts)
    return Setup(model, task("stripes"), loss, optimizer, 12)


@program(
    "61498304",
    "Convolutions start far from what suits ReLU",
    "He's initialization",
    "exploding_gradient dying_relu",
    "learning_rate_too_high underfitting numerical_instability",
    listed="TheDeepChecker",
)
def unsuitable_convolutions(repaired):
    start = "he_normal" if repaired else Normal(mean=-1.0, stddev=0.5)
    last = softmax(4)
    model = conv((12, 12, 1), 8, 16, 16, last=last, kernel_initializer=start)
    loss = "sparse_categorical_crossentropy"
    return Setup(model, task("stripes"), loss, "adam", 15)
