"""Inputs and targets of a scale that does not suit the weights."""

import keras
import numpy as np
from keras import layers
from sklearn import datasets

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
    split = as_measured("breast_cancer")
    columns = [0, 3, 23]
    split = changed(split, x=split.x[:, columns])
    split = changed(split, x_test=split.x_test[:, columns])
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
    "52800582",
    "The fourth power of numbers up to 100, nothing scaled",
    "Standardized inputs and targets",
    "unscaled_target unscaled_input",
    "saturated_activation learning_rate_too_low underfitting",
    listed="DeepLocalize",
)
def fourth_power(repaired):
    x = np.arange(-100, 100, 0.5)[:, None]
    y = x[:, 0] ** 4
    if repaired:
        x, y = x / x.std(), (y - y.mean()) / y.std()
    split = halved(x, y.astype("float32"))
    parts = [layers.Dense(50, "sigmoid"), layers.Dense(50, "elu")]
    model = keras.Sequential([keras.Input((1,)), *parts, layers.Dense(1)])
    optimizer = keras.optimizers.Adam(5e-3)
    return Setup(model, split, "mse", optimizer, 250, 280, score="r2")


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
    "59325381",
    "Labels are divided by 255 as if they were pixels",
    "The labels stay as they are",
    "output_loss_mismatch misaligned_labels class_imbalance",
    "data_pipeline",
    listed="DeepLocalize, dl-fl-repair",
)
def scaled_labels(repaired):
    split = task("digit_images", "minmax")
    if not repaired:
        split = changed(split, y=(split.y / 255).astype("float32"))
    loss = "sparse_categorical_crossentropy"
    return Setup(lenet(softmax()), split, loss, "adam", 8)


@program(
    "47932589",
    "A sensor's raw readings and raw targets",
    "Both scaled to [0, 1]",
    "unscaled_input unscaled_target",
    "exploding_gradient learning_rate_too_high learning_rate_too_low "
    "saturated_activation underfitting",
    listed="DeepFD",
)
def raw_readings(repaired):
    x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    if repaired:
        x = (x - x.min(0)) / np.ptp(x, 0)
        y = (y - y.min()) / np.ptp(y)
    split = halved(x, y.astype("float32"))
    model = dense((10,), 20, last=layers.Dense(1), activation="tanh")
    optimizer = keras.optimizers.Adam(3e-3)
    return Setup(model, split, "mse", optimizer, 50, 16, score="r2")


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
    "TheDeepChecker, regression with over-scaled outputs",
    "Targets of hundreds",
    "Standardized targets",
    "unscaled_target",
    "learning_rate_too_low too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def targets_of_hundreds(repaired):
    split = task("friedman")
    if not repaired:
        y, y_test = 80 * split.y + 235, 80 * split.y_test + 235
        split = changed(split, y=y, y_test=y_test)
    model = dense((8,), 64, 64, last=layers.Dense(1))
    return Setup(model, split, "mse", "adam", 20, score="r2")


@program(
    "38319898",
    "Continuous output of large mean and small spread",
    "Standardized targets",
    "unscaled_target",
    "learning_rate_too_low too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def large_mean_small_spread(repaired):
    split = task("linear")
    if not repaired:
        y, y_test = 5 * split.y + 2000, 5 * split.y_test + 2000
        split = changed(split, y=y, y_test=y_test)
    model = dense((12,), 32, last=layers.Dense(1), activation="tanh")
    optimizer = keras.optimizers.Adam(5e-3)
    return Setup(model, split, "mse", optimizer, 40, score="r2")


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
    return Setup(lenet(softmax()), split, CROSSENTROPY, "adam", 10, fit=fit)
