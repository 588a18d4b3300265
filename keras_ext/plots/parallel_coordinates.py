"""Trials of a search as lines across the axes of their hyperparameters."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext.plots.drawing import new_figure
from keras_ext.plots.scores import as_number, best_line, is_number, sign_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The height of a line that has no value on an axis.
_NOWHERE = -0.13
_BEST, _FAILED = "#d55e00", "#888888"
_COLORS = "viridis_r"
_LOG_RATIO = 20  # from the smallest value to the largest
_MOST_CATEGORIES = 12
_LONGEST_LABEL = 16


def parallel_coordinates(
    rows: Sequence[Mapping[str, Any]],
    hyperparameters: Sequence[str],
    score: str,
    direction: str = "min",
    title: str | None = None,
) -> "Figure":
    """Return one line per trial across its hyperparameters to its score.

    Numbers have a linear axis, or a logarithmic one if they are positive and
    span a wide range. Other values are categories. The line of a trial
    without a value on an axis (an inactive hyperparameter, a failed trial's
    score) passes below the axis. Good trials are dark and drawn over bad
    ones. The best trial is thick and orange; failed ones are grey and dotted.

    Args:
        rows: One mapping a trial.
        hyperparameters: The keys that become axes, from left to right.
        score: The key of the last axis.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
            Defaults to `"min"`.
        title: Title of the figure. Defaults to `None`: a count of the trials.

    Returns:
        The figure.

    Raises:
        ValueError: There is no trial or no hyperparameter, or `direction` is
            neither.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import parallel_coordinates
        >>> rows = [{"units": 8, "loss": 0.5}, {"units": 16, "loss": 0.25}]
        >>> figure = parallel_coordinates(rows, ["units"], "loss")
        >>> print(figure.axes[0].get_title())
        2 trials
        best loss: 0.25 (lower is better)
    """
    sign = sign_of(direction)
    if not rows or not hyperparameters:
        raise ValueError(
            "`rows` and `hyperparameters` must not be empty. Received: "
            f"{len(rows)} rows, hyperparameters={list(hyperparameters)}"
        )
    names = [*hyperparameters, score]
    scales = [_scale([row.get(name) for row in rows]) for name in names[:-1]]
    scales.append(_scale([row.get(score) for row in rows], numbers=True))
    heights = np.stack([scale.heights for scale in scales], axis=1)

    figure = new_figure(np.clip(1.6 * len(names) + 1.4, 6.5, 24), 5.2)
    axes = figure.add_subplot()
    _draw_axes(axes, names, scales, bool(np.isnan(heights).any()))
    best = _draw_lines(axes, heights, sign)
    _draw_score_colors(axes, len(names) - 1, sign)

    failed = int(np.isnan(heights[:, -1]).sum())
    done = len(rows) - failed
    lines = [title or f"{done} trials" + (f", {failed} failed" * bool(failed))]
    if best is not None:
        lines.append(best_line(score, float(rows[best][score]), direction))
    axes.set_title("\n".join(lines), fontsize=11)
    return figure


@dataclass
class _Scale:
    """Heights of all rows on one axis, and its labels."""

    heights: np.ndarray  # in [0, 1], NaN without a value
    ticks: list[tuple[float, str]]
    note: str = ""


def _scale(values: list[Any], numbers: bool = False) -> _Scale:
    known = [value for value in values if not _is_missing(value)]
    if numbers or all(is_number(value) for value in known):
        return _numeric([as_number(value) for value in values])
    return _categorical(values)


def _numeric(values: list[float]) -> _Scale:
    numbers = np.array(values)
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return _Scale(np.full(len(numbers), np.nan), [])
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    is_log = _looks_logarithmic(known)
    if is_log:
        numbers, known = np.log10(numbers), np.log10(known)
    low, high, unique = known.min(), known.max(), np.unique(known)
    if high == low:
        heights = np.where(np.isnan(numbers), np.nan, 0.5)
        return _Scale(heights, [(0.5, _label(unique[0], is_log))])
    gap = np.diff(unique).min() / (high - low)
    ticks = unique if gap > 0.06 else _ticks(low, high, is_log)
    heights = (numbers - low) / (high - low)
    return _Scale(
        heights + _spread(len(heights), gap),
        [((t - low) / (high - low), _label(t, is_log)) for t in ticks],
        "log" if is_log else "",
    )


def _looks_logarithmic(numbers: np.ndarray) -> bool:
    """Return whether the values lie more evenly on a logarithmic axis."""
    low, middle, high = np.quantile(numbers, (0, 0.5, 1))
    if low <= 0 or high / low < _LOG_RATIO:
        return False
    linear = (middle - low) / (high - low)
    logarithmic = math.log(middle / low) / math.log(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _ticks(low: float, high: float, is_log: bool) -> np.ndarray:
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(5, integer=is_log and high - low > 2)
    ticks = np.asarray(locator.tick_values(low, high))
    margin = 1e-9 * (high - low)
    return ticks[(ticks >= low - margin) & (ticks <= high + margin)]


def _spread(count: int, gap: float) -> np.ndarray:
    """Return offsets that show how many lines meet at one value."""
    width = min(0.12 * gap, 0.03) if gap > 0.03 and count > 12 else 0
    return np.random.default_rng(0).uniform(-width, width, count)


def _categorical(values: list[Any]) -> _Scale:
    texts = [None if _is_missing(v) else str(v) for v in values]
    names = list(dict.fromkeys(text for text in texts if text is not None))
    if all(name in ("True", "False") for name in names):
        names = ["False", "True"]
    gap = 0.9 / max(len(names) - 1, 1)
    places = {
        name: 0.5 if len(names) == 1 else 0.05 + i * gap
        for i, name in enumerate(names)
    }
    heights = np.array([places[t] if t is not None else np.nan for t in texts])
    heights += _spread(len(heights), gap)
    step = math.ceil(len(names) / _MOST_CATEGORIES)
    return _Scale(
        heights, [(places[name], _cut(name)) for name in names[::step]]
    )


def _draw_axes(
    axes: Any, names: list[str], scales: list[_Scale], with_missing: bool
) -> None:
    for x, scale in enumerate(scales):
        axes.plot([x, x], [0, 1], color="black", lw=1, zorder=5)
        for y, label in scale.ticks:
            axes.plot([x - 0.02, x], [y, y], color="black", lw=1, zorder=5)
            axes.text(
                x - 0.035,
                y,
                label,
                ha="right",
                va="center",
                fontsize=8,
                zorder=6,
                bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6},
            )
    labels = [
        _folded(name) + (f"\n({scale.note})" if scale.note else "")
        for name, scale in zip(names, scales, strict=True)
    ]
    axes.set_xticks(range(len(names)), labels, fontsize=9)
    axes.tick_params(axis="x", length=0, pad=6)
    axes.set_yticks([])
    if with_missing:
        axes.axhline(_NOWHERE, color="#cccccc", lw=0.8, zorder=0)
        axes.set_yticks([_NOWHERE], ["no value"], fontsize=8)
        axes.tick_params(axis="y", length=0)
    axes.set_ylim(_NOWHERE - 0.05 if with_missing else -0.06, 1.06)
    axes.set_xlim(-0.45, len(names) - 0.8)
    axes.spines[:].set_visible(False)


def _draw_lines(axes: Any, heights: np.ndarray, sign: int) -> int | None:
    """Draw the trials; return the best one's index."""
    from matplotlib import colormaps

    scores = heights[:, -1]
    goodness = _goodness(scores, sign)
    x = np.arange(heights.shape[1])
    count = len(heights)
    nowhere = _NOWHERE + _spread(count, 0.15)[:, None]
    y = np.where(np.isnan(heights), nowhere, heights)
    alpha = float(np.clip(12 / count**0.75, 0.18, 0.9))
    width = 1.6 if count <= 50 else 1.0
    for i in np.flatnonzero(np.isnan(scores)):
        axes.plot(x, y[i], color=_FAILED, ls=":", lw=1, alpha=0.8, zorder=1)
    known = np.flatnonzero(~np.isnan(scores))
    for i in known[np.argsort(goodness[known], kind="stable")]:
        color = colormaps[_COLORS](_place(goodness[i]))
        axes.plot(x, y[i], color=color, lw=width, alpha=alpha, zorder=2)
    if not len(known):
        return None
    best = int(known[np.argmax(goodness[known])])
    axes.plot(x, y[best], color="white", lw=5, zorder=3)
    axes.plot(x, y[best], color=_BEST, lw=2.8, zorder=4)
    return best


