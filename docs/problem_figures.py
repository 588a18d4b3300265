"""Draws a figure of each problem that the doctor knows.

    KERAS_BACKEND=torch python docs/problem_figures.py [PROBLEM ...]

It trains the networks of `docs/sick_networks.py`, a few seconds each, draws
the measurements to `docs/images/problems/`, and prints the doctor's findings.
"""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sick_networks import CASES, Training, train

from keras_ext.doctor import report

IMAGES = pathlib.Path(__file__).parent / "images" / "problems"
# Sick and healthy: colours for every kind of colour vision.
COLORS = ("#d55e00", "#0072b2")
MARKERS = ("o", "s")

Run = tuple[Any, Training]
Runs = dict[str, Run]


def styled(runs: Runs) -> Any:
    """Yield the history, the training, the style and the marker of each run."""
    for (label, (doctor, training)), color, marker in zip(
        runs.items(), COLORS, MARKERS, strict=True
    ):
        style = {"color": color, "label": label}
        yield doctor.history, training, style, marker


def layers_of(history: Any, kind: str) -> tuple[list[str], list[np.ndarray]]:
    """Return the layers that have such a series, and their series."""
    series = history.of_kind(kind)
    return [name.replace("hidden_", "") for name in series], [*series.values()]


def gradients(axes: Axes, runs: Runs) -> None:
    """Draw the gradient norm of each layer in the first step."""
    for history, _, style, marker in styled(runs):
        names, series = layers_of(history, "grad_norm/")
        first = [values[0] for values in series]
        axes.semilogy(names, first, marker=marker, lw=2, **style)
    axes.set(xlabel="hidden layer", ylabel="gradient norm (L2)")
    axes.set_title("Gradient of each layer in the first step")


def shares(kind: str, title: str) -> Callable[[Axes, Runs], None]:
    """Return a function that draws shares of units per layer as bars."""

    def draw(axes: Axes, runs: Runs) -> None:
        for i, (history, _, style, _) in enumerate(styled(runs)):
            names, series = layers_of(history, kind)
            places = np.arange(len(names)) + (i - 0.5) * 0.38
            percent = [100 * np.median(values) for values in series]
            bars = axes.bar(places, percent, 0.36, **style)
            axes.bar_label(bars, fmt="%.0f %%", fontsize=9)
            axes.set_xticks(range(len(names)), names)
        axes.set(xlabel="hidden layer", ylabel="share (%)", ylim=(0, 112))
        axes.set_title(title)

    return draw


def update_sizes(axes: Axes, runs: Runs) -> None:
    """Draw how much each step changes the weights."""
    for history, _, style, _ in styled(runs):
        ratio = history.series["update_ratio/global"]
        axes.semilogy(history.steps, ratio, lw=2, **style)
    axes.axhline(1e-3, color="gray", lw=1, ls=":")
    axes.text(0, 1.2e-3, "usual", color="gray", fontsize=9, va="bottom")
    axes.set(xlabel="training step", ylabel="‖Δw‖ / ‖w‖")
    axes.set_title("How much a step changes the weights")


def losses(axes: Axes, runs: Runs) -> None:
    """Draw the loss in training and in validation."""
    for history, _, style, _ in styled(runs):
        loss, held_out = history.logs["loss"], history.logs["val_loss"]
        epochs = np.arange(1, len(loss) + 1)
        axes.plot(epochs, held_out, lw=2, **style)
        axes.plot(epochs, loss, lw=2, ls=":", color=style["color"])
    axes.plot([], [], color="gray", ls=":", lw=2, label="in training")
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    axes.set_title("Loss in validation, and in training")


def against_the_baseline(axes: Axes, runs: Runs) -> None:
    """Draw the training loss and the constant-prediction baseline."""
    for width, (history, _, style, _) in zip((6, 2), styled(runs), strict=True):
        loss = history.logs["loss"]
        axes.plot(np.arange(1, len(loss) + 1), loss, lw=width, **style)
    baseline = np.log(10)  # ten classes
    axes.axhline(baseline, color="gray", lw=1, ls=":")
    place = {"ha": "right", "va": "top", "color": "gray", "fontsize": 9}
    longest = max(len(h.logs["loss"]) for h, *_ in styled(runs))
    axes.text(longest, baseline - 0.04, "baseline", **place)
    axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axes.set_title("Loss in training")


def until_it_breaks(axes: Axes, runs: Runs) -> None:
    """Draw the loss of the sampled steps, and where it is NaN."""
    for width, (history, _, style, _) in zip((6, 2), styled(runs), strict=True):
        steps, loss = history.steps, history.series["loss"]
        axes.semilogy(steps, loss, lw=width, **style)
        broken = steps[~np.isfinite(loss)]
        if len(broken):
            axes.axvspan(broken[0], steps[-1], color="#eeeeee", zorder=0)
            axes.text(
                *(steps[-1], np.nanmax(loss), f"NaN from step {broken[0]} on "),
                **{"ha": "right", "va": "top", "fontsize": 10},
            )
    axes.set(xlabel="training step", ylabel="loss")
    axes.set_title("Loss of the sampled steps")


