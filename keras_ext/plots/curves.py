"""Curves of shares, one for each layer."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext.plots.drawing import add_legend, count_along_x, new_figure
from keras_ext.plots.layer_series import Series, Steps, matrix, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without yellow, which is too light for lines.
_COLORS = "#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9 #e69f00".split()
_STYLES = ("-", "--", ":")
_MOST_LINES = len(_COLORS) * len(_STYLES)
_OTHER: dict[str, Any] = {"color": "#999999", "lw": 0.6}


def share_curves(
    series: Series, prefix: str, label: str, title: str, steps: Steps = None
) -> "Figure":
    """Return curves of shares between 0 and 1, see `dead_unit_curves`.

    The keys of `series` are `<layer>` or `<prefix><layer>`; `label` names
    the values. Without `steps` there is one value per epoch.
    """
    names, values, _ = matrix(series, prefix)
    length = values.shape[1]
    x = np.arange(length) if steps is None else np.asarray(steps)
    figure = new_figure(9, 4.5)
    axes = figure.add_subplot()
    layers = [i for i, name in enumerate(names) if name != "global"]
    largest = sorted(layers, key=lambda i: -_last(values[i]))
    named = set(largest[:_MOST_LINES])
    if len(named) < len(layers):
        named = set(largest[: len(_COLORS)])
    looks = itertools.product(_STYLES, _COLORS)
    labels = short_names(names)
    marker = "o" if length <= 30 else None
    for i in layers:
        if i in named:
            style, color = next(looks)
            axes.plot(
                *(x, values[i], style),
                color=color,
                lw=1.6,
                zorder=3,
                label=labels[i],
                marker=marker,
                ms=3.5,
            )
        else:
            axes.plot(x, values[i], zorder=2, **_OTHER)
    if "global" in names:
        # Wide and below the named layers, which it may equal.
        total = values[names.index("global")]
        axes.plot(x, total, label="global", color="#bbbbbb", lw=6, zorder=2.5)
    if len(named) < len(layers):
        rest = f"{len(layers) - len(named)} other layers"
        axes.plot([], label=rest, **_OTHER)
    axes.set(title=title, ylabel=label, ylim=(-0.02, 1.02))
    axes.set_xlabel("epoch" if steps is None else "training step")
    margin = 0.02 * (x[-1] - x[0]) or 0.5
    axes.set_xlim(x[0] - margin, x[-1] + margin)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    count_along_x(axes)
    if length == 1:
        axes.set_xticks([x[0]])
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    add_legend(figure, "right upper")
    return figure


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else -1.0
