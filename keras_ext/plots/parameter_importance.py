"""The importance of each hyperparameter of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext._optional import require
from keras_ext.plots.drawing import new_figure
from keras_ext.plots.scores import is_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_TRIALS = 8
# A forest that explains less of the variance has found next to nothing.
_LEAST_EXPLAINED = 0.1
_FOLDS, _PERMUTATIONS, _TREES = 5, 10, 100
_MOST_BARS = 20
_COLOR = "#0072b2"


@dataclass
class Importances:
    """The result of `importances`, as shares of the variance of the ranks."""

    # Predicted by a forest for left-out trials; below 0: worse than the mean.
    explained: float
    # By hyperparameter, the most important first, with standard deviations.
    shares: dict[str, tuple[float, float]]


def importances(
    rows: Sequence[Mapping[str, Any]],
    hyperparameters: Sequence[str],
    score: str = "score",
) -> Importances | None:
    """Return the importances that `parameter_importance` draws.

    They are `None` for fewer than 8 trials with a score, or if the scores or
    all hyperparameters are the same in all trials.
    """
    scored = [row for row in rows if is_number(row.get(score))]
    rng = np.random.default_rng(0)
    columns = {
        name: _columns([row.get(name) for row in scored], rng)
        for name in hyperparameters
        if len({str(row.get(name)) for row in scored} - {"None", ""}) > 1
    }
    numbers = np.array([float(row[score]) for row in scored])
    if len(scored) < FEWEST_TRIALS or not columns or np.ptp(numbers) == 0:
        return None
    require("sklearn")
    names = list(columns)
    owners = np.repeat(
        range(len(names)), [c.shape[1] for c in columns.values()]
    )
    x = np.concatenate(list(columns.values()), axis=1)
    y = _ranks(numbers)
    errors = _errors(x, y, owners, rng)
    explained = 1 - errors[0, 0]
    shares = (errors[1:] - errors[0, 0]) / 2
    order = np.argsort(-shares.mean(axis=1), kind="stable")
    return Importances(
        float(explained),
        {
            names[i]: (float(shares[i].mean()), float(shares[i].std()))
            for i in order
        },
    )


def parameter_importance(
    rows: Sequence[Mapping[str, Any]],
    hyperparameters: Sequence[str],
    score: str = "score",
    title: str = "Importance of hyperparameters",
) -> "Figure":
    """Return the importances of the hyperparameters as bars.

    A random forest learns the ranks of the scores, by 5-fold
    cross-validation. Ranks let one exploded trial count as one trial. The
    importance of a hyperparameter is the share of the ranks' variance that
    depends on it, alone or together with others: exchange its values at
    random between trials, and take half of the drop of R² on the left-out
    trials. A joint effect counts for each of its hyperparameters, so the sum
    may be more than 1. The result is about these trials only: a
    hyperparameter with nearly the same value in all of them has little
    importance.

    The inactive values of a conditional hyperparameter are drawn from its
    active ones. So the effect of being active counts for its parent.

    With fewer than 8 trials that have a score, or if a forest cannot predict
    the scores, a sentence stands in place of the bars.

    Args:
        rows: One mapping a trial, with its hyperparameters and its score.
        hyperparameters: Their keys.
        score: The key of the score. Defaults to `"score"`.
        title: Title of the figure. Defaults to
            `"Importance of hyperparameters"`.

    Returns:
        The figure.

    Raises:
        ImportError: Matplotlib or scikit-learn is missing.

    Reference: Breiman, 2001, https://doi.org/10.1023/A:1010933404324 (the
    exchange); Jansen, 1999, https://doi.org/10.1016/S0010-4655(98)00154-4
    (why half of it).

    Example:
        >>> from keras_ext.plots import parameter_importance
        >>> rows = [{"width": i, "score": i} for i in range(5)]
        >>> figure = parameter_importance(rows, ["width"])
        >>> print(figure.axes[0].texts[0].get_text())
        8 trials with a score are needed, and there are 5.
    """
    found = importances(rows, hyperparameters, score)
    shown = list(found.shares.items())[:_MOST_BARS] if found else []
    figure = new_figure(7.5, max(2.4, 1.6 + 0.32 * len(shown)))
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    if found is None or found.explained < _LEAST_EXPLAINED:
        axes.set_axis_off()
        text = _why_not(rows, score, found)
        axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
        return figure
    names = [name for name, _ in shown]
    shares, deviations = np.array([share for _, share in shown]).T
    axes.barh(
        range(len(names)),
        np.maximum(shares, 0),
        xerr=deviations,
        color=_COLOR,
        error_kw={"ecolor": "#555555", "capsize": 2, "lw": 1},
    )
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
    count = sum(is_number(row.get(score)) for row in rows)
    label = (
        f"share of the variance that depends on it (ranks of {score})\n"
        f"{count} trials; a forest explains {max(0, found.explained):.0%} "
        "of their variance"
    )
    if len(found.shares) > len(shown):
        label += f"; {len(found.shares) - len(shown)} less important not shown"
    axes.set_xlabel(label, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _why_not(
    rows: Sequence[Mapping[str, Any]], score: str, found: Importances | None
) -> str:
    count = sum(is_number(row.get(score)) for row in rows)
    if count < FEWEST_TRIALS:
        return (
            f"{FEWEST_TRIALS} trials with a score are needed, and there are "
            f"{count}."
        )
    if found is None:
        return "All trials have the same score or the same hyperparameters."
    return (
        f"A forest cannot predict the score of these {count} trials from\n"
        f"their hyperparameters (R² = {found.explained:.2f}). Bars would show "
        "noise."
    )


def _columns(values: list[Any], rng: np.random.Generator) -> np.ndarray:
    """Return a hyperparameter as numbers, of shape `(trials, columns)`."""
    known = np.array([v is not None and v != "" for v in values])
    drawn = rng.choice(np.flatnonzero(known), len(values))
    filled = [
        values[i if k else j]
        for i, (k, j) in enumerate(zip(known, drawn, strict=True))
    ]
    if all(is_number(value) for value in filled):
        return np.array(filled, dtype=float)[:, None]
    texts = np.array([str(value) for value in filled])
    return (texts[:, None] == np.unique(texts)).astype(float)


def _errors(
    x: np.ndarray, y: np.ndarray, owners: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return errors on left-out trials, as shares of the variance.

    The shape is `(1 + hyperparameters, exchanges)`. The first row is for the
    values as they are, row `i + 1` for the exchanges of hyperparameter `i`.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    groups = range(owners.max() + 1)
    exchanges = [rng.permutation(len(x)) for _ in range(_PERMUTATIONS)]
    squares = np.zeros((len(groups) + 1, _PERMUTATIONS))
    for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(x):
        forest = RandomForestRegressor(_TREES, random_state=0)
        forest.fit(x[train], y[train])
        tables = [x[test]]
        for group in groups:
            for exchange in exchanges:
                table = x[test].copy()
                columns = owners == group
                table[:, columns] = x[exchange[test]][:, columns]
                tables.append(table)
        predicted = forest.predict(np.concatenate(tables))
        off = (predicted.reshape(len(tables), -1) - y[test]) ** 2
        squares[0] += off[0].sum()
        squares[1:] += off[1:].sum(axis=1).reshape(len(groups), -1)
    return squares / ((y - y.mean()) ** 2).sum()


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Return the ranks; equal numbers have equal ranks."""
    _, places, counts = np.unique(
        numbers, return_inverse=True, return_counts=True
    )
    return (np.cumsum(counts) - counts / 2)[places]