def feature_sizes(axes: Axes, runs: Runs) -> None:
    """Draw the scale of each feature at the first dense layer."""
    for _, training, style, marker in styled(runs):
        first, x = training.model.layers[0], training.x
        if not first.name.startswith("hidden"):
            x = keras.ops.convert_to_numpy(first(x))
        size = np.sqrt(np.mean(np.square(x), axis=0))
        places = np.arange(1, len(size) + 1)
        axes.semilogy(places, size, marker, ms=7, **style)
    axes.set(xlabel="feature", ylabel="root mean square")
    axes.set_title("Inputs of the first dense layer")


def against_targets(axes: Axes, runs: Runs) -> None:
    """Draw what the outputs are after training, against the targets."""
    for _, training, style, marker in styled(runs):
        y = training.y[:120]
        predicted = training.model.predict(training.x[:120], verbose=0)[:, 0]
        scaled = [(a - y.mean()) / y.std() for a in (y, predicted)]
        axes.plot(*scaled, marker, ms=4, alpha=0.6, **style)
    axes.axline((0, 0), slope=1, color="gray", lw=1, ls=":")
    axes.set(xlabel="target, standardized", ylabel="output, alike")
    axes.set_title("Outputs after training")


def outputs(axes: Axes, runs: Runs) -> None:
    """Draw the distributions of targets and outputs."""
    bins = np.linspace(-2, 2.6, 24)
    for i, (_, training, style, _) in enumerate(styled(runs)):
        if i == 0:
            axes.hist(training.y, bins, color="#cccccc", label="targets")
        predicted = training.model.predict(training.x, verbose=0)[:, 0]
        axes.hist(predicted, bins, histtype="step", lw=2, **style)
    axes.set(xlabel="target, output", ylabel="patients")
    axes.set_title("Targets, and outputs after training")


def outputs_of_the_rare(axes: Axes, runs: Runs) -> None:
    """Draw the outputs on new samples of the rare class."""
    for _, training, style, _ in styled(runs):
        x, y = training.validation
        predicted = training.model.predict(x[y == 1], verbose=0)[:, 0]
        bins = np.linspace(0, 1, 21)
        axes.hist(predicted, bins, histtype="step", lw=2, **style)
    axes.axvline(0.5, color="gray", lw=1, ls=":")
    axes.set(xlabel="output", ylabel="new images")
    axes.set_title("Outputs on the rare class after training")


def weights(figure: Figure, runs: Runs) -> None:
    """Draw the weights of the hidden units after training, side by side."""
    panels = figure.subplots(1, 2)
    for axes, (_, training, style, _) in zip(panels, styled(runs), strict=True):
        kernel = training.model.get_layer("hidden_0").get_weights()[0]
        # The corner pixels are always 0, and their weights are not trained.
        seen = kernel[training.x.std(axis=0) > 0.1]
        size = np.abs(seen).max()
        axes.imshow(seen.T, "RdBu", vmin=-size, vmax=size, aspect="auto")
        axes.set_title(style["label"], color=style["color"], fontsize=11)
        axes.set(xlabel="pixel", xticks=[])
        axes.set_yticks(range(0, 16, 5))
    panels[0].set_ylabel("hidden unit")
    figure.suptitle("Weights of the hidden units after training", fontsize=12)


DRAWN: dict[str, Callable[[Axes, Runs], None]] = {
    "vanishing_gradient": gradients,
    "exploding_gradient": gradients,
    "dying_relu": shares("dead_relu/", "ReLU units that fire for no image"),
    "saturated_activation": shares("saturation/", "Saturated outputs of tanh"),
    "overfitting": losses,
    "underfitting": against_the_baseline,
    "learning_rate_too_low": update_sizes,
    "learning_rate_too_high": update_sizes,
    "too_few_epochs": against_the_baseline,
    "unscaled_input": feature_sizes,
    "unscaled_target": against_targets,
    "output_loss_mismatch": outputs,
    "class_imbalance": outputs_of_the_rare,
    "frozen_weights": against_the_baseline,
    "numerical_instability": until_it_breaks,
}


def figure_of(problem: str, sick: Run, healthy: Run) -> Figure:
    """Return the figure of a problem.

    Args:
        problem: One of `keras_ext.doctor.PROBLEMS`.
        sick: The doctor and the training of the network that has it.
        healthy: Those of its twin.
    """
    labels = (CASES[problem].__doc__ or "").rstrip(".").split("; ")
    runs = dict(zip(labels, (sick, healthy), strict=True))
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    if problem == "symmetric_units":
        weights(figure, runs)
        return figure
    axes = figure.add_subplot()
    DRAWN[problem](axes, runs)
    axes.title.set_fontsize(12)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_xscale() == "linear" and len(axes.lines):
        axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", frameon=False, fontsize=10)
    return figure


def main(problems: list[str]) -> None:
    """Draw the figures and print the findings."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for problem in problems or CASES:
        sick, healthy = train(problem, True), train(problem, False)
        path = IMAGES / f"{problem}.png"
        figure_of(problem, sick, healthy).savefig(path, dpi=110)
        text = report.text(sick[0].findings, width=78)
        print(f"== {problem} ({path.stat().st_size / 1e3:.0f} kB)\n{text}")
        print(f"-- its twin\n{report.text(healthy[0].findings, width=78)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
