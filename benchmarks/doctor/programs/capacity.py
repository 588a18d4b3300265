"""Models that can do too little, or too much for their data."""

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
    changed,
    dense,
    halved,
    one_hot,
    program,
    softmax,
    task,
    with_one_hot,
)

regularizers = keras.regularizers


@program(
    "46181692",
    "No hidden activation, two units",
    "ReLU, more units",
    "underfitting",
    "learning_rate_too_low",
    listed="TheDeepChecker",
)
def two_linear_units(repaired):
    units, activation = ((32, 16), "relu") if repaired else ((2,), None)
    last = layers.Dense(1, "sigmoid")
    model = dense((2,), *units, last=last, activation=activation)
    optimizer = keras.optimizers.Adam(0.01)
    split = task("circles")
    return Setup(model, split, "binary_crossentropy", optimizer, 40)


@program(
    "51028324",
    "A weight penalty so high that the loss does not converge",
    "A low penalty",
    "underfitting",
    "learning_rate_too_low vanishing_gradient",
    listed="TheDeepChecker",
)
def high_penalty(repaired):
    penalty = regularizers.L2(1e-5 if repaired else 1.0)
    split = with_one_hot(task("digits", "minmax"), 10)
    model = dense((64,), 64, 32, last=softmax(), kernel_regularizer=penalty)
    return Setup(model, split, CROSSENTROPY, "adam", 15)


@program(
    "DeepCrime, Reuters, L1 penalty",
    "An L1 penalty of 0.01 on the first layer",
    "No penalty",
    "underfitting",
    "learning_rate_too_low",
    listed="dl-fl-repair",
    licence="MIT",
)
def penalty_on_words(repaired):
    penalty = None if repaired else "l1"
    last = softmax(8)
    model = dense(
        (150,), 64, last=last, dropout=0.5, kernel_regularizer=penalty
    )
    return Setup(model, topics(), CROSSENTROPY, "adam", 4)


@program(
    "DeepCrime, UnityEyes, L1 and L2 penalty",
    "Both penalties on the layer before the last",
    "No penalty",
    "underfitting",
    "learning_rate_too_low",
    listed="dl-fl-repair",
    licence="MIT",
)
def both_penalties(repaired):
    penalty = None if repaired else regularizers.L1L2(0.05, 0.05)
    middle = layers.Dense(32, "relu", kernel_regularizer=penalty)
    parts = [keras.Input((8,)), layers.Dense(64, "relu"), middle]
    model = keras.Sequential([*parts, layers.Dense(1)])
    return Setup(model, task("friedman"), "mse", "adam", 30, score="r2")


@program(
    "TheDeepChecker, CNN with over-regularization",
    "Penalties that outweigh the cross-entropy",
    "A penalty of 0.00001",
    "underfitting",
    "learning_rate_too_low vanishing_gradient",
    listed="TheDeepChecker",
    licence="none stated",
)
def penalties_outweigh(repaired):
    penalty = regularizers.L2(1e-5 if repaired else 0.3)
    model = lenet(softmax(), kernel_regularizer=penalty)
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(model, images(), CROSSENTROPY, optimizer, 15)


@program(
    "60566498",
    "Dropout of 0.8 before a small last layer",
    "Less dropout",
    "underfitting",
    "overfitting",
    listed="NeuraLint",
)
def dropout_of_four_fifths(repaired):
    split = task("stripes")
    parts = [keras.Input((12, 12, 1))]
    for _ in range(2):
        parts.append(layers.Conv2D(16, 3, padding="same"))
        parts.append(layers.Dropout(0.1 if repaired else 0.6))
        parts += [layers.Activation("relu"), layers.MaxPooling2D(2)]
    parts += [layers.Flatten(), layers.Dense(8, "relu")]
    parts += [layers.Dropout(0.2 if repaired else 0.8), softmax(4)]
    loss = "sparse_categorical_crossentropy"
    fit = {"validation_data": (split.x_test, split.y_test)}
    return Setup(keras.Sequential(parts), split, loss, "adam", 8, fit=fit)


@program(
    "NeuraLint, sample of too much pooling",
    "Pooling leaves a single pixel of a coarse image",
    "Less pooling",
    "underfitting",
    listed="NeuraLint",
    licence="none stated",
)
def too_much_pooling(repaired):
    split = with_one_hot(task("digit_images", "minmax"), 10)
    parts = [keras.Input((8, 8, 1))]
    if not repaired:
        parts.append(layers.AveragePooling2D(4))
    parts.append(layers.Conv2D(8, 3, padding="same", activation="relu"))
    parts.append(layers.MaxPooling2D(2))
    parts += [layers.Flatten(), layers.Dense(32, "relu"), softmax()]
    model = keras.Sequential(parts)
    return Setup(model, split, CROSSENTROPY, "adam", 25)


def few(split, samples, noise, classes):
    """Return few samples, some of them with a wrong label."""
    rng = np.random.default_rng(24)
    x, y = split.x[:samples], split.y[:samples].copy()
    hit = rng.random(samples) < noise
    y[hit] = rng.integers(0, classes, hit.sum())
    split = changed(split, x=x, y=one_hot(y, classes))
    unseen = (split.x_test, one_hot(split.y_test, classes))
    return split, {"validation_data": unseen}


@program(
    "66468006",
    "A wide network memorizes few samples for many epochs",
    "Dropout and early stopping",
    "overfitting",
    listed="DEFault",
)
def memorized_table(repaired):
    split, fit = few(task("clusters"), 200, 0.15, 4)
    rate = 0.4 if repaired else 0.0
    model = dense((20,), 256, 128, last=softmax(4), dropout=rate)
    epochs = 12 if repaired else 60
    return Setup(
        model, split, CROSSENTROPY, "adam", epochs, 16, "likelihood", fit=fit
    )


@program(
    "TheDeepChecker, regression without regularization",
    "No penalty, no dropout, hundreds of epochs",
    "Both, and fewer epochs",
    "overfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def memorized_numbers(repaired):
    split = task("diabetes")
    penalty = regularizers.L2(1e-3) if repaired else None
    model = dense(
        (10,),
        64,
        64,
        last=layers.Dense(1),
        dropout=0.3 if repaired else 0.0,
        kernel_regularizer=penalty,
    )
    epochs = 20 if repaired else 150
    fit = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, "mse", "adam", epochs, score="r2", fit=fit)


@program(
    "GitHub tautvydasversockas/MovieReviews_Keras commit 59119a21",
    "Reviews are memorized",
    "Dropout in both hidden layers",
    "overfitting",
    listed="DeepLocalize, DeepFD",
    licence="the repository's",
)
def memorized_reviews(repaired):
    rng = np.random.default_rng(25)
    mood = rng.normal(0, 1, 60)
    x = (rng.random((1200, 60)) < 0.15).astype("float32")
    y = (x @ mood + rng.normal(0, 1, 1200) > mood.sum() * 0.15).astype(int)
    split = halved(x, y, 0.5)
    rate, epochs = (0.3, 25) if repaired else (0.0, 100)
    last = layers.Dense(1, "sigmoid")
    model = dense((60,), 16, 16, last=last, dropout=rate)
    fit = {"validation_data": (split.x_test, split.y_test)}
    return Setup(
        model,
        split,
        "binary_crossentropy",
        "rmsprop",
        epochs,
        score="likelihood",
        fit=fit,
    )
