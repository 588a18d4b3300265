"""Figures of records, drawn with Matplotlib's object interface.

No pyplot: a figure here changes neither the person's backend nor the list of
open figures. Colours can be told apart with any kind of colour vision.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext.tracking.optional import require
from keras_ext.tracking.parallel_coordinates import (
    parallel_coordinates as parallel_coordinates,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without yellow, which is too light for lines.
_COLORS = "#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9 #e69f00".split()
_STYLES = ("-", "--", ":")
_MOST_LINES = len(_COLORS) * len(_STYLES)
_ZERO, _NOT_FINITE = "#dddddd", "#d55e00"
_LONGEST_NAME = 36


def gradient_heatmap(
    epochs: Mapping[str, Sequence[float]],
    title: str = "Gradient norm per layer and epoch",
) -> "Figure":
    """Return a heat map of gradient norms, layers by epochs.

    The first layer is on top; `global`, all layers together, at the bottom.
    Colours are logarithmic. A norm of exactly 0 is grey and hatched, NaN or
    infinity orange and crossed, and what was not recorded is left white.

    How to read it: colours that fade towards the top are a vanishing
    gradient, a row of zeros is a layer that does not learn.

    Args:
        epochs: For each layer (`<layer>` or `grad_norm/<layer>`), L2 norms,
            one value per epoch, such as `GradientNormLogger().epochs`.
        title: Title of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.

    Example:
        >>> from keras_ext.tracking import gradient_heatmap
        >>> figure = gradient_heatmap({"grad_norm/dense": [0.1, 0.01]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['', 'gradient norm (L2)']
    """
    require("matplotlib")
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    names, values = _matrix(epochs, "grad_norm/")
    layers, length = values.shape
    recorded = ~np.isnan(values) | _given(epochs, names, "grad_norm/", length)
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
    x, y = np.arange(length + 1) - 0.5, np.arange(layers + 1) - 0.5
    if shown.any():
        low, high, extend = _range(values[shown])
        image = axes.pcolormesh(
            x,
            y,
            np.ma.masked_where(~shown, values),
            norm=LogNorm(low, high),
            cmap="viridis",
        )
        bar = figure.colorbar(
            image, ax=axes, extend=extend, pad=0.02, aspect=30
        )
        bar.set_label("gradient norm (L2)")
    legend = []
    dense = length > 60  # too narrow for hatches
    for mask, color, hatch, label in (
        (zero, _ZERO, "////", "exactly 0"),
        (broken, _NOT_FINITE, "xxxx", "NaN or infinite"),
    ):
        if mask.any():
            axes.pcolor(
                x,
                y,
                np.ma.masked_where(~mask, np.zeros_like(values)),
                cmap=ListedColormap([color]),
                hatch=None if dense else hatch,
            )
            legend.append(
                Patch(
                    facecolor=color,
                    hatch=None if dense else hatch,
                    label=label,
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
    axes.set(title=title, xlabel="epoch", xlim=(-0.5, length - 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if length == 1:
        axes.set_xticks([0])
    axes.set_ylim(layers - 0.5, -0.5)
    axes.set_yticks(range(layers), _short(names))
    axes.tick_params(axis="y", labelsize=9 if layers <= 40 else 8, length=0)
    if names[-1] == "global" and layers > 1:
        axes.axhline(layers - 1.5, color="white", lw=3)
    return figure


def dead_unit_curves(
    epochs: Mapping[str, Sequence[float]],
    title: str = "Dead units per layer",
) -> "Figure":
    """Return curves of the share of dead units over the epochs.

    With many layers, those with the largest last values are coloured and
    named, and the others are thin and grey.

    Args:
        epochs: For each layer (`<layer>` or `dead_relu/<layer>`), shares
            between 0 and 1, one value per epoch, such as
            `DeadReLULogger().epochs`.
        title: Title of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.

    Example:
        >>> from keras_ext.tracking import dead_unit_curves
        >>> figure = dead_unit_curves({"dead_relu/relu": [0.0, 0.25]})
        >>> figure.axes[0].get_ylabel()
        'dead units (share)'
    """
    require("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    names, values = _matrix(epochs, "dead_relu/")
    length = values.shape[1]
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
    labels = _short(names)
    for i in layers:
        if i in named:
            look: dict[str, Any] = {**next(looks), "lw": 1.6, "zorder": 3}
            look["label"] = labels[i]
        else:
            look = {"color": "#999999", "lw": 0.6, "zorder": 2}
        marker = "o" if with_markers and i in named else None
        axes.plot(values[i], marker=marker, ms=3.5, **look)
    if "global" in names:
        axes.plot(
            values[names.index("global")],
            color="black",
            lw=2.4,
            marker="o" if with_markers else None,
            ms=4,
            label="global",
            zorder=4,
        )
    if len(named) < len(layers):
        rest = f"{len(layers) - len(named)} other layers"
        axes.plot([], color="#999999", lw=0.6, label=rest)
    axes.set(title=title, xlabel="epoch", ylabel="dead units (share)")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.5 if length == 1 else -0.02 * length, None)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if length == 1:
        axes.set_xticks([0])
        axes.set_xlim(-0.5, 0.5)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _matrix(
    epochs: Mapping[str, Sequence[float]], prefix: str
) -> tuple[list[str], np.ndarray]:
    """Return the layers' names and values of shape `(layers, epochs)`."""
    series = {key.removeprefix(prefix): v for key, v in epochs.items()}
    length = max((len(v) for v in series.values()), default=0)
    if length == 0:
        raise ValueError(
            "`epochs` must hold at least one value of one layer. "
            f"Received: epochs={dict(epochs)}"
        )
    if "global" in series:
        series["global"] = series.pop("global")
    values = np.full((len(series), length), np.nan)
    for row, numbers in zip(values, series.values(), strict=True):
        row[: len(numbers)] = numbers
    return list(series), values


def _given(
    epochs: Mapping[str, Sequence[float]],
    names: list[str],
    prefix: str,
    length: int,
) -> np.ndarray:
    """Return where a value was given, be it NaN."""
    lengths = {key.removeprefix(prefix): len(v) for key, v in epochs.items()}
    ends = np.array([lengths[name] for name in names])
    return np.arange(length) < ends[:, None]


def _range(norms: np.ndarray) -> tuple[float, float, str]:
    """Return limits of the colours and which ends are cut off."""
    middle = np.log10(np.median(norms))
    lowest, highest = np.log10(norms.min()), np.log10(norms.max())
    # One exploded value must not leave a single colour for all others.
    low, high = max(lowest, middle - 12), min(highest, middle + 12)
    if high - low < 1:
        low, high = low - 0.5, high + 0.5
    cut = (low > lowest, high < highest)
    extend = {
        (False, False): "neither",
        (True, False): "min",
        (False, True): "max",
        (True, True): "both",
    }[cut]
    return 10.0**low, 10.0**high, extend


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else -1.0


def _short(names: Sequence[str]) -> list[str]:
    """Cut long paths in the middle, as far as they remain different."""
    limit = _LONGEST_NAME
    while True:
        half = (limit - 1) // 2
        short = [
            name if len(name) <= limit else f"{name[:half]}…{name[-half:]}"
            for name in names
        ]
        if len(set(short)) == len(set(names)):
            return short
        limit += 8
