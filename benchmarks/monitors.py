"""What the monitors cost: CPU time of `fit`, with them and without.

    KERAS_BACKEND=tensorflow python -m benchmarks.monitors

Each pair is one epoch of one model with both monitors and one without. The
last columns time the first `fit` of a fresh model (tracing and compiling).
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from benchmarks.paired import Comparison, compare
from keras_ext import callbacks

LAYERS = keras.layers


def mlp():
    hidden = [LAYERS.Dense(512, activation="relu") for _ in range(4)]
    return (784,), 128, hidden


def cnn():
    hidden = [
        LAYERS.Conv2D(16, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.Conv2D(32, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.Flatten(),
    ]
    return (28, 28, 1), 64, hidden


def deep():
    hidden = [LAYERS.Dense(64, activation="relu") for _ in range(30)]
    return (64,), 64, hidden


def lstm():
    return (50, 16), 32, [LAYERS.LSTM(64)]


def epoch_of(make, monitors, steps=60):
    """Build a model and its data; return what runs one epoch."""
    shape, batch_size, hidden = make()
    head = LAYERS.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input(shape), *hidden, head])
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size * steps, *shape)).astype("float32")
    y = rng.integers(0, 10, len(x))

    def epoch():
        model.fit(x, y, batch_size=batch_size, callbacks=monitors(), verbose=0)

    return epoch


def both(every_n_steps):
    """Return a function that gives one pair of loggers, again and again."""
    loggers = [
        callbacks.GradientNormLogger(every_n_steps),
        callbacks.DeadReLULogger(every_n_steps),
    ]
    return lambda: loggers


def first_fit(make, monitors):
    epoch = epoch_of(make, monitors, steps=12)
    start = time.process_time()
    epoch()
    return time.process_time() - start


def compile_ratio(make):
    pairs = [
        (first_fit(make, both(10)), first_fit(make, lambda: None))
        for _ in range(3)
    ]
    return float(np.median([a / b for a, b in pairs]))


def row(name: str, n: int, c: Comparison, compiling: float) -> str:
    return (
        f"| {name} | {n} | {c.ratio:.3f} ({c.spread[0]:.3f} to "
        f"{c.spread[1]:.3f}) | {c.noise:.3f} ({c.noise_spread[0]:.3f} to "
        f"{c.noise_spread[1]:.3f}) | {compiling:.2f} |"
    )


def main() -> None:
    print(f"Backend: {keras.config.backend()}, Keras {keras.__version__}\n")
    print("| model | every n steps | monitored / bare | bare / bare | first |")
    print("|---|---|---|---|---|")
    for make in (mlp, cnn, deep, lstm):
        compiling = compile_ratio(make)
        for n in (10, 1):
            comparison = compare(
                candidate=lambda: epoch_of(make, both(n)),  # noqa: B023
                baseline=lambda: epoch_of(make, lambda: None),  # noqa: B023
                builds=2,
                pairs=10,
            )
            print(row(make.__name__, n, comparison, compiling), flush=True)


if __name__ == "__main__":
    main()
