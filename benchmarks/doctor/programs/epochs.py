"""Trainings that end too early."""

import keras
import numpy as np
from keras import layers

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
)
from benchmarks.doctor.programs.common import (
    Setup,
    changed,
    conv,
    dense,
    halved,
    program,
    softmax,
    task,
    with_one_hot,
)

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


@program(
    "37213388",
    "Two epochs for a classifier of images",
    "More epochs",
    "too_few_epochs",
    "learning_rate_too_low",
    listed="DeepFD",
)
def two_epochs(repaired):
    model = lenet(softmax())
    epochs = 15 if repaired else 2
    return Setup(model, images(), CROSSENTROPY, "adam", epochs, 100)


@program(
    "44164749",
    "Five epochs of huge batches with a low rate",
    "More epochs, a higher rate",
    "too_few_epochs learning_rate_too_low",
    "underfitting",
    listed="DeepLocalize",
)
def huge_batches(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    model = dense((64,), 500, 60, last=softmax(), dropout=0.1)
    rate, epochs = (0.1, 40) if repaired else (0.01, 5)
    optimizer = SGD(rate, momentum=0.9, nesterov=True)
    return Setup(model, split, CROSSENTROPY, optimizer, epochs, 500)


@program(
    "50306988",
    "Five epochs at the default rate for two squares of points",
    "A higher rate, more epochs",
    "too_few_epochs learning_rate_too_low",
    "underfitting",
    listed="DeepLocalize, dl-fl-repair",
)
def two_squares(repaired):
    rng = np.random.default_rng(13)
    y = np.arange(200) % 2
    low, high = np.where(y, 0.5, 0.2)[:, None], np.where(y, 0.7, 0.4)[:, None]
    split = with_one_hot(halved(rng.uniform(low, high, (200, 2)), y), 2)
    model = dense((2,), 2, last=softmax(2), activation="sigmoid")
    optimizer, epochs = (Adam(0.05), 40) if repaired else ("adam", 5)
    return Setup(model, split, CROSSENTROPY, optimizer, epochs)


@program(
    "48594888",
    "Five epochs of large batches for a wide convolutional network",
    "More epochs, smaller batches",
    "too_few_epochs",
    "learning_rate_too_low",
    listed="DeepLocalize, dl-fl-repair",
)
def large_batches(repaired):
    model = conv(
        (8, 8, 1),
        16,
        48,
        last=softmax(),
        units=(64,),
        dropout=0.3,
        kernel_initializer="he_normal",
    )
    epochs, batch_size = (12, 32) if repaired else (5, 500)
    return Setup(model, images(), CROSSENTROPY, "adam", epochs, batch_size)


@program(
    "DeepCrime, CIFAR-10, one epoch",
    "One epoch",
    "The original number of epochs",
    "too_few_epochs",
    "learning_rate_too_low",
    listed="dl-fl-repair",
    licence="MIT",
)
def one_epoch_of_images(repaired):
    model = conv((12, 12, 1), 8, 16, last=softmax(4), units=(64, 32))
    loss = "sparse_categorical_crossentropy"
    return Setup(model, task("stripes"), loss, "adam", 15 if repaired else 1)


@program(
    "DeepCrime, UnityEyes, one epoch",
    "One epoch for a regression",
    "The original number of epochs",
    "too_few_epochs",
    "learning_rate_too_low",
    listed="dl-fl-repair",
    licence="MIT",
)
def one_epoch_of_angles(repaired):
    model = dense((8,), 64, 32, last=layers.Dense(1))
    epochs = 30 if repaired else 1
    return Setup(model, task("friedman"), "mse", "adam", epochs, score="r2")


@program(
    "41977498",
    "Ten epochs of RMSprop at its default rate",
    "Adam with a rate of 0.01, a hundred epochs",
    "too_few_epochs learning_rate_too_low",
    "underfitting",
    listed="DeepFD",
)
def ten_epochs_of_rmsprop(repaired):
    split = with_one_hot(task("shells"), 3)
    model = dense((5,), 12, last=softmax(3), activation="tanh")
    optimizer, epochs = (Adam(0.01), 60) if repaired else ("rmsprop", 6)
    return Setup(model, split, CROSSENTROPY, optimizer, epochs)


@program(
    "52448552",
    "Two epochs, raw pixels",
    "Scaled pixels, more epochs",
    "too_few_epochs unscaled_input",
    "dying_relu",
    listed="DEFault",
)
def two_epochs_of_raw_pixels(repaired):
    split = images()
    if not repaired:
        split = changed(split, x=split.x * 255, x_test=split.x_test * 255)
    model = conv((8, 8, 1), 8, 16, last=softmax(), dropout=0.25)
    epochs = 15 if repaired else 2
    return Setup(model, split, CROSSENTROPY, "adam", epochs)


@program(
    "73457069",
    "An LSTM predicts a flat line after few epochs",
    "Many more epochs",
    "too_few_epochs learning_rate_too_low",
    "underfitting",
    listed="DEFault",
)
def flat_line(repaired):
    split = task("forecast")
    last = layers.Dense(1)
    model = keras.Sequential([keras.Input((20, 1)), layers.LSTM(12), last])
    optimizer, epochs = Adam(1e-3 if not repaired else 3e-3), 2
    return Setup(
        model, split, "mse", optimizer, 20 if repaired else epochs, score="r2"
    )


@program(
    "41600519",
    "One epoch on raw measurements with missing values as -999",
    "Standardized inputs, more epochs",
    "unscaled_input too_few_epochs",
    "dying_relu learning_rate_too_high exploding_gradient",
    listed="DeepFD",
)
def missing_as_999(repaired):
    split = task("clusters")
    y, y_test = split.y % 2, split.y_test % 2
    rng = np.random.default_rng(14)
    x, x_test = (
        np.where(rng.random(part.shape) < 0.1, 0 if repaired else -999, part)
        for part in (split.x, split.x_test)
    )
    split = changed(
        split,
        x=x.astype("float32"),
        x_test=x_test.astype("float32"),
        y=y,
        y_test=y_test,
    )
    last = layers.Dense(1, "sigmoid")
    model = dense((20,), 128, 64, 32, last=last, dropout=0.5)
    epochs = 15 if repaired else 1
    loss = "binary_crossentropy"
    return Setup(model, split, loss, "rmsprop", epochs, 16)
