"""Initial weights that are equal in all units of a layer."""

import keras
import numpy as np
from keras import layers

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
    topics,
)
from benchmarks.doctor.programs.common import (
    Setup,
    all_of,
    dense,
    program,
    softmax,
    task,
)

Constant = keras.initializers.Constant


@program(
    "42516484",
    "All weights of a network for XOR start at zero",
    "Random weights",
    "symmetric_units",
    "vanishing_gradient learning_rate_too_low underfitting dying_relu",
    listed="TheDeepChecker",
)
def xor_of_zeros(repaired):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    split = all_of(x, x[:, 0] ^ x[:, 1])
    start = "glorot_uniform" if repaired else "zeros"
    last = layers.Dense(1, "sigmoid", kernel_initializer=start)
    model = dense(
        (2,), 8, last=last, activation="tanh", kernel_initializer=start
    )
    optimizer = keras.optimizers.Adam(0.05)
    return Setup(model, split, "binary_crossentropy", optimizer, 150, 4)


@program(
    "48027263",
    "Equal weights in all units: the network learns nothing",
    "Random weights",
    "symmetric_units",
    "underfitting vanishing_gradient",
    listed="TheDeepChecker",
)
def equal_weights(repaired):
    start = "he_normal" if repaired else "ones"
    last = layers.Dense(1, "sigmoid")
    model = dense(
        (2,), 24, 24, last=last, activation="tanh", kernel_initializer=start
    )
    split, optimizer = task("moons"), keras.optimizers.Adam(0.01)
    return Setup(model, split, "binary_crossentropy", optimizer, 40)


@program(
    "55006469",
    "Weights of zero: gradient descent does not update them",
    "Random weights",
    "symmetric_units",
    "dying_relu vanishing_gradient learning_rate_too_low underfitting",
    listed="TheDeepChecker",
)
def not_updated(repaired):
    start = "he_normal" if repaired else "zeros"
    last = softmax(4)
    model = dense((20,), 32, 16, last=last, kernel_initializer=start)
    optimizer = keras.optimizers.SGD(0.05)
    split = task("clusters")
    loss = "sparse_categorical_crossentropy"
    return Setup(model, split, loss, optimizer, 25)


@program(
    "TheDeepChecker, regression with constant weights",
    "All kernels start at 0.01",
    "He's initialization",
    "symmetric_units",
    "underfitting vanishing_gradient",
    listed="TheDeepChecker",
    licence="none stated",
)
def constant_kernels(repaired):
    start = "he_normal" if repaired else Constant(0.01)
    last = layers.Dense(1, kernel_initializer=start)
    model = dense((8,), 64, 64, last=last, kernel_initializer=start)
    return Setup(model, task("friedman"), "mse", "adam", 25, score="r2")


@program(
    "TheDeepChecker, CNN with constant weights",
    "All convolutions start at one constant",
    "He's initialization",
    "symmetric_units",
    "underfitting vanishing_gradient",
    listed="TheDeepChecker",
    licence="none stated",
)
def constant_convolutions(repaired):
    start = "he_normal" if repaired else Constant(0.1)
    model = lenet(softmax(), kernel_initializer=start)
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(model, images(), CROSSENTROPY, optimizer, 12)


@program(
    "DeepCrime, MNIST, first kernel of zeros",
    "The first convolution starts at zero",
    "Glorot's initialization",
    "symmetric_units dying_relu",
    "vanishing_gradient underfitting learning_rate_too_low",
    listed="dl-fl-repair",
    licence="MIT",
)
def first_kernel_of_zeros(repaired):
    start = "glorot_uniform" if repaired else "zeros"
    parts = [layers.Conv2D(8, 3, activation="relu", kernel_initializer=start)]
    parts.append(layers.Conv2D(16, 3, activation="relu"))
    parts += [layers.MaxPooling2D(2), layers.Dropout(0.25), layers.Flatten()]
    parts += [layers.Dense(64, "relu"), layers.Dropout(0.5), softmax()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts])
    optimizer = keras.optimizers.Adadelta(1.0)
    return Setup(model, images(), CROSSENTROPY, optimizer, 10, 64)


@program(
    "DeepCrime, Reuters, first kernel of ones",
    "The first layer starts at one",
    "Glorot's initialization",
    "symmetric_units",
    "exploding_gradient learning_rate_too_high underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def words_of_ones(repaired):
    start = "glorot_uniform" if repaired else "ones"
    last = softmax(8)
    model = dense((150,), 64, last=last, dropout=0.5, kernel_initializer=start)
    return Setup(model, topics(), CROSSENTROPY, "adam", 10)


@program(
    "DeepCrime, CIFAR-10, second kernel of ones",
    "The second convolution starts at one",
    "Glorot's initialization",
    "symmetric_units exploding_gradient",
    "learning_rate_too_high dying_relu underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def images_of_ones(repaired):
    start = "glorot_uniform" if repaired else "ones"
    parts = [layers.Conv2D(8, 3, padding="same", activation="relu")]
    parts.append(layers.MaxPooling2D(2))
    parts.append(
        layers.Conv2D(
            16,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=start,
        )
    )
    parts += [layers.MaxPooling2D(2), layers.Flatten()]
    parts += [layers.Dense(32, "relu"), softmax(4)]
    model = keras.Sequential([keras.Input((12, 12, 1)), *parts])
    loss = "sparse_categorical_crossentropy"
    return Setup(model, task("stripes"), loss, "adam", 12, 64)
