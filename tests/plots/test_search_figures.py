"""Figures of a whole search, on searches whose answer is known."""

import io
import re

import numpy as np
import pytest
from matplotlib import pyplot

from keras_ext.plots.optimization_history import optimization_history
from keras_ext.plots.parameter_importance import (
    importances,
    parameter_importance,
)
from keras_ext.plots.trial_health import trial_health

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    assert pyplot.get_fignums() == []
    return figure


def legend(figure):
    return {t.get_text() for box in figure.legends for t in box.get_texts()}


def row(score, status="FINISHED", **more):
    return {"score": score, "status": status, **more}


def best_line(figure):
    (line,) = (
        line
        for line in figure.axes[0].lines
        if line.get_label() == "best so far"
    )
    return line.get_xdata().tolist(), line.get_ydata().tolist()


@pytest.mark.parametrize(
    "direction, expected",
    [("min", [3.0, 3.0, 2.0, 2.0]), ("max", [3.0, 3.0, 3.0, 5.0])],
)
def test_best_so_far(direction, expected):
    rows = [
        row(None, "FAILED"),
        row(3.0),
        row(1.0 if direction == "min" else 9.0, "KILLED"),
        row(2.0),
        row(5.0),
    ]
    figure = drawn(optimization_history(rows, direction=direction))
    numbers, best = best_line(figure)
    assert numbers == [2, 3, 4, 5]
    # A pruned trial's score is not a result.
    assert best == expected
    title = figure.axes[0].get_title()
    assert title.startswith("3 trials finished, 1 pruned, 1 failed\n")
    assert f"best score: {expected[-1]:.4g} in trial" in title
    assert legend(figure) == {
        "finished",
        "pruned",
        "best so far",
        "no score (failed)",
    }


def test_an_exploded_trial_does_not_flatten_the_others():
    rows = [row(1 + 0.1 * i) for i in range(20)]
    rows += [row(1e30), row(float("inf"))]
    figure = drawn(optimization_history(rows))
    low, high = figure.axes[0].get_ylim()
    assert low < 1 and high < 20
    assert "finished, off the scale" in legend(figure)


def test_a_good_score_is_never_off_the_scale():
    rows = [row(100 + i) for i in range(20)] + [row(-1000.0)]
    figure = drawn(optimization_history(rows))
    assert figure.axes[0].get_ylim()[0] < -1000
    assert not any("off the scale" in text for text in legend(figure))


def test_scores_over_decades_are_logarithmic(rng):
    def scale(scores):
        rows = [row(float(score)) for score in scores]
        return drawn(optimization_history(rows)).axes[0].get_yscale()

    assert scale(10 ** rng.uniform(-4, 0, 40)) == "log"
    assert scale(rng.uniform(0.001, 1, 40)) == "linear"
    assert scale(rng.uniform(-1, 1, 40)) == "linear"


@pytest.mark.parametrize(
    "rows",
    [
        [row(0.5)],
        [row(None, "FAILED")],
        [row(None, "RUNNING"), row(float("nan"))],
        [row(0.0), row(0.0)],
        [row(float("inf"))],
        [row(float(i), trial=str(i)) for i in range(500)],
    ],
)
def test_history_of_anything(rows):
    axes = drawn(optimization_history(rows)).axes[0]
    left, right = axes.get_xlim()
    drawn_at = [
        float(x)
        for marks in (*axes.collections, *axes.lines)
        if marks.get_label() != "best so far"
        for x in _places(marks)
    ]
    assert len(set(drawn_at)) == len(rows)
    assert all(left < x < right for x in drawn_at)


def _places(marks):
    offsets = getattr(marks, "get_offsets", None)
    return offsets()[:, 0] if offsets else marks.get_xdata()


@pytest.mark.parametrize("first", [0, 3, None])
def test_trials_have_the_numbers_that_they_are_named_by(first):
    rows = [row(score) for score in (3.0, 1.0, 2.0)]
    if first is not None:
        for i, each in enumerate(rows, first):
            each["trial"] = f"{i:02}"
    figure = drawn(optimization_history(rows))
    best = (1 if first is None else first) + 1
    axes = figure.axes[0]
    assert re.search(rf"in trial 0?{best} ", axes.get_title())
    (line,) = [x for x in axes.collections if x.get_label() == "finished"]
    assert line.get_offsets()[1, 0] == best


