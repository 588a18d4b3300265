"""What changes if I swap one import and add two callbacks?

An existing model learns scikit-learn's handwritten digits. The optimizer comes
from `keras_ext` instead of `keras`, and two callbacks measure the gradients and
the ReLUs during training. Nothing else changes.

    python examples/drop_in.py
"""

import argparse
import time

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_ext


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, in [0, 1]."""
    x, y = load_digits(return_X_y=True)
    return x.astype("float32") / 16.0, y


def build(optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Return the existing model."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(256, activation="relu", name="first"),
            keras.layers.Dense(256, activation="relu", name="second"),
            keras.layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def train(
    model: keras.Model, epochs: int, callbacks: list | None = None
) -> tuple[float, float]:
    """Return the validation accuracy and the CPU seconds of `fit`."""
    x, y = digits()
    start = time.process_time()
    history = model.fit(
        x,
        y,
        validation_split=0.2,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )
    seconds = time.process_time() - start
    return history.history["val_accuracy"][-1], seconds


def main(epochs: int = 10) -> None:
    """Train before and after, and print the changes."""
    before = build(keras.optimizers.Adam())
    accuracy, seconds = train(before, epochs)

    after = build(keras_ext.optimizers.Adam())  # the swapped import
    monitors: list = []
    if keras.config.backend() == "tensorflow":
        monitors = [  # the two callbacks
            keras_ext.callbacks.GradientNormLogger(),
            keras_ext.callbacks.DeadReLULogger(),
        ]
    new_accuracy, new_seconds = train(after, epochs, monitors)

    x, _ = digits()
    difference = np.abs(
        before.predict(x, verbose=0) - after.predict(x, verbose=0)
    ).max()
    print(f"{'':24}{'before':>10}{'after':>10}")
    print(f"{'validation accuracy':24}{accuracy:10.4f}{new_accuracy:10.4f}")
    print(f"{'CPU seconds of fit':24}{seconds:10.2f}{new_seconds:10.2f}")
    print(f"largest difference of a predicted probability: {difference:.1e}\n")
    if monitors:
        print("New measurements, in the last epoch:")
    for monitor in monitors:
        for key, values in monitor.epochs.items():
            print(f"  {key:24}{values[-1]:10.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
