"""Hidden layers that die, saturate, or lose or blow up the gradient."""

import keras
import numpy as np
from keras import layers
from sklearn import datasets

from benchmarks.doctor.programs.class_layers import CROSSENTROPY, images
from benchmarks.doctor.programs.common import (
    Setup,
    dense,
    halved,
    program,
    softmax,
    task,
    with_one_hot,
)

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
Normal = keras.initializers.RandomNormal


@program(
    "AUTOTRAINER, motivating example of dying ReLU",
    "Dozens of narrow ReLU layers",
    "SELU and an initialization that suits it",
    "dying_relu vanishing_gradient",
    "symmetric_units underfitting learning_rate_too_low",
    listed="AUTOTRAINER",
    licence="none stated",
)
def dozens_of_relu_layers(repaired):
    model = dense(
        (64,),
        *[12] * 24,
        last=softmax(),
        activation="selu" if repaired else "relu",
        kernel_initializer="lecun_normal" if repaired else "glorot_uniform",
    )
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, CROSSENTROPY, Adam(2e-3), 15)


@program(
    "AUTOTRAINER, demo of a vanishing gradient",
    "Many tanh layers with small weights for two rings",
    "ReLU and a suitable initialization",
    "vanishing_gradient",
    "learning_rate_too_low underfitting",
    listed="AUTOTRAINER",
    licence="none stated",
)
def many_tanh_layers(repaired):
    start = "he_uniform" if repaired else Normal(stddev=0.05)
    model = dense(
        (2,),
        *[20] * 8,
        last=layers.Dense(1, "sigmoid"),
        activation="relu" if repaired else "tanh",
        kernel_initializer=start,
    )
    split, optimizer = task("circles"), SGD(0.05, momentum=0.9)
    return Setup(model, split, "binary_crossentropy", optimizer, 40)


@program(
    "49891163",
    "Large steps kill all ReLU units of a convolutional network",
    "A lower rate",
    "dying_relu learning_rate_too_high",
    "exploding_gradient vanishing_gradient underfitting",
    listed="TheDeepChecker",
)
def killed_by_large_steps(repaired):
    parts = [keras.Input((8, 8, 1))]
    for n in (16, 32, 32):
        parts.append(layers.Conv2D(n, 3, padding="same", activation="relu"))
    parts += [layers.MaxPooling2D(2), layers.Flatten()]
    parts += [layers.Dense(64, "relu"), softmax()]
    optimizer = SGD(0.02 if repaired else 1.0, momentum=0.9)
    model = keras.Sequential(parts)
    return Setup(model, images(), CROSSENTROPY, optimizer, 8)


@program(
    "53749895",
    "ReLU units are dead from the start",
    "Leaky ReLU and a suitable initialization",
    "dying_relu",
    "vanishing_gradient underfitting",
    listed="TheDeepChecker",
)
def dead_from_the_start(repaired):
    bias = keras.initializers.Constant(0 if repaired else -4.0)
    activation = "leaky_relu" if repaired else "relu"
    last = softmax(4)
    model = dense(
        (20,),
        32,
        32,
        last=last,
        activation=activation,
        bias_initializer=bias,
    )
    loss = "sparse_categorical_crossentropy"
    return Setup(model, task("clusters"), loss, "adam", 25)


@program(
    "50209981",
    "Many sigmoid layers: the cross-entropy stays where it is",
    "ReLU",
    "vanishing_gradient",
    "saturated_activation learning_rate_too_low underfitting",
    listed="TheDeepChecker",
)
def many_sigmoid_layers(repaired):
    activation = "relu" if repaired else "sigmoid"
    last = softmax()
    model = dense((64,), *[40] * 6, last=last, activation=activation)
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, CROSSENTROPY, SGD(0.1), 15)


@program(
    "53848232",
    "The gradient of a deep regression explodes",
    "He's initialization and clipped gradients",
    "exploding_gradient",
    "learning_rate_too_high numerical_instability dying_relu",
    listed="TheDeepChecker",
)
def exploding_regression(repaired):
    start = "he_normal" if repaired else Normal(stddev=0.6)
    last = layers.Dense(1)
    model = dense((8,), *[48] * 5, last=last, kernel_initializer=start)
    optimizer = SGD(0.01, global_clipnorm=1.0 if repaired else None)
    return Setup(model, task("friedman"), "mse", optimizer, 25, score="r2")


