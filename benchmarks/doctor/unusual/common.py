"""What the trainings of unusual kinds share."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn import datasets

Case = Callable[[Any], tuple[float, float]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Put a function into `CASES`.

    It takes the doctor, trains, and returns the score that was reached and
    the one from which on the training counts as healthy.
    """
    CASES[function.__name__] = function
    return function


def digits(images: bool = True) -> tuple[np.ndarray, ...]:
    """Return digits in [0, 1]: x, y, and x, y of unseen ones."""
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order]
    x = x.reshape(-1, 8, 8, 1) if images else x
    return x[:1300], y[:1300], x[1300:], y[1300:]


def right(model: Any, x: Any, y: np.ndarray) -> float:
    """Return the accuracy."""
    answer = np.asarray(model.predict(x, verbose=0))
    if answer.shape[-1] > 1:
        return float((answer.argmax(-1) == y).mean())
    return float(((answer.reshape(-1) > 0.5) == y).mean())


def dense(
    shape: tuple[int, ...],
    *units: int,
    last: Any,
    activation: Any = "relu",
    first: tuple = (),
    dropout: float = 0.0,
    **options: Any,
) -> Any:
    """Return a plain dense model; options go to its hidden layers."""
    hidden: list[Any] = []
    for n in units:
        hidden.append(layers.Dense(n, activation, **options))
        if dropout:
            hidden.append(layers.Dropout(dropout))
    return keras.Sequential([keras.Input(shape), *first, *hidden, last])


def classify(
    doctor: Any,
    model: Any,
    data: tuple[np.ndarray, ...],
    good: float,
    optimizer: Any = "adam",
    loss: Any = "sparse_categorical_crossentropy",
    epochs: int = 15,
    batch_size: int = 32,
    validation: bool = True,
    callbacks: tuple = (),
    metrics: tuple = ("accuracy",),
    **options: Any,
) -> tuple[float, float]:
    """Train a classifier, and score it on unseen data."""
    x, y, x_test, y_test = data
    model.compile(optimizer, loss, metrics=list(metrics))
    model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(x_test, y_test) if validation else None,
        callbacks=[doctor, *callbacks],
        verbose=0,
        **options,
    )
    return right(model, x_test, y_test), good


def softmax(n: int = 10) -> Any:
    """Return the usual output layer."""
    return layers.Dense(n, "softmax")


def regress(
    doctor: Any, model: Any, data: Any, good: float, **options: Any
) -> tuple[float, float]:
    """Train on numbers; the score is the explained variance."""
    options = {"loss": "mse", "metrics": ("mae",)} | options
    classify(doctor, model, data, good, **options)
    return explained(data[3], model.predict(data[2], verbose=0)), good


def explained(y: np.ndarray, answer: Any) -> float:
    """Return the explained share of the variance."""
    answer = np.asarray(answer).reshape(y.shape)
    return 1 - float(np.mean((y - answer) ** 2) / np.var(y))
