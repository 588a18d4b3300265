"""A softmax over a single unit, which is always 1."""

import keras
import numpy as np
from keras import layers

from benchmarks.doctor.programs.common import (
    Setup,
    all_of,
    changed,
    conv,
    dense,
    halved,
    program,
    task,
)


def unit(repaired: bool) -> layers.Dense:
    """Return the last layer."""
    return layers.Dense(1, "sigmoid" if repaired else "softmax")


@program(
    "31880720",
    "Softmax over one unit for vectors of ones and of zeros",
    "Sigmoid",
    "output_loss_mismatch",
    listed="DeepLocalize",
)
def ones_and_zeros(repaired):
    y = np.arange(1200) % 2
    split = halved(np.repeat(y[:, None], 128, 1), y)
    model = dense((128,), 50, 50, last=unit(repaired), dropout=0.2)
    return Setup(model, split, "binary_crossentropy", "rmsprop", 10)


@program(
    "34311586",
    "Softmax over one unit, small rate, 20 epochs, on six rows of XOR",
    "Sigmoid, larger rate, more epochs and units",
    "output_loss_mismatch",
    "learning_rate_too_low too_few_epochs",
    listed="DeepLocalize, NeuraLint",
)
def xor_of_six_rows(repaired):
    x = np.array([[1, 1], [0, 0], [1, 0], [0, 1], [1, 1], [0, 0]])
    split = all_of(x, x[:, 0] ^ x[:, 1])
    if repaired:
        model = dense((2,), 8, last=unit(True), activation="tanh")
        optimizer, epochs = keras.optimizers.Adam(0.05), 150
    else:
        model = dense(
            (2,),
            2,
            3,
            last=unit(False),
            activation="sigmoid",
            kernel_initializer="random_uniform",
        )
        optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
        epochs = 20
    return Setup(model, split, "mean_squared_error", optimizer, epochs)


@program(
    "45337371",
    "Softmax over one unit: the gradient is zero",
    "Sigmoid",
    "output_loss_mismatch",
    listed="DeepLocalize",
)
def five_uniform_features(repaired):
    x = np.random.default_rng(1).uniform(size=(1000, 5))
    split = halved(x, (x[:, 0] + x[:, 1] > x[:, 2] + x[:, 3]).astype(int))
    model = dense((5,), 60, 50, last=unit(repaired))
    return Setup(model, split, "binary_crossentropy", "adam", 20)


@program(
    "45442843",
    "Softmax over one unit and absolute error for a threshold",
    "Sigmoid, cross-entropy and Adam",
    "output_loss_mismatch",
    "learning_rate_too_low too_few_epochs",
    listed="DeepLocalize",
)
def threshold_of_a_number(repaired):
    x = np.random.default_rng(2).normal(size=(1000, 1))
    split = halved(x, (x[:, 0] > 0.3).astype(int))
    model = dense((1,), 1, last=unit(repaired), activation="sigmoid")
    loss = "binary_crossentropy" if repaired else "mean_absolute_error"
    optimizer = keras.optimizers.Adam(0.05) if repaired else "rmsprop"
    validation = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, loss, optimizer, 60, 200, fit=validation)


@program(
    "42800203",
    "Softmax over one unit in a classifier of two classes",
    "Sigmoid",
    "output_loss_mismatch",
    listed="DeepFD",
)
def two_classes_of_a_table(repaired):
    model = dense((30,), 16, 8, last=unit(repaired))
    split = task("breast_cancer")
    return Setup(model, split, "binary_crossentropy", "adam", 20)


@program(
    "45378493",
    "Softmax over one unit behind convolutions with batch normalization",
    "Sigmoid",
    "output_loss_mismatch",
    listed="NeuraLint",
)
def convolved_sequences(repaired):
    parts = [keras.Input((16, 2))]
    for n in (16, 8):
        parts += [
            layers.Conv1D(n, 4, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dropout(0.2),
        ]
    parts += [layers.Flatten(), layers.Dense(64)]
    parts += [layers.BatchNormalization(), layers.LeakyReLU(), unit(repaired)]
    split = task("majority")
    validation = {"validation_data": (split.x_test, split.y_test)}
    return Setup(
        keras.Sequential(parts),
        split,
        "binary_crossentropy",
        "adam",
        20,
        128,
        fit=validation,
    )


@program(
    "51749207",
    "Softmax over one unit for spectra",
    "Sigmoid",
    "output_loss_mismatch",
    listed="NeuraLint",
)
def spectra(repaired):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 500)
    place = np.where(y == 1, 35, 20) + rng.normal(0, 3, 500)
    bands = np.arange(60) - place[:, None]
    x = np.exp(-((bands / 4) ** 2)) + rng.normal(0, 0.2, (500, 60))
    split = halved(x[..., None], y)
    last = unit(repaired)
    model = conv((60, 1), 20, last=last, kernel=4, units=(50,), dropout=0.3)
    return Setup(model, split, "binary_crossentropy", "nadam", 10, 8)


@program(
    "58844149",
    "Softmax over one unit for grey images",
    "Sigmoid",
    "output_loss_mismatch",
    listed="NeuraLint",
)
def grey_images(repaired):
    split = task("stripes")
    split = changed(split, y=split.y // 2, y_test=split.y_test // 2)
    model = conv((12, 12, 1), 8, 16, last=unit(repaired), dropout=0.2)
    return Setup(model, split, "binary_crossentropy", "adam", 12)


@program(
    "59129802",
    "Softmax over one unit: the loss does not change",
    "Sigmoid",
    "output_loss_mismatch",
    listed="TheDeepChecker",
)
def simple_binary(repaired):
    model = dense((2,), 32, 16, last=unit(repaired))
    split = task("circles")
    return Setup(model, split, "binary_crossentropy", "adam", 30)


@program(
    "49931055",
    "Categorical cross-entropy of one unit: the loss is zero",
    "Sigmoid and binary cross-entropy",
    "output_loss_mismatch",
    listed="TheDeepChecker",
)
def loss_of_zero(repaired):
    split = task("moons")
    split = changed(split, y=split.y[:, None].astype("float32"))
    loss = "binary_crossentropy" if repaired else "categorical_crossentropy"
    model = dense((2,), 32, 32, last=unit(repaired))
    return Setup(model, split, loss, "adam", 40)