@program(
    "52024026",
    "The gradient explodes in a fully connected layer",
    "Smaller weights, Adam",
    "exploding_gradient",
    "learning_rate_too_high numerical_instability dying_relu",
    listed="TheDeepChecker",
)
def exploding_layer(repaired):
    start = "glorot_uniform" if repaired else Normal(stddev=1)
    model = dense(
        (64,), 100, 50, last=layers.Dense(1), kernel_initializer=start
    )
    x, y = datasets.load_digits(return_X_y=True)
    split = halved(x / 16, ((y - 4.5) / 2.9).astype("float32"))
    optimizer = "adam" if repaired else SGD(0.01)
    return Setup(model, split, "mse", optimizer, 15, score="r2")


@program(
    "69364684",
    "GRU layers with ReLU in place of tanh",
    "Tanh",
    "dying_relu exploding_gradient",
    "vanishing_gradient numerical_instability underfitting "
    "learning_rate_too_high",
    listed="DEFault",
)
def gru_with_relu(repaired):
    activation = "tanh" if repaired else "relu"
    parts = [keras.Input((20, 1))]
    for n, more in ((8, True), (4, True), (4, True), (8, False)):
        parts.append(layers.GRU(n, activation, return_sequences=more))
    model = keras.Sequential([*parts, layers.Dense(1)])
    optimizer = Adam(0.02)
    return Setup(model, task("forecast"), "mse", optimizer, 15, score="r2")


@program(
    "71494820",
    "LSTM layers with ReLU in place of tanh",
    "Tanh",
    "exploding_gradient numerical_instability",
    "learning_rate_too_high dying_relu underfitting",
    listed="DEFault",
)
def lstm_with_relu(repaired):
    activation = "tanh" if repaired else "relu"
    split = task("forecast")
    parts = [keras.Input((20, 1))]
    for n, more in ((32, True), (16, False)):
        parts.append(layers.LSTM(n, activation, return_sequences=more))
    model = keras.Sequential([*parts, layers.Dense(1)])
    optimizer = SGD(0.2, momentum=0.9)
    return Setup(model, split, "mse", optimizer, 12, score="r2")


@program(
    "DeepCrime, UnityEyes, exponential activation",
    "Exponential as hidden activation",
    "ReLU",
    "exploding_gradient numerical_instability",
    "learning_rate_too_high underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def exponential_units(repaired):
    activation = "relu" if repaired else "exponential"
    model = dense((8,), 128, 64, last=layers.Dense(1), activation=activation)
    optimizer = Adam(3e-3)
    return Setup(model, task("friedman"), "mse", optimizer, 20, score="r2")


@program(
    "39217567",
    "Three sigmoid layers with tiny weights for codes of eight bits",
    "ReLU",
    "vanishing_gradient learning_rate_too_low too_few_epochs",
    "underfitting symmetric_units",
    listed="DeepLocalize",
)
def codes_of_eight_bits(repaired):
    x = (np.arange(256)[:, None] >> np.arange(8)) & 1
    order = np.random.default_rng(15).permutation(8)
    split = halved(x, x[:, order].astype("float32"))
    activation = "relu" if repaired else "sigmoid"
    start = "he_normal" if repaired else "random_normal"
    last = layers.Dense(8, "sigmoid", kernel_initializer=start)
    model = dense(
        (8,),
        24,
        24,
        last=last,
        activation=activation,
        kernel_initializer=start,
    )
    optimizer = SGD(0.5)
    return Setup(model, split, "mse", optimizer, 150, 16)


@program(
    "52783615",
    "Accuracy does not change: the ReLU units before the last layer are dead",
    "Smaller steps",
    "dying_relu learning_rate_too_high",
    "exploding_gradient underfitting vanishing_gradient",
    listed="TheDeepChecker",
)
def accuracy_does_not_change(repaired):
    optimizer = Adam(1e-3 if repaired else 0.1)
    model = dense((64,), 64, 32, 16, last=softmax())
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, CROSSENTROPY, optimizer, 15)
