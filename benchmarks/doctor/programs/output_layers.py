"""Last layers whose range or size does not hold the answers."""

import keras
import numpy as np
from keras import layers
from sklearn import datasets

from benchmarks.doctor.programs.common import (
    Setup,
    as_measured,
    changed,
    conv,
    dense,
    halved,
    program,
    softmax,
    standardized,
    task,
    with_one_hot,
)


def friedman():
    """Return inputs and targets, both standardized."""
    return task("friedman")


@program(
    "44066044",
    "ReLU as last activation with cross-entropy; inputs of all scales",
    "Sigmoid; standardized inputs",
    "output_loss_mismatch unscaled_input",
    "dying_relu numerical_instability",
    listed="DeepLocalize",
)
def network_packets(repaired):
    split = as_measured("breast_cancer")
    last = layers.Dense(
        1,
        "sigmoid" if repaired else "relu",
        kernel_initializer="random_normal",
    )
    model = dense((30,), 12, 12, last=last, kernel_initializer="random_normal")
    split = standardized(split) if repaired else split
    return Setup(model, split, "binary_crossentropy", "adam", 10, 16)


@program(
    "47352366",
    "ReLU as last activation of ten classes",
    "Softmax",
    "output_loss_mismatch",
    "numerical_instability dying_relu",
    listed="DeepLocalize",
)
def relu_for_digits(repaired):
    split = with_one_hot(task("digit_images", "minmax"), 10)
    bias = keras.initializers.Constant(0.1)
    model = conv(
        (8, 8, 1),
        16,
        32,
        last=layers.Dense(10, "softmax" if repaired else "relu"),
        units=(128,),
        dropout=0.5,
        bias_initializer=bias,
    )
    return Setup(model, split, "categorical_crossentropy", "adam", 10, 50)


@program(
    "48251943",
    "ReLU as last activation for targets of both signs",
    "Tanh",
    "output_loss_mismatch",
    "dying_relu underfitting",
    listed="DeepLocalize",
)
def relu_for_both_signs(repaired):
    x = np.random.default_rng(4).normal(size=(800, 2))
    split = halved(x, np.tanh(x[:, 0] - x[:, 1]).astype("float32"))
    last = layers.Dense(1, "tanh" if repaired else "relu")
    model = dense((2,), 4, last=last)
    return Setup(model, split, "mse", "sgd", 40, 10, score="r2")


@program(
    "60801900",
    "ReLU as last activation: negative values are predicted as zero",
    "Linear",
    "output_loss_mismatch",
    "dying_relu underfitting",
    listed="TheDeepChecker",
)
def negative_values_as_zeros(repaired):
    last = layers.Dense(1, None if repaired else "relu")
    model = dense((8,), 64, 64, last=last)
    return Setup(model, friedman(), "mse", "adam", 25, score="r2")


@program(
    "48221692",
    "Sigmoid as last activation for points on a line",
    "Linear",
    "output_loss_mismatch",
    "underfitting saturated_activation",
    listed="DeepLocalize",
)
def sigmoid_for_a_line(repaired):
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (400, 1))
    y = 4 * x[:, 0] + 1 + rng.normal(0, 0.1, 400)
    last = layers.Dense(1, None if repaired else "sigmoid")
    model = dense((1,), 5, last=last, activation="sigmoid")
    optimizer = keras.optimizers.SGD(0.1)
    split = halved(x, y.astype("float32"))
    return Setup(model, split, "mse", optimizer, 250, 100, score="r2")


@program(
    "59278771",
    "Sigmoid for three classes, four hidden units, raw inputs",
    "Softmax, a second hidden layer, inputs in [0, 1]",
    "output_loss_mismatch",
    "underfitting dying_relu",
    listed="DeepLocalize",
)
def sigmoids_for_iris(repaired):
    x, y = datasets.load_iris(return_X_y=True)
    x = (x - x.min(0)) / np.ptp(x, 0) if repaired else x
    last = layers.Dense(
        3,
        "softmax" if repaired else "sigmoid",
        kernel_initializer="random_normal",
    )
    units = (8, 8) if repaired else (4,)
    model = dense((4,), *units, last=last, kernel_initializer="random_normal")
    split = with_one_hot(halved(x, y), 3)
    return Setup(model, split, "categorical_crossentropy", "adam", 80, 5)


