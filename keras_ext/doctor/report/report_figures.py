"""Figures of a training run for the HTML report."""

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

# Kind of series, plotting function, title, and how to read the figure.
_KINDS: tuple[tuple[str, Callable[..., Any], str, str], ...] = (
    (
        "grad_norm/",
        plots.gradient_heatmap,
        "Gradient norm per layer and step",
        "A vanishing gradient fades towards the top. An exploding gradient "
        "brightens with time.",
    ),
    (
        "dead_relu/",
        plots.dead_unit_curves,
        "Dead units per layer",
        "Share of ReLU units that output 0 for the whole batch.",
    ),
    (
        "saturation/",
        plots.saturation_curves,
        "Saturated outputs per layer",
        "Share of sigmoid and tanh outputs where the activation is flat.",
    ),
    (
        "update_ratio/",
        plots.update_ratio_heatmap,
        "Update ratio per layer and step",
        "||dw|| / ||w|| of a step. About 0.001 is usual.",
    ),
)


class Picture(NamedTuple):
    """A figure on the page.

    Attributes:
        title: What it shows.
        reading: How to read it.
        address: A PNG image as a `data:` address.
        width: Width in CSS pixels; all figures have one font size.
    """

    title: str
    reading: str
    address: str
    width: int


def figures(history: RunHistory) -> Iterator[Picture]:
    """Yield the figures of a training run, the loss first.

    Raises:
        ImportError: If Matplotlib is missing.
    """
    require("matplotlib")
    yield from _drawn(
        "Loss",
        "Overfitting: the training loss falls and the validation loss rises.",
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

    Epoch values are drawn at the ends of epochs. The scale is logarithmic if
    the values span more than a factor of 20.

    Raises:
        ImportError: If Matplotlib is missing.
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
    """Yield a picture, or nothing: a failure must not cost the report."""
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
