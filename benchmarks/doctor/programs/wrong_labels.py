"""Labels that do not belong to their inputs, and rare classes."""

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
    changed,
    dense,
    halved,
    one_hot,
    program,
    softmax,
    standardized,
    task,
    with_one_hot,
)

SPARSE = "sparse_categorical_crossentropy"


def seen_later(split, classes):
    """Return unseen data for `fit`."""
    return {"validation_data": (split.x_test, one_hot(split.y_test, classes))}


@program(
    "41864333",
    "Images and labels are batched by two queues",
    "One queue for both",
    "misaligned_labels",
    "overfitting underfitting",
    listed="TheDeepChecker",
)
def two_queues(repaired):
    split = images()
    if not repaired:
        order = np.random.default_rng(16).permutation(len(split.y))
        split = changed(split, y=split.y[order])
    fit = seen_later(split, 10)
    return Setup(lenet(softmax()), split, CROSSENTROPY, "adam", 12, fit=fit)


@program(
    "47866803",
    "Labels come a few rows late",
    "Labels and features are read together",
    "misaligned_labels",
    "overfitting underfitting",
    listed="TheDeepChecker",
)
def a_few_rows_late(repaired):
    split = task("clusters")
    if not repaired:
        split = changed(split, y=np.roll(split.y, 3))
    model = dense((20,), 32, 16, last=softmax(4))
    fit = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, SPARSE, "adam", 25, fit=fit)


@program(
    "46136553",
    "Files of examples and labels are listed in different orders",
    "One order for both",
    "misaligned_labels",
    "overfitting underfitting",
    listed="TheDeepChecker",
)
def different_orders(repaired):
    split = task("digits", "minmax")
    if not repaired:
        split = changed(split, y=split.y[::-1].copy())
    model = dense((64,), 48, last=softmax())
    return Setup(model, split, SPARSE, "adam", 20)


@program(
    "TheDeepChecker, regression with wrong labels",
    "Only the features are shuffled",
    "Features and targets are shuffled together",
    "misaligned_labels",
    "overfitting underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def features_shuffled_alone(repaired):
    split = task("friedman")
    if not repaired:
        order = np.random.default_rng(17).permutation(len(split.x))
        split = changed(split, x=split.x[order])
    model = dense((8,), 64, 64, last=layers.Dense(1))
    fit = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, "mse", "adam", 30, score="r2", fit=fit)


@program(
    "TheDeepChecker, CNN with wrong labels",
    "Only the images are shuffled",
    "Images and labels are shuffled together",
    "misaligned_labels",
    "overfitting underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def images_shuffled_alone(repaired):
    split = images()
    if not repaired:
        order = np.random.default_rng(18).permutation(len(split.x))
        split = changed(split, x=split.x[order])
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(lenet(softmax()), split, CROSSENTROPY, optimizer, 20)


@program(
    "DeepCrime, MNIST, changed labels",
    "Half of the labels are replaced by others",
    "The original labels",
    "misaligned_labels",
    "overfitting underfitting",
    listed="DeepCrime",
    licence="MIT",
)
def half_of_the_labels(repaired):
    split = task("digits", "minmax")
    if not repaired:
        rng = np.random.default_rng(19)
        y = split.y.copy()
        hit = rng.random(len(y)) < 0.5
        y[hit] = (y[hit] + rng.integers(1, 10, hit.sum())) % 10
        split = changed(split, y=y)
    split = with_one_hot(split, 10)
    model = dense((64,), 128, 64, last=softmax())
    fit = seen_later(split, 10)
    return Setup(model, split, CROSSENTROPY, "adam", 40, fit=fit)


def rare(share, separation=1.0, flat=10):
    """Return two classes that overlap, one of them rare in the training."""
    x, y = datasets.make_classification(
        6000,
        flat,
        n_informative=6,
        n_clusters_per_class=2,
        weights=[1 - share],
        class_sep=separation,
        flip_y=0,
        random_state=3,
    )
    return standardized(halved(x, y, 0.4))


def weights_of(split):
    """Return the weights that make classes count equally."""
    counts = np.bincount(split.y)
    return {i: len(split.y) / (len(counts) * n) for i, n in enumerate(counts)}


@program(
    "53358838",
    "Two of a hundred samples are positive: all are predicted as zero",
    "Weights for the classes",
    "class_imbalance",
    "underfitting",
    listed="TheDeepChecker",
)
def all_zeros(repaired):
    split = rare(0.02)
    fit = {"class_weight": weights_of(split)} if repaired else {}
    model = dense((10,), 16, 8, last=layers.Dense(1, "sigmoid"))
    loss, score = "binary_crossentropy", "balanced"
    return Setup(model, split, loss, "adam", 10, score=score, fit=fit)


@program(
    "59196793",
    "Metrics do not change: nine of ten images are of one class",
    "Classes of equal number",
    "class_imbalance",
    "underfitting",
    listed="TheDeepChecker",
)
def nine_of_ten(repaired):
    split = task("digit_images", "minmax")
    y = (split.y == 8).astype(int)
    y_test = (split.y_test == 8).astype(int)
    keep = np.ones(len(y), bool)
    if not repaired:
        keep[np.flatnonzero(y)[12:]] = False
    split = changed(split, x=split.x[keep], y=y[keep], y_test=y_test)
    fit = {"class_weight": weights_of(split)} if repaired else {}
    model = lenet(layers.Dense(1, "sigmoid"))
    loss, score = "binary_crossentropy", "balanced"
    return Setup(model, split, loss, "adam", 12, score=score, fit=fit)


@program(
    "TheDeepChecker, CNN with unbalanced data",
    "Some classes keep a few of their samples",
    "All samples",
    "class_imbalance",
    "overfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def a_few_of_some_classes(repaired):
    split = task("digit_images", "minmax")
    if not repaired:
        rng = np.random.default_rng(20)
        share = np.array([1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.02, 0.02, 1, 1])
        keep = rng.random(len(split.y)) < share[split.y]
        split = changed(split, x=split.x[keep], y=split.y[keep])
    model, score = lenet(softmax()), "balanced"
    return Setup(model, split, SPARSE, "adam", 15, score=score)


@program(
    "Data Science 19283",
    "Only the bias is learned: one of nine samples is positive",
    "Weights for the classes",
    "class_imbalance",
    "underfitting",
)
def only_the_bias(repaired):
    split = rare(0.06, separation=0.7)
    fit = {"validation_data": (split.x_test, split.y_test)}
    if repaired:
        fit["class_weight"] = weights_of(split)
    model = dense((10,), 8, 8, 8, last=layers.Dense(1, "sigmoid"))
    loss, score = "binary_crossentropy", "balanced"
    return Setup(model, split, loss, "adam", 10, score=score, fit=fit)