def test_history_of_nothing():
    with pytest.raises(ValueError, match="`rows` must not be empty"):
        optimization_history([])
    with pytest.raises(ValueError, match="`direction` must be"):
        optimization_history([row(1.0)], direction="up")


def trials(count, score, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        values = {
            "rate": float(10 ** rng.uniform(-5, -1)),
            "optimizer": str(rng.choice(["sgd", "adam", "rmsprop"])),
            "norm": bool(rng.integers(2)),
            "units": int(rng.integers(1, 300)),
            "constant": 3,
            "momentum": None,
        }
        if values["optimizer"] == "sgd":
            values["momentum"] = float(rng.uniform())
        rows.append({**values, "score": float(score(values, rng))})
    return rows


NAMES = ["rate", "optimizer", "norm", "units", "constant", "momentum"]


def test_importance_of_a_number():
    rows = trials(60, lambda v, _: (np.log10(v["rate"]) + 3) ** 2)
    found = importances(rows, NAMES)
    assert found.explained > 0.7
    (first, (share, deviation)), *others = found.shares.items()
    assert first == "rate" and 0.7 < share < 1.2
    assert deviation < 0.3
    assert all(abs(other) < 0.1 for _, (other, _) in others)
    assert "constant" not in found.shares


def test_shares_are_those_of_the_variance():
    # Uniform ranks: the larger part has 16 times the variance.
    rows = trials(400, lambda v, rng: 4 * v["norm"] + v["units"] / 300)
    shares = importances(rows, NAMES).shares
    assert list(shares)[:2] == ["norm", "units"]
    assert shares["norm"][0] == pytest.approx(0.75, abs=0.1)
    assert shares["units"][0] == pytest.approx(0.25, abs=0.1)


def test_a_condition_is_credited_to_the_parent():
    rows = trials(80, lambda v, rng: (v["optimizer"] == "sgd") + rng.uniform())
    shares = importances(rows, NAMES).shares
    assert list(shares)[0] == "optimizer"
    assert shares["momentum"][0] < 0.1 * shares["optimizer"][0]


def test_a_conditional_hyperparameter_is_found():
    def score(values, rng):
        return values["momentum"] or rng.uniform(0.45, 0.55)

    shares = importances(trials(150, score), NAMES).shares
    assert list(shares)[0] == "momentum"


def test_an_exploded_trial_counts_as_one():
    rows = trials(60, lambda v, _: (np.log10(v["rate"]) + 3) ** 2)
    rows[7]["score"] = 1e30
    assert list(importances(rows, NAMES).shares)[0] == "rate"


def text_of(figure):
    return " ".join(text.get_text() for text in drawn(figure).axes[0].texts)


def test_noise_has_no_importance():
    rows = trials(60, lambda _, rng: rng.uniform())
    assert "cannot" in text_of(parameter_importance(rows, NAMES))


def test_few_trials_say_nothing():
    rows = trials(7, lambda v, _: v["rate"])
    rows += [row(None, "FAILED"), row(float("nan"))]
    assert importances(rows, NAMES) is None
    text = text_of(parameter_importance(rows, NAMES))
    assert text == "8 trials with a score are needed, and there are 7."
    assert importances(trials(8, lambda v, _: v["rate"]), NAMES) is not None
    same = trials(9, lambda *_: 1.0)
    assert "the same score" in text_of(parameter_importance(same, NAMES))
    assert importances(same, []) is None


def test_bars():
    rows = trials(60, lambda v, _: (np.log10(v["rate"]) + 3) ** 2)
    rows = [
        {**r, **{f"x{i}": (i * k) % 7 for i in range(1, 25)}}
        for k, r in enumerate(rows)
    ]
    names = [*NAMES, *(f"x{i}" for i in range(1, 25))]
    axes = drawn(parameter_importance(rows, names)).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "rate" and len(labels) == 20
    assert "less important not shown" in axes.get_xlabel()


def health(trial, score, layers, status="FINISHED", dead=None):
    return {
        "trial": trial,
        "status": status,
        "score": score,
        "grad_norms": layers,
        "dead_units": dead,
    }


def labels_of(figure, axis):
    axes = drawn(figure).axes[1]
    return [t.get_text() for t in getattr(axes, f"get_{axis}ticklabels")()]


def test_trials_are_sorted_by_outcome_and_score():
    layers = {"a": 1.0}
    grid = [
        health("failed", None, layers, "FAILED"),
        health("bad", 0.9, layers),
        health("pruned", 0.1, layers, "KILLED"),
        health("good", 0.5, layers),
    ]
    figure = trial_health(grid)
    assert labels_of(figure, "x") == ["good", "bad", "pruned", "failed"]
    assert legend(figure) == {"finished", "pruned or interrupted", "failed"}
    figure = trial_health(grid, "max")
    assert labels_of(figure, "x") == ["bad", "good", "pruned", "failed"]


def test_layers_of_different_depths():
    grid = [
        health("0", 1.0, {"h1": 1e-1, "out": 0.2}),
        health("1", 2.0, {"h1": 1e-2, "h2": 0.0, "h3": np.inf, "out": 0.3}),
        health("2", 3.0, {"h1": 1e-3, "h2": 0.1, "out": 0.4}),
    ]
    figure = trial_health(grid)
    assert labels_of(figure, "y") == ["h1", "h2", "h3", "out"]
    norms, zeros, broken = (m.get_array() for m in figure.axes[1].collections)
    assert np.ma.filled(norms, -1).tolist() == [
        [1e-1, 1e-2, 1e-3],
        [-1, -1, 0.1],
        [-1, -1, -1],
        [0.2, 0.3, 0.4],
    ]
    assert np.argwhere(~np.ma.getmaskarray(zeros)).tolist() == [[1, 1]]
    assert np.argwhere(~np.ma.getmaskarray(broken)).tolist() == [[2, 1]]
    assert {"exactly 0", "NaN or infinite"} <= legend(figure)


def test_names_that_differ_in_each_trial_are_places():
    grid = [
        health(str(i), i, {f"dense_{10 * i + k}": 1.0 for k in range(depth)})
        for i, depth in enumerate([2, 3, 4, 2, 3, 4])
    ]
    figure = trial_health(grid)
    names = ["layer 1", "layer 2", "layer 3", "last layer"]
    assert labels_of(figure, "y") == names
    norms = figure.axes[1].collections[0].get_array()
    assert np.ma.count(norms, axis=1).tolist() == [6, 4, 2, 6]


def test_names_in_opposite_orders():
    grid = [
        health("0", 1.0, {"a": 1.0, "b": 1.0}),
        health("1", 1.0, {"b": 1.0, "a": 1.0}),
    ]
    assert labels_of(trial_health(grid), "y") == ["a", "b"]


def test_dead_units_are_bars():
    layers = {"a": 0.1, "b": 0.1}
    dead = {"a": 0.5, "b": 0.01, "unknown": 1.0}
    figure = trial_health([health("0", 1.0, layers, dead=dead)])
    (bar,) = figure.axes[1].patches
    assert abs(bar.get_height()) == pytest.approx(0.48)
    assert "share of dead units" in legend(drawn(figure))


def test_one_exploded_layer_does_not_flatten_the_others():
    grid = [health(str(i), i, {"a": 0.1, "b": 0.01}) for i in range(9)]
    grid.append(health("9", 9, {"a": 1e30, "b": 1e-30}))
    mesh = drawn(trial_health(grid)).axes[1].collections[0]
    assert mesh.norm.vmin > 1e-9 and mesh.norm.vmax < 1e4
    assert mesh.colorbar.extend == "both"


@pytest.mark.parametrize("count", [1, 10, 100, 500])
def test_health_of_many(count, rng):
    statuses = ["FINISHED", "KILLED", "FAILED", "RUNNING"]
    grid = [
        health(
            f"{i:03d}",
            None if i % 9 == 5 else float(rng.uniform()),
            {f"h{k}": float(10 ** rng.uniform(-9, 2)) for k in range(i % 7)},
            statuses[i % 4],
            {"h0": float(rng.uniform())},
        )
        for i in range(1, count + 1)
    ]
    figure = trial_health(grid)
    labels = labels_of(figure, "x")
    assert len(labels) <= 40 and len(set(labels)) == len(labels)
    width, height = figure.get_size_inches()
    assert width <= 16 and height <= 14


def test_health_of_nothing():
    with pytest.raises(ValueError, match="`trials` must hold a trial"):
        trial_health([health("0", 1.0, {}), {}])
    with pytest.raises(ValueError, match="`direction` must be"):
        trial_health([health("0", 1.0, {"a": 1.0})], "up")
