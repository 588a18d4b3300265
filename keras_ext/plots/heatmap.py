"""A heat map of positive numbers, layers by time."""

from typing import TYPE_CHECKING

import numpy as np

from keras_ext.plots.drawing import (
    add_legend,
    count_along_x,
    log_mesh,
    new_figure,
)
from keras_ext.plots.layer_series import Series, Steps, matrix, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More columns are too narrow to be seen.
_MOST_COLUMNS = 500
# More columns are too narrow for hatches.
_MOST_HATCHED = 60


def heatmap(
    series: Series, prefix: str, label: str, title: str, steps: Steps = None
) -> "Figure":
    """Return a heat map on a logarithmic scale, see `gradient_heatmap`.

    The keys of `series` are `<layer>` or `<prefix><layer>`; `label` names
    the values. Without `steps` there is one value per epoch.
    """
    names, values, is_measured = matrix(series, prefix)
    x = _edges(steps, values.shape[1])
    if values.shape[1] > _MOST_COLUMNS:
        values, is_measured, x = _narrowed(values, is_measured, x)
    layers, length = values.shape
    figure = new_figure(
        np.clip(4.5 + 0.12 * length, 7, 13), np.clip(1.9 + 0.24 * layers, 3, 20)
    )
    axes = figure.add_subplot()
    edges = (x, np.arange(layers + 1) - 0.5)
    hatched = length <= _MOST_HATCHED
    handles = log_mesh(
        axes, edges, values, is_measured, label, with_hatches=hatched
    )
    if handles:
        add_legend(figure, handles=handles, ncols=2)
    axes.set(title=title, xlim=(x[0], x[-1]))
    axes.set_xlabel("epoch" if steps is None else "training step")
    count_along_x(axes)
    if length == 1:
        axes.set_xticks([0 if steps is None else steps[0]])
    axes.set_ylim(layers - 0.5, -0.5)
    axes.set_yticks(range(layers), short_names(names))
    axes.tick_params(axis="y", labelsize=9 if layers <= 40 else 8, length=0)
    if names[-1] == "global" and layers > 1:
        axes.axhline(layers - 1.5, color="white", lw=3)
    return figure


def _edges(steps: Steps, length: int) -> np.ndarray:
    """Return where each column begins, and where the last one ends."""
    if steps is None:
        return np.arange(length + 1) - 0.5
    width = np.median(np.diff(steps)) if length > 1 else 1
    return np.append(steps, steps[-1] + width)


def _narrowed(
    values: np.ndarray, is_measured: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join columns: the largest of their values, NaN if one of them is NaN."""
    starts = np.arange(0, len(edges) - 1, -(-(len(edges) - 1) // _MOST_COLUMNS))
    return (
        np.maximum.reduceat(values, starts, axis=1),
        np.logical_or.reduceat(is_measured, starts, axis=1),
        np.append(edges[starts], edges[-1]),
    )
