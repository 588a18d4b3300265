"""Classifiers whose softmax is missing, doubled or in the wrong place."""

import keras
import numpy as np
from keras import layers, ops
from sklearn import datasets

from benchmarks.doctor.programs.common import (
    Setup,
    conv,
    dense,
    halved,
    one_hot,
    program,
    softmax,
    task,
    with_one_hot,
)

CROSSENTROPY = "categorical_crossentropy"


def lenet(last, **options):
    """Return a small convolutional network for digits."""
    return conv((8, 8, 1), 8, 16, last=last, units=(64,), **options)


def images():
    """Return digits with labels as rows."""
    return with_one_hot(task("digit_images", "minmax"), 10)


def topics(words=150, classes=8):
    """Return bags of words, and the topic of each as a row."""
    rng = np.random.default_rng(7)
    habits = rng.dirichlet(np.full(words, 0.15), classes)
    y = rng.integers(0, classes, 900)
    x = np.stack([rng.multinomial(30, habits[c]) > 0 for c in y])
    split = halved(x, y)
    return with_one_hot(split, classes)


@program(
    "TheDeepChecker, CNN without softmax",
    "Logits go to a cross-entropy of probabilities",
    "Softmax",
    "output_loss_mismatch",
    "numerical_instability",
    listed="TheDeepChecker",
    licence="none stated",
)
def lenet_without_softmax(repaired):
    model = lenet(softmax() if repaired else layers.Dense(10))
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(model, images(), CROSSENTROPY, optimizer, 12)


@program(
    "TheDeepChecker, CNN with a redundant softmax",
    "Probabilities go to a cross-entropy of logits",
    "Softmax in the loss alone",
    "output_loss_mismatch",
    "underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def lenet_with_two_softmaxes(repaired):
    model = lenet(layers.Dense(10, None if repaired else "softmax"))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(model, images(), loss, optimizer, 8)


@program(
    "TheDeepChecker, CNN with a wrong hidden activation",
    "Softmax as hidden activation",
    "ReLU",
    "output_loss_mismatch vanishing_gradient",
    "learning_rate_too_low underfitting saturated_activation",
    listed="TheDeepChecker",
    licence="none stated",
)
def softmax_inside(repaired):
    model = lenet(softmax(), activation="relu" if repaired else "softmax")
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(model, images(), CROSSENTROPY, optimizer, 12)


@program(
    "DeepCrime, MNIST, activation removed from the last layer",
    "Linear last layer, cross-entropy of probabilities",
    "Softmax",
    "output_loss_mismatch",
    "numerical_instability",
    listed="dl-fl-repair",
    licence="MIT",
)
def activation_removed(repaired):
    last = layers.Dense(10, "softmax" if repaired else "linear")
    optimizer = keras.optimizers.Adadelta(1.0)
    model = lenet(last, dropout=0.5)
    return Setup(model, images(), CROSSENTROPY, optimizer, 12, 64)


@program(
    "DeepCrime, Reuters, softsign in the last layer",
    "Softsign as last activation of classes",
    "Softmax",
    "output_loss_mismatch",
    "numerical_instability",
    listed="dl-fl-repair",
    licence="MIT",
)
def softsign_last(repaired):
    last = layers.Dense(8, "softmax" if repaired else "softsign")
    model = dense((150,), 64, last=last, dropout=0.5)
    return Setup(model, topics(), CROSSENTROPY, "adam", 10)


@program(
    "GitHub tf-encrypted/tf-encrypted issue 248, network B",
    "Ten logits with binary cross-entropy",
    "Softmax and categorical cross-entropy",
    "output_loss_mismatch",
    "numerical_instability",
    listed="NeuraLint",
    licence="Apache-2.0",
)
def binary_loss_of_logits(repaired):
    parts = [keras.Input((8, 8, 1))]
    for _ in range(2):
        parts.append(layers.Conv2D(16, 3, padding="same", activation="relu"))
        parts.append(layers.AveragePooling2D(2))
    last = softmax() if repaired else layers.Dense(10)
    parts += [layers.Flatten(), layers.Dense(64, "relu"), last]
    loss = CROSSENTROPY if repaired else "binary_crossentropy"
    return Setup(keras.Sequential(parts), images(), loss, "adam", 10)


@program(
    "AUTOTRAINER, demo of an improper activation",
    "ReLU as last activation of three classes",
    "Softmax",
    "output_loss_mismatch",
    "dying_relu numerical_instability",
    listed="AUTOTRAINER",
    licence="none stated",
)
def blobs_behind_relu(repaired):
    x, y = datasets.make_blobs(900, 2, centers=3, random_state=2)
    x = (x - x.mean(0)) / x.std(0)
    last = layers.Dense(3, "softmax" if repaired else "relu")
    model = dense((2,), *[50] * 4, last=last, kernel_initializer="he_uniform")
    split = with_one_hot(halved(x, y), 3)
    validation = {"validation_data": (split.x_test, one_hot(split.y_test, 3))}
    return Setup(model, split, CROSSENTROPY, "adam", 30, 64, fit=validation)


@program(
    "44450841",
    "ReLU on the logits of a convolutional network",
    "Linear logits",
    "output_loss_mismatch dying_relu",
    "underfitting",
    listed="TheDeepChecker",
)
def relu_on_logits(repaired):
    small = keras.initializers.TruncatedNormal(stddev=0.1)
    last = layers.Dense(
        10,
        None if repaired else "relu",
        kernel_initializer=small,
        bias_initializer=keras.initializers.Constant(0.1),
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-3)
    model = lenet(last, kernel_initializer=small)
    return Setup(model, images(), loss, optimizer, 8)


def dice(y, answer):
    """Return the negative overlap of a mask and its prediction."""
    both = ops.sum(y * answer, (1, 2, 3))
    size = ops.sum(y, (1, 2, 3)) + ops.sum(answer, (1, 2, 3))
    return -(2 * both + 1) / (size + 1)


@program(
    "GitHub taashi-s/UNet_Keras commit b1b6d938",
    "ReLU as last activation of a mask",
    "Sigmoid",
    "output_loss_mismatch dying_relu",
    "exploding_gradient",
    listed="NeuraLint",
    licence="the repository's",
)
def mask_behind_relu(repaired):
    rng = np.random.default_rng(8)
    i, j = np.mgrid[:12, :12]
    middle = rng.uniform(3, 9, (2, 400, 1, 1))
    size = rng.uniform(1.5, 3.5, (400, 1, 1))
    y = (i - middle[0]) ** 2 + (j - middle[1]) ** 2 < size**2
    x = y + rng.normal(0, 0.5, y.shape)
    split = halved(x[..., None], y[..., None].astype("float32"))
    parts = [keras.Input((12, 12, 1))]
    for n in (8, 8):
        parts.append(layers.Conv2D(n, 3, padding="same", activation="relu"))
    parts.append(
        layers.Conv2D(1, 1, activation="sigmoid" if repaired else "relu")
    )
    model = keras.Sequential(parts)
    return Setup(model, split, dice, "adam", 25, score="r2")
