"""Curves of shares, one for each layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext._optional import require
from keras_ext.plots.layer_series import matrix, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without yellow, which is too light for lines.
_COLORS = "#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9 #e69f00".split()
_STYLES = ("-", "--", ":")
_MOST_LINES = len(_COLORS) * len(_STYLES)


def share_curves(
    series: Mapping[str, Sequence[float] | np.ndarray],
    prefix: str,
    label: str,
    title: str,
    steps: Sequence[int] | np.ndarray | None = None,
) -> "Figure":
    """Return curves of a share between 0 and 1, one for each layer.

    With many layers, those with the largest last values are coloured and
    named, and the others are thin and grey.

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
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    names, values, _ = matrix(series, prefix)
    length = values.shape[1]
    x = np.arange(length) if steps is None else np.asarray(steps)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    with_markers = length <= 30
    layers = [i for i, name in enumerate(names) if name != "global"]
    worst = sorted(layers, key=lambda i: -_last(values[i]))
    named = set(worst[:_MOST_LINES])
    if len(named) < len(layers):
        named = set(worst[: len(_COLORS)])
    looks = (
        {"color": color, "ls": style} for style in _STYLES for color in _COLORS
    )
    labels = short(names)
    for i in layers:
        if i in named:
            look: dict[str, Any] = {**next(looks), "lw": 1.6, "zorder": 3}
            look["label"] = labels[i]
        else:
            look = {"color": "#999999", "lw": 0.6, "zorder": 2}
        marker = "o" if with_markers and i in named else None
        axes.plot(x, values[i], marker=marker, ms=3.5, **look)
    if "global" in names:
        axes.plot(
            x,
            values[names.index("global")],
            color="#bbbbbb",
            lw=6,
            label="global",
            zorder=2.5,  # wide and below the layers: it may be as they are
        )
    if len(named) < len(layers):
        rest = f"{len(layers) - len(named)} other layers"
        axes.plot([], color="#999999", lw=0.6, label=rest)
    axes.set(title=title, ylabel=label, ylim=(-0.02, 1.02))
    axes.set_xlabel("epoch" if steps is None else "training step")
    margin = 0.02 * (x[-1] - x[0]) or 0.5
    axes.set_xlim(x[0] - margin, x[-1] + margin)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if length == 1:
        axes.set_xticks([x[0]])
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else -1.0
