"""The layers of all trials at one look."""

import graphlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext._optional import require
from keras_ext.plots.heatmap import _NOT_FINITE, _ZERO
from keras_ext.plots.layer_series import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATUSES = {
    "FINISHED": ("finished", "#0072b2"),
    "KILLED": ("pruned or interrupted", "#cc79a7"),
    "FAILED": ("failed", "#222222"),
}
_DEAD = "#ff2d2d"
_LEAST_DEAD = 0.05
# Beyond this, layers are told by their place rather than by their name.
_MOST_NAMES_PER_DEPTH = 2
_MOST_LABELS = 40
# More columns are too narrow for lines between them.
_MOST_LINES = 150
# Norms beyond the median by more get the last colour of the scale.
_FAR_BELOW, _FAR_ABOVE = 1e-5, 1e3


def trial_health(
    trials: Sequence[Mapping[str, Any]],
    direction: str = "min",
    title: str | None = None,
) -> "Figure":
    """Return a grid of trials by layers, coloured by gradient norm.

    Trials are sorted by their score, the best on the left, those without one
    on the right; the stripe on top tells how they ended. Layers run from the
    first on top to the last. Colours are logarithmic; a norm of exactly 0 is
    grey, NaN or infinity orange, and a layer that a trial does not have is
    left white. The red bar in a cell is the share of dead units: half the
    cell's height is half of them.

    How to read it: dark columns that stand on the right, and not on the left,
    are gradients that vanish and cost score; dark rows on top alone are
    first layers that do not learn; red where colours are dark is a cause.

    Args:
        trials: One mapping a trial: its `trial` (a name), `status`
            (`"FINISHED"`, `"KILLED"` or `"FAILED"`), `score` (or `None`),
            `grad_norms`, the L2 norm of each layer's gradient in the last
            epochs, first layer first, and `dead_units`, the share of dead
            units of the layers that have such, between 0 and 1. What is
            missing or `None` is left out.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
        title: Title of the figure. Defaults to a count of the trials.

    Returns:
        The figure.

    Raises:
        ValueError: No trial has a layer, or `direction` is neither.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots.trial_health import trial_health
        >>> trial = {"trial": "0", "status": "FINISHED", "score": 0.5}
        >>> trial["grad_norms"] = {"hidden": 0.1, "output": 0.2}
        >>> figure = trial_health([trial])
        >>> [label.get_text() for label in figure.axes[1].get_yticklabels()]
        ['hidden', 'output']
    """
    if direction not in ("min", "max"):
        raise ValueError(
            f'`direction` must be "min" or "max". Received: {direction!r}'
        )
    ordered = _by_score(trials, direction)
    norms = [_layers(trial, "grad_norms") for trial in ordered]
    if not any(norms):
        raise ValueError(
            "`trials` must hold a trial with `grad_norms`. Received: "
            f"{len(trials)} trials without them"
        )
    require("matplotlib")
    from matplotlib.figure import Figure

    places, labels = _placed(norms)
    values = np.full((len(labels), len(ordered)), np.nan)
    recorded = np.zeros(values.shape, bool)
    dead = np.zeros(values.shape)
    for x, (trial, place) in enumerate(zip(ordered, places, strict=True)):
        for layer, norm in norms[x].items():
            values[place[layer], x], recorded[place[layer], x] = norm, True
        for layer, share in _layers(trial, "dead_units").items():
            if layer in place:
                dead[place[layer], x] = share

    figure = Figure(
        figsize=(
            float(np.clip(4.2 + 0.16 * len(ordered), 7, 16)),
            float(np.clip(2.6 + 0.3 * len(labels), 3.6, 14)),
        ),
        layout="constrained",
    )
    stripe, axes = figure.subplots(
        2, sharex=True, height_ratios=[1, max(3, 1.2 * len(labels))]
    )
    legend = _draw_statuses(stripe, ordered)
    legend += _draw_norms(figure, axes, values, recorded)
    legend += _draw_dead(axes, dead)
    _label(axes, ordered, labels)
    figure.legend(
        handles=legend,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    stripe.set_title(
        title or f"Health of {len(ordered)} trials, the best on the left",
        fontsize=11,
    )
    return figure


def _by_score(
    trials: Sequence[Mapping[str, Any]], direction: str
) -> list[Mapping[str, Any]]:
    """Return finished trials, pruned ones, failed ones, each by score."""
    sign = 1 if direction == "min" else -1
    statuses = list(_STATUSES)

    def key(trial: Mapping[str, Any]) -> tuple[int, float]:
        status, score = trial.get("status"), _score(trial)
        place = statuses.index(status) if status in statuses else len(statuses)
        return place, np.inf if score is None else sign * score

    return sorted(trials, key=key)


def _score(trial: Mapping[str, Any]) -> float | None:
    score = trial.get("score")
    return None if score is None or np.isnan(score) else float(score)


def _layers(trial: Mapping[str, Any], key: str) -> dict[str, float]:
    layers = trial.get(key) or {}
    return {k: float(v) for k, v in layers.items() if v is not None}


def _placed(
    norms: Sequence[Mapping[str, float]],
) -> tuple[list[dict[str, int]], list[str]]:
    """Return the row of each trial's layers, and the names of the rows.

    Layers have the same row in all trials if they have the same name. Where
    names are different in each trial (Keras numbers them through), it is the
    place that counts, with the last layers in one row.
    """
    depth = max(len(layers) for layers in norms)
    names = _merged(norms)
    if len(names) <= _MOST_NAMES_PER_DEPTH * depth:
        rows = {name: row for row, name in enumerate(names)}
        return [rows for _ in norms], short(names)
    places = []
    for layers in norms:
        place = {layer: row for row, layer in enumerate(layers)}
        if layers:
            place[list(layers)[-1]] = depth - 1
        places.append(place)
    labels = [f"layer {i + 1}" for i in range(depth)]
    return places, [*labels[:-1], "last layer"]


def _merged(norms: Sequence[Mapping[str, float]]) -> list[str]:
    """Return all names in an order that keeps that of each trial."""
    before: dict[str, set[str]] = {}
    for layers in norms:
        names = list(layers)
        for earlier, name in zip([None, *names], names, strict=False):
            before.setdefault(name, set())
            if earlier is not None:
                before[name].add(earlier)
    try:
        return list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError:
        return list(before)


def _draw_statuses(axes: Any, trials: Sequence[Mapping[str, Any]]) -> list[Any]:
    from matplotlib.patches import Patch

    shown = [str(trial.get("status")) for trial in trials]
    unknown = ("still running", "#bbbbbb")
    for x, status in enumerate(shown):
        color = _STATUSES.get(status, unknown)[1]
        axes.bar(x, 1, width=1, color=color, lw=0)
    axes.set(ylim=(0, 1), yticks=[])
    axes.tick_params(which="both", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    kinds = dict.fromkeys(_STATUSES.get(s, unknown) for s in shown)
    return [Patch(color=color, label=name, lw=0) for name, color in kinds]


def _draw_norms(
    figure: Any, axes: Any, values: np.ndarray, recorded: np.ndarray
) -> list[Any]:
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.patches import Patch

    usual = np.isfinite(values) & (values > 0)
    x = np.arange(values.shape[1] + 1) - 0.5
    y = np.arange(values.shape[0] + 1) - 0.5
    if usual.any():
        low, high, extend = _limits(values[usual])
        image = axes.pcolormesh(
            x,
            y,
            np.ma.masked_where(~usual, values),
            norm=LogNorm(low, high),
            cmap="viridis",
        )
        bar = figure.colorbar(
            image, ax=axes, extend=extend, pad=0.01, aspect=25
        )
        bar.set_label("gradient norm (L2), last epochs")
    legend = []
    for mask, color, meaning in (
        (values == 0, _ZERO, "exactly 0"),
        (recorded & ~np.isfinite(values), _NOT_FINITE, "NaN or infinite"),
    ):
        if mask.any():
            axes.pcolormesh(
                x,
                y,
                np.ma.masked_where(~mask, np.zeros_like(values)),
                cmap=ListedColormap([color]),
            )
            legend.append(Patch(color=color, label=meaning, lw=0))
    return legend


def _limits(norms: np.ndarray) -> tuple[float, float, str]:
    """Return limits of the colours, and which ends are cut off."""
    low = max(norms.min(), _FAR_BELOW * np.median(norms))
    high = min(norms.max(), _FAR_ABOVE * np.median(norms))
    if high < 10 * low:
        middle = np.sqrt(low * high)
        low, high = middle / 10**0.5, middle * 10**0.5
    cut = int(low > norms.min()) + 2 * int(high < norms.max())
    return low, high, ("neither", "min", "max", "both")[cut]


def _draw_dead(axes: Any, dead: np.ndarray) -> list[Any]:
    from matplotlib.patches import Patch

    rows, columns = np.nonzero(dead >= _LEAST_DEAD)
    if not len(rows):
        return []
    heights = 0.96 * dead[rows, columns]
    axes.bar(
        columns,
        -heights,
        width=0.4,
        bottom=rows + 0.48,
        color=_DEAD,
        edgecolor="white",
        lw=0.7 if dead.shape[1] <= _MOST_LINES else 0,
        zorder=3,
    )
    return [Patch(color=_DEAD, label="share of dead units", lw=0)]


def _label(
    axes: Any, trials: Sequence[Mapping[str, Any]], layers: Sequence[str]
) -> None:
    count = len(trials)
    for x in range(1, count):
        if trials[x].get("status") != trials[x - 1].get("status"):
            axes.axvline(x - 0.5, color="white", lw=3, zorder=4)
    if count <= _MOST_LINES:
        axes.set_xticks(np.arange(count - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(layers) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=0.8)
    step = -(-count // _MOST_LABELS)
    names = [str(t.get("trial", x)) for x, t in enumerate(trials)]
    axes.set_xticks(
        range(0, count, step), names[::step], fontsize=8, rotation=90
    )
    axes.set_xlabel("trial")
    axes.set_yticks(range(len(layers)), layers, fontsize=9)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(-0.5, count - 0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
