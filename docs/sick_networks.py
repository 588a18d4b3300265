"""One small network for each of the doctor's problems, and its healthy twin.

`docs/problem_figures.py` trains and draws them. The data are scikit-learn's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import initializers, layers, optimizers
from sklearn.datasets import load_diabetes, load_digits, load_wine

import keras_ext

Array = np.ndarray


class Training(NamedTuple):
    """A model and what it is trained with.

    Attributes:
        model: Compiled.
        x, y: Data to train on.
        validation: Data to validate on, `(x, y)`.
        epochs: Number of epochs.
    """

    model: keras.Model
    x: Array
    y: Array
    validation: tuple[Array, Array]
    epochs: int = 8


Split = tuple[Array, Array, tuple[Array, Array]]


def split(x: Array, y: Array, train: int) -> Split:
    """Return data to train and to validate on, in an order drawn once."""
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    return x[:train], y[:train], (x[train:][:400], y[train:][:400])


def digits(train: int = 960) -> Split:
    """Return scikit-learn's digits, pixels from 0 to 1."""
    x, y = load_digits(return_X_y=True)
    return split(x / 16, y, train)


def network(
    depth: int = 3,
    width: int = 32,
    activation: str = "relu",
    kernel: Any = "he_normal",
    bias: Any = "zeros",
    first: layers.Layer | None = None,
    out: layers.Layer | None = None,
    features: int = 64,
) -> keras.Sequential:
    """Return dense layers `hidden_0`, `hidden_1`, ... and an output."""
    keras.utils.set_random_seed(1)
    hidden = [
        layers.Dense(
            width,
            activation,
            kernel_initializer=kernel,
            bias_initializer=bias,
            name=f"hidden_{i}",
        )
        for i in range(depth)
    ]
    out = out or layers.Dense(10, "softmax", name="out")
    start = [keras.Input((features,)), *([first] if first else [])]
    return keras.Sequential([*start, *hidden, out])


def classifier(
    rate: float = 0.1,
    optimizer: type = optimizers.SGD,
    data: Split | None = None,
    epochs: int = 8,
    loss: Any = "sparse_categorical_crossentropy",
    **how: Any,
) -> Training:
    """Return a network on the digits; `how` goes to `network`."""
    model = network(**how)
    model.compile(optimizer(rate), loss, metrics=["accuracy"])
    return Training(model, *(data or digits()), epochs=epochs)


def vanishing_gradient(sick: bool) -> Training:
    """Eight layers of sigmoids; ReLU with He's weights."""
    if sick:
        return classifier(
            depth=8, activation="sigmoid", kernel="glorot_uniform"
        )
    return classifier(0.05, depth=8)


def exploding_gradient(sick: bool) -> Training:
    """Six layers, weights drawn from N(0, 0.7²); He's weights."""
    kernel = initializers.RandomNormal(stddev=0.7) if sick else "he_normal"
    return classifier(
        0.05,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **{"depth": 6, "kernel": kernel, "out": layers.Dense(10, name="out")},
    )


def dying_relu(sick: bool) -> Training:
    """ReLU, biases begin at −5; ReLU, biases begin at 0."""
    bias = initializers.Constant(-5.0) if sick else "zeros"
    return classifier(bias=bias)


def saturated_activation(sick: bool) -> Training:
    """Three layers of tanh, weights drawn from N(0, 3²); Xavier's weights."""
    kernel = initializers.RandomNormal(stddev=3.0) if sick else "glorot_normal"
    return classifier(activation="tanh", kernel=kernel)


def symmetric_units(sick: bool) -> Training:
    """All weights begin at 0.1; He's weights."""
    kernel = initializers.Constant(0.1) if sick else "he_normal"
    out = layers.Dense(10, "softmax", kernel_initializer=kernel, name="out")
    return classifier(depth=1, width=16, kernel=kernel, out=out)


def overfitting(sick: bool) -> Training:
    """60 images, 12 wrong labels; 960 images and dropout."""
    x, y, held_out = digits(60 if sick else 960)
    if sick:
        wrong = np.random.default_rng(1).choice(60, 12, replace=False)
        y = y.copy()
        y[wrong] = (y[wrong] + 1) % 10
    first = None if sick else layers.Dropout(0.1)
    return classifier(
        0.01,
        optimizers.Adam,
        (x, y, held_out),
        epochs=25,
        depth=2,
        width=64,
        first=first,
    )


def underfitting(sick: bool) -> Training:
    """A hidden layer of one unit; A hidden layer of 32."""
    return classifier(
        0.01, optimizers.Adam, depth=1, width=1 if sick else 32, epochs=12
    )


def learning_rate_too_low(sick: bool) -> Training:
    """SGD, learning rate 1e-5; SGD, learning rate 0.1."""
    return classifier(1e-5 if sick else 0.1)


