"""Inputs of a scale that does not suit the weights."""

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

SGD = keras.optimizers.SGD
BINARY = "binary_crossentropy"


def times(split, x=1.0, y=1.0):
    """Return data whose inputs and targets are multiplied."""
    split = changed(split, x=split.x * x, x_test=split.x_test * x)
    if y != 1:
        split = changed(split, y=split.y * y, y_test=split.y_test * y)
    return split


@program(
    "39525358",
    "Three raw columns into a small ReLU network",
    "Standardized columns",
    "unscaled_input",
    "dying_relu learning_rate_too_low",
    listed="DeepLocalize",
)
def three_raw_columns(repaired):
    rng = np.random.default_rng(27)
    x = rng.normal((0, 0, 3000), (1, 1, 500), (900, 3))
    split = halved(x, (x[:, 0] + x[:, 1] > 0).astype(int))
    split = standardized(split) if repaired else split
    options = {"kernel_initializer": "random_uniform"}
    last = layers.Dense(1, "sigmoid", **options)
    model = dense((3,), 12, 3, last=last, **options)
    return Setup(model, split, BINARY, "adam", 40, 8)


@program(
    "47724077",
    "A census table whose columns range from units to hundred thousands",
    "Standardized columns",
    "unscaled_input",
    "exploding_gradient learning_rate_too_high dying_relu",
    listed="DeepLocalize",
)
def census_table(repaired):
    split = with_one_hot(task("clusters"), 4)
    scale = np.logspace(0, 5, 20, dtype="float32")
    offset = scale * 2
    if not repaired:
        x, x_test = split.x * scale + offset, split.x_test * scale + offset
        split = changed(split, x=x, x_test=x_test)
    model = dense((20,), 21, last=softmax(4))
    return Setup(model, split, CROSSENTROPY, "adam", 40, 100)


@program(
    "55328966",
    "Raw pixels, sigmoids for ten classes, a rate of 0.0001",
    "Pixels in [0, 1], softmax, Adam",
    "unscaled_input output_loss_mismatch learning_rate_too_low",
    "dying_relu underfitting",
    listed="DeepLocalize",
)
def raw_pixels_low_rate(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    split = split if repaired else times(split, 255)
    last = layers.Dense(10, "softmax" if repaired else "sigmoid")
    parts = [layers.Dense(64), layers.Dense(50, "relu"), last]
    model = keras.Sequential([keras.Input((64,)), *parts])
    optimizer = "adam" if repaired else SGD(1e-4)
    return Setup(model, split, CROSSENTROPY, optimizer, 10)


@program(
    "46995209",
    "Ten narrow layers of tanh and ReLU on raw inputs",
    "Scaled inputs, three ReLU layers",
    "unscaled_input dying_relu vanishing_gradient",
    "saturated_activation underfitting",
    listed="DeepFD",
)
def narrow_tower(repaired):
    split = task("wine") if repaired else as_measured("wine")
    split = with_one_hot(split, 3)
    if repaired:
        model = dense((13,), 10, 25, 10, last=softmax(3))
    else:
        hidden = [layers.Dense(10, "tanh"), layers.Dense(90, "tanh")]
        hidden += [layers.Dense(10, "relu") for _ in range(9)]
        model = keras.Sequential([keras.Input((13,)), *hidden, softmax(3)])
    return Setup(model, split, CROSSENTROPY, "adam", 40, 16)


@program(
    "UMLAUT, evaluation program A",
    "Bytes as pixels, 80 % dropout, logits as probabilities",
    "Pixels in [0, 1], less dropout, a loss of logits",
    "unscaled_input output_loss_mismatch",
    "underfitting numerical_instability",
    listed="UMLAUT",
    licence="Apache-2.0",
)
def bytes_and_dropout(repaired):
    split = task("digit_images", "minmax")
    split = split if repaired else times(split, 255)
    last, rate = layers.Dense(10), 0.2 if repaired else 0.8
    model = conv((8, 8, 1), 16, 32, last=last, units=(64,), dropout=rate)
    loss = "sparse_categorical_crossentropy"
    if repaired:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Setup(model, split, loss, "adam", 10, fit={"validation_split": 0.2})


@program(
    "TheDeepChecker, regression without normalization",
    "Raw features",
    "Standardized features",
    "unscaled_input",
    "dying_relu exploding_gradient learning_rate_too_high",
    listed="TheDeepChecker",
    licence="none stated",
)
def features_as_measured(repaired):
    split = task("impedance") if repaired else as_measured("impedance")
    model = dense((4,), 64, 64, last=layers.Dense(1))
    return Setup(model, split, "mse", "adam", 30, score="r2")


@program(
    "TheDeepChecker, CNN with double normalization",
    "Pixels are divided by 255 twice",
    "Once",
    "unscaled_input",
    "learning_rate_too_low vanishing_gradient too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def divided_twice(repaired):
    split = images() if repaired else times(images(), 1 / 255)
    optimizer = SGD(0.1)
    return Setup(lenet(softmax()), split, CROSSENTROPY, optimizer, 12)


@program(
    "58525908",
    "Features of different scales, as they were measured",
    "Standardized features",
    "unscaled_input",
    "learning_rate_too_high dying_relu saturated_activation",
    listed="TheDeepChecker",
)
def different_scales(repaired):
    split = task("wine") if repaired else as_measured("wine")
    model = dense((13,), 32, 16, last=softmax(3), activation="tanh")
    loss = "sparse_categorical_crossentropy"
    return Setup(model, split, loss, "adam", 40, 16)


@program(
    "39714374",
    "NaN after a few steps on raw features",
    "Standardized features",
    "unscaled_input learning_rate_too_high exploding_gradient",
    "numerical_instability dying_relu",
    listed="TheDeepChecker",
)
def nan_on_raw_features(repaired):
    split = task("friedman")
    split = split if repaired else times(split, 400)
    model = dense((8,), 32, 16, last=layers.Dense(1))
    return Setup(model, split, "mse", SGD(0.02), 40, score="r2")


@program(
    "46639430",
    "Bytes as pixels with SGD: stuck at chance",
    "Pixels in [0, 1]",
    "unscaled_input dying_relu",
    "learning_rate_too_high exploding_gradient underfitting "
    "numerical_instability",
    listed="TheDeepChecker",
)
def stuck_on_bytes(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    split = split if repaired else times(split, 255)
    model = dense((64,), 64, 64, last=softmax())
    return Setup(model, split, CROSSENTROPY, SGD(0.1), 15)


@program(
    "53654594",
    "Generated images are not scaled as the ones for validation are",
    "The same scale in both",
    "data_pipeline unscaled_input",
    "overfitting",
    listed="TheDeepChecker",
)
def unscaled_generator(repaired):
    split = images()
    x = split.x if repaired else split.x * 255
    unseen = (split.x_test, np.eye(10)[split.y_test])
    split = changed(split, x=x)
    fit = {"validation_data": unseen}
    model = lenet(softmax(), activation="tanh")
    return Setup(model, split, CROSSENTROPY, "adam", 10, fit=fit)
