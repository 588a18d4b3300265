"""Draws docs/images/sick_and_cured.png: gradients of a sick and a cured net.

    KERAS_BACKEND=torch python docs/sick_and_cured.py

Two networks of the same depth learn scikit-learn's handwritten digits. They
differ in activation and initial weights only. The upper row shows the gradient
norm of each layer in each sampled step, on one scale. The lower row shows the
accuracy. The numbers in the titles come from the runs.
"""

import argparse
import pathlib
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import keras_ext

IMAGE = pathlib.Path(__file__).parent / "images" / "sick_and_cured.png"
DEPTH, WIDTH, EPOCHS = 8, 32, 10
MUTED, SICK, CURED = "#59636e", "#b3261e", "#1a7f37"


class Patient(NamedTuple):
    """A training run: its measurements and its diagnosis.

    Attributes:
        norms: Gradient norms, of shape `(layers, sampled steps)`.
        steps: The sampled steps.
        accuracy: Validation accuracy after each epoch, in [0, 1].
        steps_per_epoch: Training steps of an epoch.
        diagnosis: The first problem that the doctor finds, or `None`.
    """

    norms: np.ndarray
    steps: np.ndarray
    accuracy: list[float]
    steps_per_epoch: int
    diagnosis: str | None


def examine(activation: str, initializer: str) -> Patient:
    """Train a network with a doctor and a logger of gradient norms."""
    keras.utils.set_random_seed(1)
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype("float32") / 16, y[order]
    layers = [
        keras.layers.Dense(WIDTH, activation, kernel_initializer=initializer)
        for _ in range(DEPTH)
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    model.compile(
        keras_ext.optimizers.SGD(0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    norms = keras_ext.callbacks.GradientNormLogger(
        every_n_steps=15, vanishing=None
    )
    doctor = keras_ext.callbacks.TrainingDoctor(on_finding=lambda f: None)
    history = model.fit(
        x,
        y,
        epochs=EPOCHS,
        validation_split=0.2,
        callbacks=[norms, doctor],
        verbose=0,
    )
    steps = norms.steps
    rows = [steps[f"grad_norm/{layer.name}"] for layer in model.layers]
    first = doctor.findings[0].problem if doctor.findings else None
    return Patient(
        np.array(rows),
        steps["step"],
        history.history["val_accuracy"],
        history.params["steps"],
        first and first.replace("_", " "),
    )


def draw(sick: Patient, cured: Patient) -> Figure:
    """Return the figure: a column for each run."""
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(
        2, 2, sharex=True, sharey="row", height_ratios=(3.4, 1)
    )
    both = np.concatenate([sick.norms, cured.norms], axis=1)
    norm = LogNorm(both[both > 0].min(), both.max())
    columns = (
        (sick, SICK, f"Sick: {DEPTH} layers of sigmoids"),
        (cured, CURED, "Cured: ReLU with He's weights"),
    )
    image: Any = None
    for (top, bottom), (run, color, title) in zip(axes.T, columns, strict=True):
        image = _heat_map(top, run, norm)
        top.set_title(title, loc="left", color=color, weight="bold", pad=23)
        top.annotate(
            _summary(run),
            (0, 1),
            xytext=(0, 7),
            xycoords="axes fraction",
            textcoords="offset points",
            color=MUTED,
            fontsize=9.5,
            in_layout=False,
        )
        _accuracy(bottom, run, color)
    axes[1, 0].set_ylabel("validation\naccuracy", color=MUTED, fontsize=9)
    bar = figure.colorbar(image, ax=axes[0, :], pad=0.015, aspect=24)
    bar.set_label("gradient norm (L2)", color=MUTED, fontsize=9)
    bar.ax.tick_params(labelsize=9, colors=MUTED)
    bar.outline.set_visible(False)
    return figure


def _heat_map(axes: Any, run: Patient, norm: LogNorm) -> Any:
    names = [f"layer {i + 1}" for i in range(DEPTH)] + ["output"]
    end = len(run.accuracy) * run.steps_per_epoch
    image = axes.pcolormesh(
        np.append(run.steps, end),
        np.arange(len(names) + 1) - 0.5,
        run.norms,
        norm=norm,
        cmap="viridis",
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=9, colors=MUTED)
    axes.spines[:].set_visible(False)
    return image


def _accuracy(axes: Any, run: Patient, color: str) -> None:
    ends = (np.arange(len(run.accuracy)) + 1) * run.steps_per_epoch
    last = run.accuracy[-1]
    axes.plot(
        ends,
        run.accuracy,
        color=color,
        lw=2.2,
        marker="o",
        ms=4,
        clip_on=False,
    )
    axes.set(ylim=(0, 1), xlim=(0, ends[-1]), yticks=(0, 0.5, 1))
    axes.set_xlabel("training step", color=MUTED, fontsize=9)
    axes.tick_params(length=0, labelsize=9, colors=MUTED)
    axes.grid(alpha=0.25)
    axes.spines[:].set_visible(False)
    axes.annotate(
        f"{last:.0%}",
        (ends[-1], last),
        xytext=(0, 8 if last < 0.5 else -17),
        textcoords="offset points",
        ha="right",
        color=color,
        weight="bold",
    )


def _summary(run: Patient) -> str:
    """Return the diagnosis, and the ratio of the layers' norms."""
    each = np.median(run.norms, axis=1)
    factor = float(f"{each.max() / each.min():.1g}")
    diagnosis = run.diagnosis or "nothing wrong"
    return f"Doctor: {diagnosis} (norms differ {factor:,g}-fold)"


def main() -> None:
    """Train both and save the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--figure", type=pathlib.Path, default=IMAGE)
    args = parser.parse_args()
    sick = examine("sigmoid", "glorot_uniform")
    cured = examine("relu", "he_normal")
    draw(sick, cured).savefig(args.figure, dpi=200)
    for run in (sick, cured):
        print(f"{_summary(run)}; accuracy {run.accuracy[-1]:.0%}")


if __name__ == "__main__":
    main()
