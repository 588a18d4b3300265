"""Scores of a search's trials, in the order in which they began."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext._optional import require

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

    Finished trials are blue dots, pruned ones violet triangles at the score
    that they were ended with, and trials without a score marks at the lower
    edge: violet if pruned, grey if failed. Scores far worse than the others
    are drawn as arrows at the edge. The scale is logarithmic if the scores
    are positive and span a wide range.

    How to read it: a line that falls late says that more trials may help, one
    that has been flat for long that they will not; dots that draw near to the
    line are a sampler that learns.

    Args:
        rows: One mapping a trial, in the order in which they began: its
            `status` (`"FINISHED"`, `"KILLED"` for a pruned one, `"FAILED"`)
            and its score.
        score: The key of the score. Defaults to `"score"`.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
        title: Title of the figure. Defaults to a count of the trials.

    Returns:
        The figure.

    Raises:
        ValueError: There is no trial, or `direction` is neither.

    Example:
        >>> from keras_ext.plots.optimization_history import (
        ...     optimization_history,
        ... )
        >>> rows = [{"status": "FINISHED", "score": s} for s in (0.5, 0.25)]
        >>> figure = optimization_history(rows)
        >>> print(figure.axes[0].get_title())
        2 trials finished
        best score: 0.25 in trial 2 (lower is better)
    """
    if direction not in ("min", "max"):
        raise ValueError(
            f'`direction` must be "min" or "max". Received: {direction!r}'
        )
    if not rows:
        raise ValueError("`rows` must not be empty. Received: rows=[]")
    require("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scores = np.array([_number(row.get(score)) for row in rows])
    statuses = np.array([str(row.get("status")) for row in rows])
    finished = (statuses == "FINISHED") & ~np.isnan(scores)
    pruned, numbers = statuses == "KILLED", _numbers(rows)

    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel="trial", ylabel=score)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(numbers.min() - 0.5, numbers.max() + 0.5)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _set_scale(axes, scores, direction)
    size = float(np.clip(900 / len(rows), 7, 36))
    for chosen, color, mark, label, area in (
        (finished, _FINISHED, "o", "finished", size),
        (pruned & ~np.isnan(scores), _PRUNED, "v", "pruned", 2 * size),
    ):
        _draw_scores(axes, numbers, scores, chosen, color, mark, label, area)
    best = _draw_best(axes, numbers, scores, finished, direction)
    others = np.isnan(scores)
    _draw_edge(axes, numbers[others & pruned], _PRUNED, "pruned, no score")
    rest = others & ~pruned
    _draw_edge(axes, numbers[rest], _FAILED, "no score (failed)")
    figure.legend(
        loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    lines = [title or _counts(finished, pruned)]
    if best is not None:
        better = "lower" if direction == "min" else "higher"
        lines.append(
            f"best {score}: {scores[best]:.4g} in trial "
            f"{rows[best].get('trial', best + 1)} ({better} is better)"
        )
    axes.set_title("\n".join(lines), fontsize=11)
    return figure


def _numbers(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the numbers that trials are named by, or count from 1.

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
    """Choose a scale, and limits within which the usual scores lie."""
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
    chosen: np.ndarray,
    color: str,
    mark: str,
    label: str,
    size: float,
) -> None:
    low, high = axes.get_ylim()
    inside = chosen & (scores >= low) & (scores <= high)
    if inside.any():
        axes.scatter(
            numbers[inside],
            scores[inside],
            s=size,
            c=color,
            marker=mark,
            label=label,
            alpha=0.75,
            lw=0,
        )
    for far, edge, arrow in (
        (chosen & (scores > high), 0.975, "$\u2191$"),
        (chosen & (scores < low), 0.025, "$\u2193$"),
    ):
        if far.any():
            axes.scatter(
                numbers[far],
                np.full(far.sum(), edge),
                s=60,
                c=color,
                marker=arrow,
                transform=axes.get_xaxis_transform(),
                zorder=4,
                label=f"{label}, off the scale",
            )


def _draw_best(
    axes: Any,
    numbers: np.ndarray,
    scores: np.ndarray,
    finished: np.ndarray,
    direction: str,
) -> int | None:
    """Draw the best finished score so far; return the best one's index."""
    if not finished.any():
        return None
    sign = 1 if direction == "min" else -1
    costs = np.where(finished, sign * scores, np.inf)
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
    axes.plot(numbers[best], scores[best], "*", ms=13, mec="white", c=_BEST)
    return best


def _draw_edge(axes: Any, numbers: np.ndarray, color: str, label: str) -> None:
    if len(numbers):
        axes.scatter(
            numbers,
            np.full(len(numbers), 0.012),
            s=26,
            c=color,
            marker="x",
            lw=1.2,
            label=label,
            transform=axes.get_xaxis_transform(),
            zorder=3,
        )


def _number(value: Any) -> float:
    return float("nan") if value is None or value == "" else float(value)
