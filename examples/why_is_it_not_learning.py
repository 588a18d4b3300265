"""Why is it not learning?

A deep network of sigmoids reads scikit-learn's handwritten digits as bytes. Its
accuracy stays at one in ten. A `TrainingDoctor` in `fit` finds the reason. The
example applies the doctor's first remedy and trains again, until the doctor
finds nothing.

    python examples/why_is_it_not_learning.py --figure not_learning.png
"""

import argparse
import pathlib
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_ext

Array = np.ndarray
DEPTH = 6
# The problems that the example cures, and their remedies.
CURES = {
    "unscaled_input": "inputs standardized",
    "vanishing_gradient": "ReLU with He's weights",
}


def digits() -> tuple[Array, Array]:
    """Return scikit-learn's digits as images of bytes."""
    x, y = load_digits(return_X_y=True)
    # The last images of scikit-learn are by other writers, more difficult.
    order = np.random.default_rng(1).permutation(len(x))
    return (x[order] * 255 / 16).astype("float32"), y[order]


def build(x: Array, cures: set[str]) -> keras.Model:
    """Return the network, with the cures that the doctor named."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((64,))])
    if "unscaled_input" in cures:
        scale = keras_ext.layers.Standardization()
        scale.adapt(x)
        model.add(scale)
    how: dict[str, Any] = {"activation": "sigmoid"}
    if "vanishing_gradient" in cures:
        how = {"activation": "relu", "kernel_initializer": "he_normal"}
    for i in range(DEPTH):
        model.add(keras_ext.layers.Dense(32, name=f"hidden_{i}", **how))
    model.add(keras_ext.layers.Dense(10, "softmax", name="out"))
    model.compile(
        keras_ext.optimizers.SGD(0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def draw(runs: dict[str, tuple[Any, Any]], path: pathlib.Path) -> None:
    """Draw accuracy by epoch, and the gradient by layer, of each run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    layers = [f"hidden_{i}" for i in range(DEPTH)] + ["out"]
    for width, (name, (history, measured)) in zip(
        (6, 3, 2), runs.items(), strict=False
    ):
        accuracy = history["val_accuracy"]
        left.plot(range(1, len(accuracy) + 1), accuracy, lw=width, label=name)
        norms = [measured.series[f"grad_norm/{x}"][0] for x in layers]
        right.semilogy(layers, np.maximum(norms, 1e-12), lw=width, label=name)
    left.set(title="Validation accuracy", xlabel="epoch", ylim=(0, 1))
    right.set(title="Gradient norm in the first step")
    right.tick_params(axis="x", labelrotation=45)
    left.legend()
    figure.savefig(path, dpi=120)


def main(
    epochs: int = 8,
    path: str = "why_is_it_not_learning.png",
    mlflow: str | None = None,
) -> None:
    """Train, print the report, cure; repeat; save the figure."""
    x, y = digits()
    cures: set[str] = set()
    runs: dict[str, tuple[Any, Any]] = {}
    name = "as it was"
    while True:
        doctor = keras_ext.callbacks.TrainingDoctor(on_finding=lambda f: None)
        callbacks: list[keras.callbacks.Callback] = [doctor]
        if mlflow:
            logger = keras_ext.callbacks.MLflowLogger(
                experiment="why is it not learning",
                run_name=name,
                tracking_uri=mlflow,
            )
            callbacks.append(logger)
        history = build(x, cures).fit(
            x,
            y,
            validation_split=0.2,
            epochs=epochs,
            callbacks=callbacks,
            verbose=0,
        )
        runs[name] = history.history, doctor.history
        accuracy = history.history["val_accuracy"][-1]
        print(f"{name}: validation accuracy {accuracy:.2f}\n")
        print(doctor.report(), end="\n\n")
        first = doctor.findings[0].problem if doctor.findings else ""
        if first in cures or first not in CURES:
            break
        cures.add(first)
        name = "then " + CURES[first]
    draw(runs, pathlib.Path(path))
    print(f"Figure: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--figure", default="why_is_it_not_learning.png")
    parser.add_argument(
        "--mlflow", metavar="URI", help="log the runs, to sqlite:///mlflow.db"
    )
    args = parser.parse_args()
    main(args.epochs, args.figure, args.mlflow)
