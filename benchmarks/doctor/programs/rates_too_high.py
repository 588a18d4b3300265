"""Learning rates that are too high."""

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

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


@program(
    "48934338",
    "SGD with a rate of 0.1 for a noisy parabola",
    "A rate of 0.0001",
    "learning_rate_too_high exploding_gradient unscaled_target",
    "numerical_instability dying_relu",
    listed="DeepLocalize",
)
def noisy_parabola(repaired):
    x = np.arange(0, 5, 0.02)[:, None]
    y = 5 * x[:, 0] ** 2 + np.random.default_rng(9).normal(size=250) ** 3
    model = dense((1,), 50, 30, last=layers.Dense(1))
    optimizer = SGD(1e-4 if repaired else 0.1)
    split = halved(x, y.astype("float32"))
    return Setup(model, split, "mse", optimizer, 150, score="r2")


@program(
    "37624102",
    "SGD with a rate of 0.1 and momentum 0.9",
    "A rate of 0.01",
    "learning_rate_too_high",
    "dying_relu exploding_gradient numerical_instability underfitting",
    listed="DeepFD",
)
def momentum_for_digits(repaired):
    optimizer = SGD(0.01 if repaired else 0.1, momentum=0.9, nesterov=True)
    model = conv((8, 8, 1), 16, 32, last=softmax(), units=(128, 64))
    return Setup(model, images(), CROSSENTROPY, optimizer, 10, 16)


@program(
    "DeepCrime, Reuters, learning rate 1",
    "Adam with a rate of 1",
    "The default rate",
    "learning_rate_too_high",
    "dying_relu exploding_gradient underfitting",
    listed="dl-fl-repair",
    licence="MIT",
)
def adam_of_one(repaired):
    model = dense((150,), 64, last=softmax(8), dropout=0.5)
    optimizer = Adam(1e-3 if repaired else 1.0)
    return Setup(model, topics(), CROSSENTROPY, optimizer, 10)


@program(
    "GitHub ShyamPoovaiah/FacialKeypointsDetection commit 65439256",
    "Adam with a rate of 0.1 for points in images",
    "SGD with momentum, more epochs",
    "learning_rate_too_high",
    "dying_relu underfitting exploding_gradient",
    listed="DeepLocalize, DeepFD",
    licence="the repository's",
)
def points_in_images(repaired):
    rng = np.random.default_rng(10)
    place = rng.uniform(-1, 1, (700, 2))
    i, j = np.mgrid[-1:1:9j, -1:1:9j]
    far = (i - place[:, :1, None]) ** 2 + (j - place[:, 1:, None]) ** 2
    x = np.exp(-far / 0.1) + rng.normal(0, 0.1, far.shape)
    split = halved(x[..., None], place.astype("float32"))
    model = conv((9, 9, 1), 16, 32, last=layers.Dense(2), units=(100,))
    optimizer = SGD(0.02, momentum=0.9) if repaired else Adam(0.1)
    epochs = 30 if repaired else 15
    return Setup(model, split, "mse", optimizer, epochs, score="r2")


@program(
    "48385830",
    "SGD with a rate of 3, squared error, no activations",
    "Sigmoids, as in the textbook",
    "learning_rate_too_high output_loss_mismatch exploding_gradient",
    "numerical_instability underfitting",
    listed="DeepLocalize",
)
def rate_of_three(repaired):
    activation = "sigmoid" if repaired else None
    normal = keras.initializers.RandomNormal(stddev=1)
    options = {"kernel_initializer": normal, "bias_initializer": normal}
    last = layers.Dense(10, activation, **options)
    model = dense((64,), 30, last=last, activation=activation, **options)
    split = with_one_hot(task("digits", "minmax"), 10)
    return Setup(model, split, "mse", SGD(3.0), 20, 10)


