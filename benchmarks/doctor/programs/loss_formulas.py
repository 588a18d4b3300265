"""Losses by hand that are wrong, reduced wrongly, or not stable."""

import keras
from keras import layers, ops

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
)
from benchmarks.doctor.programs.common import (
    Setup,
    changed,
    dense,
    program,
    softmax,
    task,
    with_one_hot,
)


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
        initializer = keras.initializers.RandomNormal(stddev=1.0)
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