@program(
    "50079585",
    "One sigmoid and binary cross-entropy for three kinds of images",
    "Softmax of three units and categorical cross-entropy",
    "output_loss_mismatch",
    listed="DeepLocalize, NeuraLint",
)
def one_sigmoid_for_three(repaired):
    split = task("stripes")
    keep, keep_test = split.y < 3, split.y_test < 3
    split = changed(
        split,
        x=split.x[keep],
        y=split.y[keep],
        x_test=split.x_test[keep_test],
        y_test=split.y_test[keep_test],
    )
    last = softmax(3) if repaired else layers.Dense(1, "sigmoid")
    loss = "sparse_categorical_crossentropy" if repaired else None
    model = conv((12, 12, 1), 8, 16, last=last, dropout=0.3)
    loss = loss or "binary_crossentropy"
    return Setup(model, split, loss, "rmsprop", 12, 16)


@program(
    "Data Science 38604",
    "One sigmoid and binary cross-entropy for ten digits",
    "Softmax of ten units and categorical cross-entropy",
    "output_loss_mismatch",
)
def one_sigmoid_for_ten(repaired):
    split = task("digits", "minmax")
    last = softmax() if repaired else layers.Dense(1, "sigmoid")
    loss = "binary_crossentropy"
    if repaired:
        loss = "sparse_categorical_crossentropy"
    model = dense((64,), 64, last=last)
    return Setup(model, split, loss, "adam", 12, fit={"validation_split": 0.33})


@program(
    "57200621",
    "Sigmoid and cross-entropy for whitened images: the loss is negative",
    "Linear output and squared error",
    "output_loss_mismatch",
    listed="TheDeepChecker",
)
def whitened_images(repaired):
    split = task("digits")
    split = changed(split, y=split.x, y_test=split.x_test)
    last = layers.Dense(64, None if repaired else "sigmoid")
    loss = "mse" if repaired else "binary_crossentropy"
    model = dense((64,), 48, 24, 48, last=last)
    return Setup(model, split, loss, "adam", 25, score="r2")


@program(
    "42514960",
    "Autoencoder of signed waves ends in a sigmoid",
    "Tanh throughout",
    "output_loss_mismatch",
    listed="DeepFD",
)
def signed_waves(repaired):
    rng = np.random.default_rng(6)
    t = np.linspace(0, 1, 20)
    phase, pace = rng.uniform(0, 6.28, (600, 1)), rng.uniform(3, 7, (600, 1))
    x = np.sin(pace * t + phase)
    split = halved(x, x.astype("float32"))
    activation = "tanh" if repaired else "relu"
    last = layers.Dense(20, "tanh" if repaired else "sigmoid")
    model = dense((20,), 40, 40, 6, 40, 40, last=last, activation=activation)
    return Setup(model, split, "mse", "adam", 25, score="r2")


@program(
    "51971180",
    "ReLU behind a GRU for values of both signs",
    "Linear",
    "output_loss_mismatch",
    "dying_relu underfitting",
    listed="DEFault",
)
def relu_behind_a_gru(repaired):
    last = layers.Dense(1, None if repaired else "relu")
    model = keras.Sequential([keras.Input((20, 1)), layers.GRU(16), last])
    return Setup(model, task("forecast"), "mse", "adam", 15, score="r2")


def scaled_to_one(split):
    """Return data whose targets lie in [-1, 1]."""
    top = np.abs(split.y).max()
    return changed(split, y=split.y / top, y_test=split.y_test / top)


@program(
    "TheDeepChecker, regression with an inappropriate activation",
    "Sigmoid as last activation for targets in [-1, 1]",
    "Linear",
    "output_loss_mismatch",
    "underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def sigmoid_for_signed_targets(repaired):
    last = layers.Dense(1, None if repaired else "sigmoid")
    model = dense((8,), 64, 64, last=last, kernel_initializer="he_normal")
    split = scaled_to_one(friedman())
    return Setup(model, split, "mse", "adam", 25, score="r2")


@program(
    "TheDeepChecker, regression with a wrong activation",
    "Softmax over one unit for a number",
    "Linear",
    "output_loss_mismatch",
    listed="TheDeepChecker",
    licence="none stated",
)
def softmax_for_a_number(repaired):
    last = layers.Dense(1, None if repaired else "softmax")
    model = dense((8,), 64, 64, last=last, kernel_initializer="he_normal")
    return Setup(model, friedman(), "mse", "adam", 25, score="r2")