def learning_rate_too_high(sick: bool) -> Training:
    """Adam, learning rate 3; Adam, learning rate 0.01."""
    return classifier(3.0 if sick else 0.01, optimizers.Adam)


def too_few_epochs(sick: bool) -> Training:
    """Six epochs; 40 epochs."""
    return classifier(0.01, epochs=6 if sick else 40)


def unscaled_input(sick: bool) -> Training:
    """Wines as they were measured; Wines, standardized."""
    data = split(*load_wine(return_X_y=True), train=128)
    first = None
    if not sick:
        first = keras_ext.layers.Standardization()
        first.adapt(data[0])
    out = layers.Dense(3, "softmax", name="out")
    return classifier(
        *(0.05, optimizers.SGD, data),
        **{"depth": 2, "first": first, "out": out, "features": 13},
        epochs=20,
    )


def unscaled_target(sick: bool) -> Training:
    """Disease progression from 25 to 346; Standardized."""
    x, y = load_diabetes(return_X_y=True)
    if not sick:
        y = (y - y.mean()) / y.std()
    x, y = x / x.std(axis=0), y.astype("float32")
    out = layers.Dense(1, name="out")
    model = network(2, 16, out=out, features=10)
    model.compile(optimizers.Adam(0.003), "mse")
    return Training(model, *split(x, y, 352))


def class_imbalance(sick: bool) -> Training:
    """One digit of ten is a seven; The classes weigh the same."""
    x, y, (x_new, y_new) = digits()
    y, y_new = (y == 7).astype("float32"), (y_new == 7).astype("float32")
    out = layers.Dense(1, "sigmoid", name="out")
    model = network(1, 4, out=out)
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    if not sick:
        y_0, y_1 = x[y == 0], x[y == 1]
        x = np.concatenate([y_0, *[y_1] * 9])
        y = np.repeat([0.0, 1.0], [len(y_0), len(x) - len(y_0)])
        order = np.random.default_rng(0).permutation(len(x))
        x, y = x[order], y[order].astype("float32")
    return Training(model, x, y, (x_new, y_new), epochs=12)


def frozen_weights(sick: bool) -> Training:
    """Hidden layers frozen before training; Trained."""
    training = classifier(width=8, epochs=30)
    for layer in training.model.layers[:-1]:
        layer.trainable = not sick
    training.model.compile("adam", training.model.loss, metrics=["accuracy"])
    return training


def output_loss_mismatch(sick: bool) -> Training:
    """Sigmoid for a standardized number; Linear output."""
    x, y = load_diabetes(return_X_y=True)
    y = ((y - y.mean()) / y.std()).astype("float32")
    x = x / x.std(axis=0)
    out = layers.Dense(1, "sigmoid" if sick else None, name="out")
    model = network(2, 16, out=out, features=10)
    model.compile(optimizers.Adam(0.003), "mse")
    return Training(model, *split(x, y, 352))


def numerical_instability(sick: bool) -> Training:
    """Cross-entropy by hand, in float16; Keras's, which guards the log."""

    def by_hand(labels: Any, p: Any) -> Any:
        one_hot = keras.ops.one_hot(keras.ops.cast(labels, "int32"), 10)
        logs = keras.ops.log(keras.ops.cast(p, "float16"))
        return -keras.ops.sum(one_hot * keras.ops.cast(logs, "float32"), -1)

    loss = by_hand if sick else "sparse_categorical_crossentropy"
    return classifier(0.005, optimizers.Adam, loss=loss, epochs=12)


CASES: dict[str, Callable[[bool], Training]] = {
    build.__name__: build
    for build in (
        vanishing_gradient,
        exploding_gradient,
        dying_relu,
        saturated_activation,
        symmetric_units,
        overfitting,
        underfitting,
        learning_rate_too_low,
        learning_rate_too_high,
        too_few_epochs,
        unscaled_input,
        unscaled_target,
        output_loss_mismatch,
        class_imbalance,
        frozen_weights,
        numerical_instability,
    )
}


def train(problem: str, sick: bool) -> tuple[Any, Training]:
    """Train one of the networks, with a doctor.

    Args:
        problem: One of `keras_ext.doctor.PROBLEMS`.
        sick: Whether with the problem or without.

    Returns:
        The doctor and what was trained.
    """
    keras.utils.set_random_seed(1)
    training = CASES[problem](sick)
    doctor = keras_ext.callbacks.TrainingDoctor(on_finding=lambda finding: None)
    training.model.fit(
        training.x,
        training.y,
        batch_size=32,
        epochs=training.epochs,
        validation_data=training.validation,
        callbacks=[doctor],
        verbose=0,
    )
    return doctor, training
