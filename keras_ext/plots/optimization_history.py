"""Scores of a search's trials, in the order in which they began."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext.plots.drawing import add_legend, count_along_x, new_figure
from keras_ext.plots.scores import as_number, best_line, sign_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FINISHED, _BEST = "#0072b2", "#d55e00"
_PRUNED, _FAILED = "#cc79a7", "#666666"
# Scores this many interquartile ranges beyond the middle half are drawn at
# the edge: one exploded trial must not flatten all others.
_FAR = 4.0
_LOG_RATIO = 50


def optimization_history(
    rows: Sequence[Mapping[str, Any]],
    score: str = "score",
    direction: str = "min",
    title: str | None = None,
) -> "Figure":
    """Return each trial's score as a dot, and the best so far as a line.

    - A finished trial is a blue dot.
    - A pruned trial is a violet triangle at its last score.
    - A trial without a score is a cross at the lower edge: violet if it was
      pruned, grey if it failed.
    - A score far worse than the others is an arrow at the edge.

    The scale is logarithmic if the scores are positive and span a wide range.

    How to read it: a line that still falls at the end suggests more trials; a
    line that has been flat for long suggests none. Dots that come closer to
    the line show that the sampler learns.

    Args:
        rows: One mapping a trial, in the order in which the trials began: its
            `status` (`"FINISHED"`, `"KILLED"` for a pruned one, `"FAILED"`)
            and its score.
        score: The key of the score. Defaults to `"score"`.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
            Defaults to `"min"`.
        title: Title of the figure. Defaults to `None`: a count of the trials.

    Returns:
        The figure.

    Raises:
        ValueError: There is no trial, or `direction` is neither.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import optimization_history
        >>> rows = [{"status": "FINISHED", "score": s} for s in (0.5, 0.25)]
        >>> figure = optimization_history(rows)
        >>> print(figure.axes[0].get_title())
        2 trials finished
        best score: 0.25 in trial 2 (lower is better)
    """
    sign = sign_of(direction)
    if not rows:
        raise ValueError("`rows` must not be empty. Received: rows=[]")
    scores = np.array([as_number(row.get(score)) for row in rows])
    statuses = np.array([str(row.get("status")) for row in rows])
    has_score = ~np.isnan(scores)
    finished = (statuses == "FINISHED") & has_score
    pruned, numbers = statuses == "KILLED", _numbers(rows)

    figure = new_figure(8.5, 4.6)
    axes = figure.add_subplot()
    axes.set(xlabel="trial", ylabel=score)
    count_along_x(axes)
    axes.set_xlim(numbers.min() - 0.5, numbers.max() + 0.5)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _set_scale(axes, scores, direction)
    size = float(np.clip(900 / len(rows), 7, 36))
    for chosen, color, marker, label, area in (
        (finished, _FINISHED, "o", "finished", size),
        (pruned & has_score, _PRUNED, "v", "pruned", 2 * size),
    ):
        look = (color, marker, label, area)
        _draw_scores(axes, numbers[chosen], scores[chosen], *look)
    costs = np.where(finished, sign * scores, np.inf)
    if finished.any():
        _draw_best(axes, numbers, costs, sign)
    for chosen, color, label in (
        (pruned & ~has_score, _PRUNED, "pruned, no score"),
        (~pruned & ~has_score, _FAILED, "no score (failed)"),
    ):
        _draw_edge(axes, numbers[chosen], 0.012, color, "x", label, 26)
    add_legend(figure, ncols=5)
    lines = [title or _counts(finished, pruned)]
    if finished.any():
        best = int(np.argmin(costs))
        where = f" in trial {rows[best].get('trial', best + 1)}"
        lines.append(best_line(score, scores[best], direction, where))
    axes.set_title("\n".join(lines), fontsize=11)
    return figure


def _numbers(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the trials' names if they are numbers, or count from 1.

    keras-tuner counts its trials from 0.
    """
    names = [str(row.get("trial", "")) for row in rows]
    if all(name.isdecimal() for name in names):
        return np.array([int(name) for name in names])
    return np.arange(1, len(rows) + 1)


def _counts(finished: np.ndarray, pruned: np.ndarray) -> str:
    failed = len(finished) - int((finished | pruned).sum())
    parts = [f"{int(finished.sum())} trials finished"]
    parts += [f"{int(pruned.sum())} pruned"] * bool(pruned.any())
    parts += [f"{failed} failed"] * bool(failed)
    return ", ".join(parts)


def _set_scale(axes: Any, scores: np.ndarray, direction: str) -> None:
    """Choose a scale, and limits that hold the usual scores."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        axes.set_yticks([])
        return
    low, high = _usual(known, direction)
    is_log = (
        known.min() > 0
        and high > _LOG_RATIO * low
        and np.median(known) < (low + high) / 4
    )
    if is_log:
        axes.set_yscale("log")
        low, high = _usual(np.log10(known), direction)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    ends = np.array([low - margin, high + margin])
    axes.set_ylim(*(10**ends if is_log else ends))


def _usual(scores: np.ndarray, direction: str) -> tuple[float, float]:
    """Return the range of the scores without those that are far too bad.

    Good scores are never left out, however far they are.
    """
    low, high = scores.min(), scores.max()
    quarter, rest = np.quantile(scores, (0.25, 0.75))
    width = _FAR * max(rest - quarter, 1e-3 * abs(rest) + 1e-12)
    if direction == "min":
        return low, min(high, rest + width)
    return max(low, quarter - width), high


def _draw_scores(
    axes: Any,
    numbers: np.ndarray,
    scores: np.ndarray,
    color: str,
    marker: str,
    label: str,
    size: float,
) -> None:
    low, high = axes.get_ylim()
    inside = (scores >= low) & (scores <= high)
    if inside.any():
        look = {"s": size, "c": color, "marker": marker, "alpha": 0.75, "lw": 0}
        axes.scatter(numbers[inside], scores[inside], label=label, **look)
    far = f"{label}, off the scale"
    above, below = numbers[scores > high], numbers[scores < low]
    _draw_edge(axes, above, 0.975, color, "$\u2191$", far, 60)
    _draw_edge(axes, below, 0.025, color, "$\u2193$", far, 60)


def _draw_best(
    axes: Any, numbers: np.ndarray, costs: np.ndarray, sign: int
) -> None:
    """Draw the lowest cost so far as a line, and a star at the lowest."""
    so_far = np.minimum.accumulate(costs)
    known = np.isfinite(so_far)
    axes.step(
        numbers[known],
        sign * so_far[known],
        where="post",
        color=_BEST,
        lw=2,
        label="best so far",
        zorder=3,
    )
    best = int(np.argmin(costs))
    star = {"ms": 13, "mec": "white", "c": _BEST}
    axes.plot(numbers[best], sign * costs[best], "*", **star)


def _draw_edge(
    axes: Any,
    numbers: np.ndarray,
    height: float,
    color: str,
    marker: str,
    label: str,
    size: float,
) -> None:
    """Draw marks at a height between 0, the lower edge, and 1."""
    if len(numbers):
        axes.scatter(
            numbers,
            np.full(len(numbers), height),
            s=size,
            c=color,
            marker=marker,
            lw=1.2,
            label=label,
            transform=axes.get_xaxis_transform(),
            zorder=4,
        )
