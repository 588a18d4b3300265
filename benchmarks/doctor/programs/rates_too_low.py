"""Learning rates that are too low, and optimizers that are too slow."""

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
    "56380303",
    "SGD with its default rate for a deep image classifier",
    "Adam",
    "learning_rate_too_low too_few_epochs",
    "vanishing_gradient underfitting",
    listed="DeepFD, dl-fl-repair",
)
def default_sgd_for_images(repaired):
    model = conv((8, 8, 1), 16, 32, last=softmax(), dropout=0.5)
    optimizer = Adam(2e-3) if repaired else "sgd"
    return Setup(model, images(), CROSSENTROPY, optimizer, 10, 100)


@program(
    "51181393",
    "RMSprop with its default rate for degrees of temperature",
    "A rate of 0.1",
    "learning_rate_too_low too_few_epochs",
    "unscaled_target underfitting",
    listed="DeepFD, dl-fl-repair",
)
def degrees(repaired):
    x = np.random.default_rng(12).uniform(-4, 4, (200, 1))
    split = halved(x, (1.8 * x[:, 0] + 32).astype("float32"))
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    optimizer = keras.optimizers.RMSprop(0.1 if repaired else 1e-3)
    return Setup(model, split, "mse", optimizer, 120, score="r2")


@program(
    "44998910",
    "SGD with its default rate and few epochs for a smooth curve",
    "A higher rate, more epochs",
    "learning_rate_too_low too_few_epochs",
    "underfitting",
    listed="DeepFD",
)
def smooth_curve(repaired):
    x = np.linspace(-1, 1, 300)[:, None]
    split = halved(x, np.sin(3 * x[:, 0]).astype("float32"))
    model = dense((1,), 20, last=layers.Dense(1), activation="sigmoid")
    optimizer = SGD(0.3, momentum=0.9) if repaired else SGD(0.01)
    epochs = 120 if repaired else 30
    return Setup(model, split, "mse", optimizer, epochs, score="r2")


@program(
    "DeepCrime, MNIST, learning rate 0.001",
    "Adadelta with a rate of 0.001",
    "A rate of 1",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def adadelta_of_a_thousandth(repaired):
    optimizer = keras.optimizers.Adadelta(1.0 if repaired else 1e-3)
    model = lenet(softmax(), dropout=0.5)
    return Setup(model, images(), CROSSENTROPY, optimizer, 12, 128)


@program(
    "DeepCrime, Reuters, SGD",
    "SGD with its default rate for bags of words",
    "Adam",
    "learning_rate_too_low too_few_epochs",
    "underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def sgd_for_words(repaired):
    model = dense((150,), 64, last=softmax(8), dropout=0.5)
    optimizer = "adam" if repaired else "sgd"
    return Setup(model, topics(), CROSSENTROPY, optimizer, 10)


@program(
    "DeepCrime, UnityEyes, Adadelta",
    "Adadelta with its default rate for angles",
    "Adam",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def adadelta_for_angles(repaired):
    model = dense((8,), 64, 32, last=layers.Dense(1))
    optimizer = "adam" if repaired else "adadelta"
    return Setup(model, task("friedman"), "mse", optimizer, 25, score="r2")


@program(
    "TheDeepChecker, regression with a low rate",
    "Adam with a hundredth of the rate",
    "The original rate",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def hundredth_of_the_rate(repaired):
    model = dense((8,), 64, 64, last=layers.Dense(1))
    optimizer = Adam(1e-3 if repaired else 1e-5)
    return Setup(model, task("friedman"), "mse", optimizer, 30, score="r2")


@program(
    "TheDeepChecker, CNN with a low rate",
    "Gradient descent with a thousandth of the rate",
    "The original rate",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def thousandth_of_the_rate(repaired):
    optimizer = SGD(0.1 if repaired else 1e-4)
    return Setup(lenet(softmax()), images(), CROSSENTROPY, optimizer, 10)


@program(
    "59106542",
    "Validation accuracy hardly moves: the rate is too low",
    "A higher rate",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def accuracy_hardly_moves(repaired):
    split = task("clusters")
    model = dense((20,), 64, 32, last=softmax(4))
    optimizer = Adam(1e-3 if repaired else 3e-6)
    validation = {"validation_data": (split.x_test, split.y_test)}
    loss = "sparse_categorical_crossentropy"
    return Setup(model, split, loss, optimizer, 20, fit=validation)


@program(
    "63372983",
    "Accuracy stays low with an optimizer that is too slow",
    "Adam",
    "learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def optimizer_too_slow(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    model = dense((64,), 64, 64, last=softmax())
    optimizer = "adam" if repaired else SGD(5e-4)
    return Setup(model, split, CROSSENTROPY, optimizer, 12)
