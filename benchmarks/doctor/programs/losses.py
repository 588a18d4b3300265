"""Losses that do not fit, are reduced wrongly, or are not stable."""

import keras
import numpy as np
from keras import layers, ops
from sklearn import datasets

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
    topics,
)
from benchmarks.doctor.programs.common import (
    Setup,
    all_of,
    as_measured,
    changed,
    dense,
    halved,
    program,
    softmax,
    task,
    with_one_hot,
)


def xor():
    """Return the four rows of XOR."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return all_of(x, x[:, 0] ^ x[:, 1])


@program(
    "31556268",
    "Absolute error, slow SGD and too few epochs for XOR",
    "Squared error, Adam, more epochs",
    "output_loss_mismatch learning_rate_too_low too_few_epochs",
    "underfitting",
    listed="DeepLocalize",
)
def absolute_error_of_xor(repaired):
    last = layers.Dense(1, "sigmoid")
    model = dense((2,), 4, last=last, activation="sigmoid")
    if repaired:
        optimizer = keras.optimizers.Adam(0.1)
        return Setup(model, xor(), "mse", optimizer, 400, 4)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.11, nesterov=True)
    return Setup(model, xor(), "mae", optimizer, 300, 4)


@program(
    "38648195",
    "Softmax and squared error for labels that occur together",
    "Sigmoids and binary cross-entropy",
    "output_loss_mismatch",
    "learning_rate_too_low",
    listed="DeepLocalize",
)
def labels_together(repaired):
    x, y = datasets.make_multilabel_classification(
        1500, 20, n_classes=3, random_state=1
    )
    last = layers.Dense(3, "sigmoid" if repaired else "softmax")
    loss = "binary_crossentropy" if repaired else "mse"
    model = dense((20,), 20, 20, last=last, dropout=0.5)
    split = halved(x, y)
    validation = {"validation_data": (split.x_test, split.y_test)}
    return Setup(model, split, loss, "sgd", 20, 20, fit=validation)


@program(
    "TheDeepChecker, CNN with an inappropriate loss",
    "Squared error for classes",
    "Cross-entropy",
    "output_loss_mismatch",
    "learning_rate_too_low too_few_epochs underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def squared_error_of_classes(repaired):
    loss = CROSSENTROPY if repaired else "mse"
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(lenet(softmax()), images(), loss, optimizer, 8)


@program(
    "DeepCrime, Reuters, hinge loss",
    "Hinge loss of probabilities and rows of 0 and 1",
    "Categorical cross-entropy",
    "output_loss_mismatch",
    "underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def hinge_of_probabilities(repaired):
    model = dense((150,), 64, last=softmax(8), dropout=0.5)
    loss = CROSSENTROPY if repaired else "hinge"
    return Setup(model, topics(), loss, "adam", 10)


@program(
    "DeepCrime, UnityEyes, squared logarithmic error",
    "Logarithmic error for angles of both signs",
    "Squared error",
    "output_loss_mismatch",
    "underfitting dying_relu numerical_instability",
    listed="dl-fl-repair",
    licence="MIT",
)
def logarithm_of_angles(repaired):
    loss = "mse" if repaired else "mean_squared_logarithmic_error"
    model = dense((8,), 64, 32, last=layers.Dense(1))
    return Setup(model, task("friedman"), loss, "adam", 20, score="r2")


def batch_softmax(y, logits):
    """Return a cross-entropy whose softmax sums over the samples."""
    powers = ops.exp(logits - ops.max(logits, 0, keepdims=True))
    shares = powers / ops.sum(powers, 0, keepdims=True)
    return -ops.sum(y * ops.log(shares + 1e-7), -1)


@program(
    "TheDeepChecker, CNN with a wrong softmax",
    "Softmax by hand over the samples of a batch",
    "Softmax over the classes",
    "output_loss_mismatch",
    "underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def softmax_over_the_batch(repaired):
    right = keras.losses.CategoricalCrossentropy(from_logits=True)
    loss = right if repaired else batch_softmax
    optimizer = keras.optimizers.SGD(0.1)
    return Setup(lenet(layers.Dense(10)), images(), loss, optimizer, 10)


@program(
    "43611745",
    "Cross-entropy summed over a batch, with gradient descent",
    "Mean over the batch",
    "learning_rate_too_high exploding_gradient",
    "numerical_instability dying_relu output_loss_mismatch",
    listed="TheDeepChecker",
)
def summed_over_a_batch(repaired):
    loss = keras.losses.CategoricalCrossentropy(
        reduction="sum_over_batch_size" if repaired else "sum"
    )
    optimizer = keras.optimizers.SGD(0.2)
    model = dense((64,), 64, 32, last=softmax())
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, loss, optimizer, 10, 100)


@program(
    "43027109",
    "Squared error summed over the whole data set",
    "Mean, or a rate divided by the number of samples",
    "learning_rate_too_high exploding_gradient",
    "numerical_instability",
    listed="TheDeepChecker",
)
def summed_over_all(repaired):
    def loss(y, answer):
        squares = ops.square(y - answer)
        return ops.mean(squares) if repaired else ops.sum(squares)

    split = task("linear")
    model = keras.Sequential([keras.Input((12,)), layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.01)
    return Setup(model, split, loss, optimizer, 300, 640, score="r2")


@program(
    "38447935",
    "Targets and answers are broadcast against each other in the loss",
    "Equal shapes",
    "output_loss_mismatch misaligned_labels",
    "underfitting",
    listed="TheDeepChecker",
)
def broadcast_in_the_loss(repaired):
    def loss(y, answer):
        y = ops.reshape(y, (-1, 1) if repaired else (-1,))
        return ops.mean(ops.square(answer - y))

    model = dense((8,), 64, 64, last=layers.Dense(1))
    return Setup(model, task("friedman"), loss, "adam", 20, score="r2")


def entropy_by_hand(y, answer):
    """Return the cross-entropy without any care for log(0)."""
    return -ops.sum(y * ops.log(answer), -1)


@program(
    "GitHub aymericdamien/TensorFlow-Examples issue 333",
    "Cross-entropy by hand, raw pixels, weights of N(0, 1)",
    "A stable cross-entropy, pixels in [0, 1], small weights",
    "numerical_instability unscaled_input",
    "exploding_gradient learning_rate_too_high",
    listed="TheDeepChecker",
    licence="the repository's",
)
def logarithm_of_zero(repaired):
    scaled = with_one_hot(task("digits", "minmax"), 10)
    raw = changed(scaled, x=scaled.x * 255, x_test=scaled.x_test * 255)
    std = 0.05 if repaired else 1.0
    weights = keras.initializers.RandomNormal(stddev=std)
    last = layers.Dense(10, "softmax", kernel_initializer=weights)
    model = keras.Sequential([keras.Input((64,)), last])
    loss = CROSSENTROPY if repaired else entropy_by_hand
    optimizer = keras.optimizers.SGD(0.5 if repaired else 0.001)
    return Setup(model, scaled if repaired else raw, loss, optimizer, 25, 100)


@program(
    "40192728",
    "Cross-entropy by hand is NaN once a probability is 0",
    "The built-in cross-entropy of logits, smaller weights",
    "numerical_instability",
    "exploding_gradient learning_rate_too_high",
    listed="TheDeepChecker",
)
def unstable_entropy(repaired):
    initializer = "he_normal"
    if not repaired:
        initializer = keras.initializers.RandomNormal(stddev=0.4)
    last = layers.Dense(10, None if repaired else "softmax")
    loss = entropy_by_hand
    if repaired:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = dense((64,), 512, 512, last=last, kernel_initializer=initializer)
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, loss, "adam", 8, 64)


def entropy_of_both(y, answer):
    """Return the binary cross-entropy of each class, by hand."""
    terms = y * ops.log(answer) + (1 - y) * ops.log(1 - answer)
    return -ops.sum(terms, -1)


@program(
    "TheDeepChecker, Stack Overflow sample IPS-7",
    "Logarithm of linear outputs",
    "Cross-entropy of logits",
    "output_loss_mismatch numerical_instability",
    listed="TheDeepChecker",
    licence="none stated",
)
def logarithm_of_linear_outputs(repaired):
    loss = entropy_of_both
    if repaired:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = dense((64,), 64, last=layers.Dense(10), activation="sigmoid")
    split = with_one_hot(task("digits", "minmax"), 10)
    optimizer = keras.optimizers.SGD(0.5)
    return Setup(model, split, loss, optimizer, 25, 64)


@program(
    "66840108",
    "Binary cross-entropy for numbers",
    "Squared error",
    "output_loss_mismatch",
    "numerical_instability",
    listed="DEFault",
)
def crossentropy_of_numbers(repaired):
    loss = "mse" if repaired else "binary_crossentropy"
    model = dense((12,), 32, 16, last=layers.Dense(1))
    return Setup(model, task("linear"), loss, "adam", 40, score="r2")


@program(
    "46642627",
    "Sigmoid and binary cross-entropy for raw prices",
    "Linear output, squared error, Adam, scaled inputs and targets",
    "output_loss_mismatch unscaled_input unscaled_target",
    "saturated_activation learning_rate_too_high underfitting "
    "exploding_gradient",
    listed="DeepFD",
)
def entropy_of_prices(repaired):
    split = task("impedance") if repaired else as_measured("impedance")
    if not repaired:
        y, y_test = split.y * 300 + 500, split.y_test * 300 + 500
        split = changed(split, y=y, y_test=y_test)
    last = layers.Dense(1, None if repaired else "sigmoid")
    optimizer = "adam" if repaired else keras.optimizers.SGD(0.01)
    loss = "mse" if repaired else "binary_crossentropy"
    model = dense((4,), 32, 16, last=last)
    return Setup(model, split, loss, optimizer, 40, score="r2")


@program(
    "50641866",
    "Squared error for two classes: the answer is always 0.5",
    "Cross-entropy and Adam",
    "output_loss_mismatch learning_rate_too_low",
    "too_few_epochs underfitting",
    listed="TheDeepChecker",
)
def always_a_half(repaired):
    last = layers.Dense(1, "sigmoid")
    model = dense((2,), 16, 8, last=last, activation="tanh")
    loss = "binary_crossentropy" if repaired else "mse"
    optimizer = keras.optimizers.Adam(0.01) if repaired else "sgd"
    return Setup(model, task("circles"), loss, optimizer, 30)


@program(
    "TheDeepChecker, regression with gradients of the wrong sign",
    "The optimizer climbs the loss",
    "The right sign",
    "output_loss_mismatch exploding_gradient learning_rate_too_high",
    "numerical_instability",
    listed="TheDeepChecker",
    licence="none stated",
)
def climbing(repaired):
    def loss(y, answer):
        error = ops.mean(ops.square(y - answer))
        return error if repaired else -error

    model = dense((8,), 64, 64, last=layers.Dense(1))
    return Setup(model, task("friedman"), loss, "adam", 20, score="r2")
