"""Targets of a scale that does not suit the last layer."""

import keras
import numpy as np
from keras import layers
from sklearn import datasets

from benchmarks.doctor.programs.class_layers import (
    lenet,
)
from benchmarks.doctor.programs.common import (
    Setup,
    changed,
    dense,
    halved,
    program,
    softmax,
    task,
)


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
