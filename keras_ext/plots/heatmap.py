"""A heat map of positive numbers, layers by time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ext._optional import require
from keras_ext.plots.drawing import power_of_ten
from keras_ext.plots.layer_series import matrix, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ZERO, _NOT_FINITE = "#dddddd", "#d55e00"
# The colours stand for at least so many powers of ten.
_LEAST_DECADES = 3
# As many columns as can be told apart.
_MOST_COLUMNS = 500


def heatmap(
    series: Mapping[str, Sequence[float] | np.ndarray],
    prefix: str,
    label: str,
    title: str,
    steps: Sequence[int] | np.ndarray | None = None,
) -> "Figure":
    """Return a heat map on a logarithmic scale, layers by time.

    The first layer is on top; `global`, all layers together, at the bottom.
    The colours reach over three powers of ten or more. A value of exactly 0
    is grey and hatched, NaN or infinity orange and crossed, and what was not
    recorded is left white. Of a curve that is too long to be drawn, each
    column shows the largest of several values.

    Args:
        series: For each layer (`<layer>` or `<prefix><layer>`) its values.
        prefix: What the names of the layers may begin with.
        label: What the values are.
        title: Title of the figure.
        steps: The training steps of the values; `None` for one value per
            epoch. Defaults to `None`.

    Raises:
        ValueError: `series` is empty.
        ImportError: Matplotlib is missing.
    """
    require("matplotlib")
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    names, values, recorded = matrix(series, prefix)
    edges = _edges(steps, values.shape[1])
    if values.shape[1] > _MOST_COLUMNS:
        values, recorded, edges = _narrowed(values, recorded, edges)
    layers, length = values.shape
    with np.errstate(invalid="ignore"):
        shown = np.isfinite(values) & (values > 0)
    zero = values == 0
    broken = recorded & ~np.isfinite(values)

    figure = Figure(
        figsize=(
            np.clip(4.5 + 0.12 * length, 7, 13),
            np.clip(1.9 + 0.24 * layers, 3, 20),
        ),
        layout="constrained",
    )
    axes = figure.add_subplot()
    y = np.arange(layers + 1) - 0.5
    if shown.any():
        low, high, extend = _range(values[shown])
        image = axes.pcolormesh(
            edges,
            y,
            np.ma.masked_where(~shown, values),
            norm=LogNorm(low, high),
            cmap="viridis",
        )
        bar = figure.colorbar(
            image,
            ax=axes,
            extend=extend,
            pad=0.02,
            aspect=30,
            format=power_of_ten,
        )
        bar.minorticks_off()
        bar.set_label(label)
    legend = []
    dense = length > 60  # too narrow for hatches
    for mask, color, hatch, meaning in (
        (zero, _ZERO, "////", "exactly 0"),
        (broken, _NOT_FINITE, "xxxx", "NaN or infinite"),
    ):
        if mask.any():
            axes.pcolor(
                edges,
                y,
                np.ma.masked_where(~mask, np.zeros_like(values)),
                cmap=ListedColormap([color]),
                hatch=None if dense else hatch,
            )
            legend.append(
                Patch(
                    facecolor=color,
                    hatch=None if dense else hatch,
                    label=meaning,
                    lw=0,
                )
            )
    if legend:
        figure.legend(
            handles=legend,
            loc="outside lower center",
            ncols=2,
            frameon=False,
            fontsize=9,
        )
    axes.set(title=title, xlim=(edges[0], edges[-1]))
    axes.set_xlabel("epoch" if steps is None else "training step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if length == 1:
        axes.set_xticks([0 if steps is None else steps[0]])
    axes.set_ylim(layers - 0.5, -0.5)
    axes.set_yticks(range(layers), short(names))
    axes.tick_params(axis="y", labelsize=9 if layers <= 40 else 8, length=0)
    if names[-1] == "global" and layers > 1:
        axes.axhline(layers - 1.5, color="white", lw=3)
    return figure


def _edges(steps: Sequence[int] | np.ndarray | None, length: int) -> np.ndarray:
    """Return where each column begins, and where the last one ends."""
    if steps is None:
        return np.arange(length + 1) - 0.5
    width = np.median(np.diff(steps)) if length > 1 else 1
    return np.append(steps, steps[-1] + width)


def _narrowed(
    values: np.ndarray, recorded: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let one column stand for several: the largest value, NaN if any is."""
    starts = np.arange(0, len(edges) - 1, -(-(len(edges) - 1) // _MOST_COLUMNS))
    return (
        np.maximum.reduceat(values, starts, axis=1),
        np.logical_or.reduceat(recorded, starts, axis=1),
        np.append(edges[starts], edges[-1]),
    )


def _range(norms: np.ndarray) -> tuple[float, float, str]:
    """Return limits of the colours and which ends are cut off."""
    middle = np.log10(np.median(norms))
    lowest, highest = np.log10(norms.min()), np.log10(norms.max())
    # One exploded value must not leave a single colour for all others.
    low, high = max(lowest, middle - 12), min(highest, middle + 12)
    # Nor may layers that are nearly alike look as different as can be.
    missing = max(0.0, _LEAST_DECADES - (high - low)) / 2
    low, high = low - missing, high + missing
    cut = (low > lowest, high < highest)
    extend = {
        (False, False): "neither",
        (True, False): "min",
        (False, True): "max",
        (True, True): "both",
    }[cut]
    return 10.0**low, 10.0**high, extend