@program(
    "TheDeepChecker, regression with a high rate",
    "Adam with a hundredfold rate",
    "The original rate",
    "learning_rate_too_high",
    "dying_relu exploding_gradient underfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def hundredfold_rate(repaired):
    model = dense((8,), 64, 64, last=layers.Dense(1))
    optimizer = Adam(3e-3 if repaired else 0.3)
    return Setup(model, task("friedman"), "mse", optimizer, 20, score="r2")


@program(
    "40156629",
    "Accuracy of a convolutional network oscillates: the rate is too high",
    "A lower rate",
    "learning_rate_too_high",
    "dying_relu exploding_gradient underfitting",
    listed="TheDeepChecker",
)
def oscillating_accuracy(repaired):
    optimizer = Adam(1e-3 if repaired else 0.05)
    model = lenet(softmax())
    return Setup(model, images(), CROSSENTROPY, optimizer, 12)


@program(
    "42264716",
    "Gradient descent on inputs up to 100 diverges",
    "A far lower rate, or scaled inputs",
    "learning_rate_too_high unscaled_input exploding_gradient",
    "numerical_instability",
    listed="TheDeepChecker",
)
def diverging_line(repaired):
    rng = np.random.default_rng(11)
    x = rng.uniform(0, 100, (200, 1))
    y = 2 * x[:, 0] + 4 + rng.normal(0, 5, 200)
    split = halved(x, y.astype("float32"))
    split = standardized(split) if repaired else split
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    return Setup(model, split, "mse", SGD(0.05), 60, 140, score="r2")


@program(
    "36666331",
    "Several raw features: any rate above 0.001 ends in NaN",
    "Scaled features and targets",
    "learning_rate_too_high unscaled_input exploding_gradient unscaled_target",
    "numerical_instability",
    listed="TheDeepChecker",
)
def raw_features_diverge(repaired):
    split = task("impedance") if repaired else as_measured("impedance")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    if not repaired:
        y, y_test = split.y * 300 + 500, split.y_test * 300 + 500
        split = changed(split, y=y, y_test=y_test)
    return Setup(model, split, "mse", SGD(0.01), 60, score="r2")


@program(
    "45154470",
    "Targets of thousands: only a tiny rate avoids NaN",
    "Scaled targets",
    "unscaled_target learning_rate_too_high exploding_gradient",
    "numerical_instability",
    listed="TheDeepChecker",
)
def targets_of_thousands(repaired):
    split = task("friedman")
    scale = 1 if repaired else 5000
    model = dense((8,), 32, 16, last=layers.Dense(1))
    split = changed(split, y=split.y * scale, y_test=split.y_test * scale)
    return Setup(model, split, "mse", SGD(0.02), 40, score="r2")


@program(
    "41054149",
    "Weights of two sigmoid layers stop moving after large steps",
    "A lower rate",
    "learning_rate_too_high saturated_activation",
    "vanishing_gradient underfitting exploding_gradient",
    listed="TheDeepChecker",
)
def stopped_by_large_steps(repaired):
    last = layers.Dense(1, "sigmoid")
    model = dense((30,), 16, last=last, activation="sigmoid")
    split, optimizer = task("breast_cancer"), SGD(0.5 if repaired else 200.0)
    return Setup(model, split, "mse", optimizer, 20)


@program(
    "55718408",
    "The answer is the same for every input: the rate is too high",
    "A lower rate",
    "learning_rate_too_high",
    "saturated_activation dying_relu underfitting exploding_gradient",
    listed="TheDeepChecker",
)
def same_answer_everywhere(repaired):
    last = layers.Dense(1)
    model = dense((8,), 32, 32, last=last, activation="tanh")
    optimizer = Adam(3e-3 if repaired else 1.0)
    return Setup(model, task("friedman"), "mse", optimizer, 25, score="r2")


@program(
    "AUTOTRAINER, motivating example of an oscillating loss",
    "Many ReLU layers with large steps",
    "A lower rate",
    "learning_rate_too_high",
    "dying_relu exploding_gradient vanishing_gradient numerical_instability "
    "underfitting",
    listed="AUTOTRAINER",
    licence="none stated",
)
def many_layers_large_steps(repaired):
    units = [32] * 8
    last = softmax()
    model = dense((64,), *units, last=last, kernel_initializer="he_uniform")
    split = with_one_hot(task("digits", "minmax"), 10)
    optimizer = Adam(1e-3 if repaired else 0.05)
    return Setup(model, split, CROSSENTROPY, optimizer, 15)


@program(
    "UMLAUT, evaluation program B",
    "Rate of -1000, no activations, validated on training images",
    "A usual rate, ReLU, validation on other images",
    "learning_rate_too_high exploding_gradient validation_leak",
    "numerical_instability underfitting",
    listed="UMLAUT",
    licence="Apache-2.0",
)
def negative_rate(repaired):
    split = task("digit_images", "minmax")
    activation = "relu" if repaired else None
    model = lenet(layers.Dense(10), activation=activation, dropout=0.2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = Adam(1e-3 if repaired else -1e3)
    seen = (split.x[:100], split.y[:100])
    unseen = (split.x_test, split.y_test)
    validation = {"validation_data": unseen if repaired else seen}
    return Setup(model, split, loss, optimizer, 10, 128, fit=validation)