def _draw_score_colors(axes: Any, x: int, sign: int) -> None:
    """Draw the key of the colours along the score's axis."""
    levels = np.linspace(0, 1, 101)
    middle = (levels[:-1] + levels[1:]) / 2
    axes.pcolormesh(
        [x + 0.02, x + 0.09],
        levels,
        _place(_goodness(middle, sign))[:, None],
        cmap=_COLORS,
        vmin=0,
        vmax=1,
        zorder=5,
    )


def _goodness(scores: np.ndarray, sign: int) -> np.ndarray:
    return 1 - scores if sign > 0 else scores


def _place(goodness: Any) -> Any:
    # Without the palest colours, which cannot be seen on white.
    return 0.08 + 0.92 * goodness


def _is_missing(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return not math.isfinite(value)
    return value is None or (isinstance(value, str) and value == "")


def _label(place: float, is_log: bool) -> str:
    number = float(f"{10**place if is_log else place:.3g}")
    if number == int(number) and abs(number) < 100_000:
        return str(int(number))
    return re.sub(r"e([+-])0", r"e\1", f"{number:g}")


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_LABEL:
        return text
    return text[: _LONGEST_LABEL - 1] + "…"


def _folded(name: str) -> str:
    """Return a name in lines that fit between two axes."""
    if len(name) <= _LONGEST_LABEL:
        return name
    lines = [""]
    for part in re.split(r"(?<=[_/.\- ])", name):
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST_LABEL:
            lines.append("")
        lines[-1] += part
    if len(lines) > 3:
        lines = [lines[0], "…", lines[-1]]
    return "\n".join(_cut(line) for line in lines)
