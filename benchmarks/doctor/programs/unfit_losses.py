"""Losses that do not fit the targets."""

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
    as_measured,
    changed,
    dense,
    halved,
    program,
    softmax,
    task,
)


def xor():
    """Return the four rows of XOR."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return all_of(x, x[:, 0] ^ x[:, 1])


@program(
    "31556268",
    "Absolute error, slow SGD and too few epochs for XOR",
    "Squared error, Adam, more epochs",
    "output_loss_mismatch learning_rate_too_low too_few_epochs",
    "underfitting",
    listed="DeepLocalize",
)
def absolute_error_of_xor(repaired):
    last = layers.Dense(1, "sigmoid")
    model = dense((2,), 4, last=last, activation="sigmoid")
    if repaired:
        optimizer = keras.optimizers.Adam(0.1)
        return Setup(model, xor(), "mse", optimizer, 400, 4)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.11, nesterov=True)
    return Setup(model, xor(), "mae", optimizer, 300, 4)


@program(
    "38648195",
    "Softmax and squared error for labels that occur together",
    "Sigmoids and binary cross-entropy",
    "output_loss_mismatch",
    "learning_rate_too_low",
    listed="DeepLocalize",
)
def labels_together(repaired):
    rng = np.random.default_rng(26)
    y = (rng.random((1500, 3)) < 0.4).astype("float32")
    x = rng.poisson(0.5 + y @ rng.gamma(0.5, 2, (3, 20)))
    last = layers.Dense(3, "sigmoid" if repaired else "softmax")
    loss = "binary_crossentropy" if repaired else "mse"
    model = dense((20,), 20, 20, last=last, dropout=0.5)
    split = halved(x, y)
    validation = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, loss, "sgd", 20, 20, fit=validation)


@program(
    "TheDeepChecker, CNN with an inappropriate loss",
    "Squared error for classes",
    "Cross-entropy",
    "output_loss_mismatch",
    "learning_rate_too_low too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def squared_error_of_classes(repaired):
    loss = CROSSENTROPY if repaired else "mse"
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(lenet(softmax()), images(), loss, optimizer, 8)


@program(
    "DeepCrime, Reuters, hinge loss",
    "Hinge loss of probabilities and rows of 0 and 1",
    "Categorical cross-entropy",
    "output_loss_mismatch",
    "underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def hinge_of_probabilities(repaired):
    model = dense((150,), 64, last=softmax(8), dropout=0.5)
    loss = CROSSENTROPY if repaired else "hinge"
    return Setup(model, topics(), loss, "adam", 4)


@program(
    "DeepCrime, UnityEyes, squared logarithmic error",
    "Logarithmic error for angles of both signs",
    "Squared error",
    "output_loss_mismatch",
    "underfitting dying_relu numerical_instability",
    listed="dl-fl-repair",
    licence="MIT",
)
def logarithm_of_angles(repaired):
    loss = "mse" if repaired else "mean_squared_logarithmic_error"
    split = task("friedman")
    split = changed(split, y=split.y - 0.7, y_test=split.y_test - 0.7)
    model = dense((8,), 64, 32, last=layers.Dense(1))
    return Setup(model, split, loss, "adam", 20, score="r2")


@program(
    "66840108",
    "Binary cross-entropy for numbers",
    "Squared error",
    "output_loss_mismatch",
    "numerical_instability",
    listed="DEFault",
)
def crossentropy_of_numbers(repaired):
    loss = "mse" if repaired else "binary_crossentropy"
    model = dense((12,), 32, 16, last=layers.Dense(1))
    return Setup(model, task("linear"), loss, "adam", 40, score="r2")


@program(
    "46642627",
    "Sigmoid and binary cross-entropy for raw prices",
    "Linear output, squared error, Adam, scaled inputs and targets",
    "output_loss_mismatch unscaled_input unscaled_target",
    "saturated_activation learning_rate_too_high underfitting "
    "exploding_gradient",
    listed="DeepFD",
)
def entropy_of_prices(repaired):
    split = task("impedance") if repaired else as_measured("impedance")
    if not repaired:
        y, y_test = split.y * 300 + 500, split.y_test * 300 + 500
        split = changed(split, y=y, y_test=y_test)
    last = layers.Dense(1, None if repaired else "sigmoid")
    optimizer = "adam" if repaired else keras.optimizers.SGD(0.01)
    loss = "mse" if repaired else "binary_crossentropy"
    model = dense((4,), 32, 16, last=last)
    return Setup(model, split, loss, optimizer, 40, score="r2")


@program(
    "50641866",
    "Squared error for two classes: the answer is always 0.5",
    "Cross-entropy and Adam",
    "output_loss_mismatch learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def always_a_half(repaired):
    last = layers.Dense(1, "sigmoid")
    model = dense((2,), 16, 8, last=last, activation="tanh")
    loss = "binary_crossentropy" if repaired else "mse"
    optimizer = keras.optimizers.Adam(0.01) if repaired else "sgd"
    return Setup(model, task("circles"), loss, optimizer, 30)
