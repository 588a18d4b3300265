"""The layers of all trials in one figure."""

import graphlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext.plots.drawing import add_legend, log_mesh, new_figure
from keras_ext.plots.layer_series import short_names
from keras_ext.plots.scores import as_number, sign_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATUSES = {
    "FINISHED": ("finished", "#0072b2"),
    "KILLED": ("pruned or interrupted", "#cc79a7"),
    "FAILED": ("failed", "#222222"),
}
_UNKNOWN = ("still running", "#bbbbbb")
_DEAD = "#ff2d2d"
_LEAST_DEAD = 0.05
# With more names, layers are in the same row by place, not by name.
_MOST_NAMES_PER_DEPTH = 2
_MOST_LABELS = 40
# More columns are too narrow for lines between them.
_MOST_LINES = 150
# Powers of ten below and above the median that have colours of their own.
_DECADES = (5, 3)


def trial_health(
    trials: Sequence[Mapping[str, Any]],
    direction: str = "min",
    title: str | None = None,
) -> "Figure":
    """Return a grid of trials by layers, coloured by gradient norm.

    Trials are sorted by their score, the best on the left, those without a
    score on the right. The stripe on top shows their status. The first layer
    is on top. Colours are logarithmic; a norm of exactly 0 is grey, NaN or
    infinity orange, and a layer that a trial does not have is white. The red
    bar in a cell is the share of dead units: at 50 % it fills half of the
    cell's height.

    How to read it:

    - Dark columns only on the right: vanishing gradients make scores worse.
    - Dark rows only on top: the first layers do not learn.
    - Red bars in dark cells: dead units are a cause.

    Args:
        trials: One mapping a trial: its `trial` (a name), `status`
            (`"FINISHED"`, `"KILLED"` or `"FAILED"`), `score` (or `None`),
            `grad_norms` (the L2 norm of each layer's gradient in the last
            epochs, first layer first) and `dead_units` (the share of dead
            units, between 0 and 1, of layers that have it). Missing values
            and `None` are left out.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
            Defaults to `"min"`.
        title: Title of the figure. Defaults to `None`: a count of the trials.

    Returns:
        The figure.

    Raises:
        ValueError: No trial has a layer, or `direction` is neither.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import trial_health
        >>> trial = {"trial": "0", "status": "FINISHED", "score": 0.5}
        >>> trial["grad_norms"] = {"hidden": 0.1, "output": 0.2}
        >>> figure = trial_health([trial])
        >>> [label.get_text() for label in figure.axes[1].get_yticklabels()]
        ['hidden', 'output']
    """
    ordered = _by_score(trials, sign_of(direction))
    norms = [_layers(trial, "grad_norms") for trial in ordered]
    if not any(norms):
        raise ValueError(
            "`trials` must hold a trial with `grad_norms`. Received: "
            f"{len(trials)} trials without them"
        )
    places, labels = _placed(norms)
    values = np.full((len(labels), len(ordered)), np.nan)
    is_measured = np.zeros(values.shape, bool)
    dead = np.zeros(values.shape)
    for x, (trial, place) in enumerate(zip(ordered, places, strict=True)):
        for layer, norm in norms[x].items():
            values[place[layer], x] = norm
            is_measured[place[layer], x] = True
        for layer, share in _layers(trial, "dead_units").items():
            if layer in place:
                dead[place[layer], x] = share

    figure = new_figure(
        np.clip(4.2 + 0.16 * len(ordered), 7, 16),
        np.clip(2.6 + 0.3 * len(labels), 3.6, 14),
    )
    stripe, axes = figure.subplots(
        2, sharex=True, height_ratios=[1, max(3, 1.2 * len(labels))]
    )
    edges = [np.arange(count + 1) - 0.5 for count in values.shape[::-1]]
    name = "gradient norm (L2), last epochs"
    handles = _draw_statuses(stripe, ordered)
    handles += log_mesh(axes, edges, values, is_measured, name, _DECADES)
    handles += _draw_dead(axes, dead)
    _label(axes, ordered, labels)
    add_legend(figure, handles=handles, ncols=3)
    stripe.set_title(
        title or f"Health of {len(ordered)} trials, the best on the left",
        fontsize=11,
    )
    return figure


def _by_score(
    trials: Sequence[Mapping[str, Any]], sign: int
) -> list[Mapping[str, Any]]:
    """Return finished trials, pruned ones, failed ones, each by score."""
    places = {status: place for place, status in enumerate(_STATUSES)}

    def key(trial: Mapping[str, Any]) -> tuple[int, float]:
        score = as_number(trial.get("score"))
        place = places.get(str(trial.get("status")), len(places))
        return place, np.inf if np.isnan(score) else sign * score

    return sorted(trials, key=key)


def _layers(trial: Mapping[str, Any], key: str) -> dict[str, float]:
    layers = trial.get(key) or {}
    return {k: float(v) for k, v in layers.items() if v is not None}


def _placed(
    norms: Sequence[Mapping[str, float]],
) -> tuple[list[dict[str, int]], list[str]]:
    """Return the row of each trial's layers, and the names of the rows.

    Layers with the same name have the same row. If the names differ in each
    trial (Keras counts layers), layers at the same place have the same row,
    and the last layers have one row.
    """
    depth = max(len(layers) for layers in norms)
    names = _merged(norms)
    if len(names) <= _MOST_NAMES_PER_DEPTH * depth:
        rows = {name: row for row, name in enumerate(names)}
        return [rows for _ in norms], short_names(names)
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

    statuses = [str(trial.get("status")) for trial in trials]
    kinds = [_STATUSES.get(status, _UNKNOWN) for status in statuses]
    colors = [color for _, color in kinds]
    axes.bar(range(len(kinds)), 1, width=1, color=colors, lw=0)
    axes.set(ylim=(0, 1), yticks=[])
    axes.tick_params(which="both", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    return [
        Patch(color=color, label=name, lw=0)
        for name, color in dict.fromkeys(kinds)
    ]


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
