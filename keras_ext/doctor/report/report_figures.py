"""Figures of a training run for the doctor's page."""

import base64
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_ext import plots
from keras_ext._optional import require
from keras_ext.doctor.run_history import RunHistory
from keras_ext.plots.drawing import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("keras_ext.doctor")

_TRAINING, _VALIDATION, _STEPS = "#0072b2", "#d55e00", "#9db8c9"

# For each kind of series: how it is drawn, its title, and how to read it.
_KINDS: tuple[tuple[str, Callable[..., Any], str, str], ...] = (
    (
        "grad_norm/",
        plots.gradient_heatmap,
        "Gradient norm per layer and step",
        "Colours that fade towards the top are a vanishing gradient, colours "
        "that brighten with time an exploding one.",
    ),
    (
        "dead_relu/",
        plots.dead_unit_curves,
        "Dead units per layer",
        "The share of ReLU units that fired for no input of a batch.",
    ),
    (
        "saturation/",
        plots.saturation_curves,
        "Saturated outputs per layer",
        "The share of outputs of sigmoid and tanh units where they are flat.",
    ),
    (
        "update_ratio/",
        plots.update_ratio_heatmap,
        "Update ratio per layer and step",
        "The size of a step relative to the weights; about 0.001 is usual.",
    ),
)


class Picture(NamedTuple):
    """A figure as a page shows it.

    Attributes:
        title: What it shows.
        reading: How to read it.
        address: A PNG image as a `data:` address.
        width: In pixels of the page, so that all writing is of one size.
    """

    title: str
    reading: str
    address: str
    width: int


def figures(history: RunHistory) -> Iterator[Picture]:
    """Yield what can be drawn of a training run.

    Args:
        history: What was recorded of a training run.

    Yields:
        One picture after the other, the loss first.

    Raises:
        ImportError: Matplotlib is missing.
    """
    require("matplotlib")
    yield from _drawn(
        "Loss",
        "Training loss that falls while validation loss rises is overfitting.",
        loss_curves,
        history,
        title="",
    )
    for kind, draw, title, reading in _KINDS:
        series = {
            key: values
            for key, values in history.of_kind(kind).items()
            if np.size(values) and not np.all(np.isnan(values))
        }
        length = max(map(len, series.values()), default=0)
        if length:
            steps = history.steps[:length]
            yield from _drawn(
                title, reading, draw, series, title="", steps=steps
            )


def loss_curves(history: RunHistory, title: str = "Loss") -> "Figure | None":
    """Return curves of the loss over the steps, or `None` without any.

    The values of epochs stand where the epochs end. The scale is
    logarithmic if they differ by a factor of more than 20.

    Args:
        history: What was recorded of a training run.
        title: Title of the figure.

    Raises:
        ImportError: Matplotlib is missing.
    """
    require("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    each = history.steps_per_epoch
    curves = []
    for key, color, name in (
        ("loss", _TRAINING, "training loss"),
        ("val_loss", _VALIDATION, "validation loss"),
    ):
        values = np.asarray(history.logs.get(key, ()), float)
        if values.size:
            x = np.arange(values.size)
            x = (x + 1) * each - 1 if each else x
            curves.append((x, values, color, name, "o"))
    losses = np.asarray(history.series.get("loss", ()), float)
    if losses.size and each:
        x = np.asarray(history.steps)[: losses.size]
        curves.insert(0, (x, losses, _STEPS, "of sampled steps", ""))
    known = [v[np.isfinite(v)] for _, v, *_ in curves]
    if not known or not any(v.size for v in known):
        return None
    values = np.concatenate(known)

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for x, y, color, name, marker in curves:
        few = len(y) <= 30
        axes.plot(
            *(x, y),
            color=color,
            label=name,
            lw=1.0 if color == _STEPS else 2.0,
            marker=marker if few else "",
            ms=4,
        )
    if values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.set(title=title, ylabel="loss")
    axes.set_xlabel("training step" if each else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _drawn(
    heading: str,
    reading: str,
    draw: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Iterator[Picture]:
    """Yield a picture; one that fails must not cost the report."""
    try:
        figure = draw(*args, **kwargs)
        if figure is None:
            return
        image = png(figure, 130)
    except Exception as error:
        logger.warning(
            "%s could not be drawn: %s: %s",
            heading,
            type(error).__name__,
            error,
        )
        return
    content = base64.b64encode(image).decode("ascii")
    address = f"data:image/png;base64,{content}"
    width = round(96 * figure.get_figwidth())
    yield Picture(heading, reading, address, width)
