import io

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from keras_ext.plots import (
    activation_heatmap,
    dead_unit_curves,
    gradient_heatmap,
    parallel_coordinates,
    saturation_curves,
    update_ratio_heatmap,
)

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def drawn(figure):
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def tick_labels(axes, axis="y"):
    return [t.get_text() for t in getattr(axes, f"get_{axis}ticklabels")()]


def legend(figure):
    return {t.get_text() for box in figure.legends for t in box.get_texts()}


def test_heatmap():
    epochs = {
        "grad_norm/global": [1.0, 2.0],
        "grad_norm/first": [0.0, np.nan],
        "grad_norm/second": [1e-3],
    }
    figure = drawn(gradient_heatmap(epochs, title="A title"))
    axes, bar = figure.axes
    assert tick_labels(axes) == ["first", "second", "global"]
    top, bottom = axes.get_ylim()[::-1]
    assert top < bottom  # the first layer is on top
    assert axes.get_title() == "A title" and axes.get_xlabel() == "epoch"
    assert bar.get_ylabel() == "gradient norm (L2)"
    assert legend(figure) == {"exactly 0", "NaN or infinite"}
    assert pyplot.get_fignums() == []


def test_layers_that_are_nearly_alike_look_so():
    for norms, decades in (([1.0, 2.0], 3), ([1e-9, 1.0], 9)):
        figure = drawn(gradient_heatmap({"a": norms, "b": norms}))
        (mesh,) = figure.axes[0].collections
        low, high = np.log10(mesh.get_clim())
        assert high - low == pytest.approx(decades)
        assert (low + high) / 2 == pytest.approx(np.log10(norms).mean())


def test_heatmap_shows_each_kind_of_value_once():
    values = [0.0, np.inf, 1.0, 1e-9, np.nan]
    figure = drawn(gradient_heatmap({"a": values, "b": values[:3]}))
    shown = sum(
        np.ma.masked_invalid(mesh.get_array()).count()
        for mesh in figure.axes[0].collections
    )
    assert shown == 8  # what is not measured stays white


@pytest.mark.parametrize(
    "epochs",
    [
        {"dense": [0.1]},
        {"dense": [0.0]},
        {"dense": [np.nan, np.inf]},
        {"dense": [1e-30, 1.0, 1e30]},
        {f"block/{i}/" + "x" * 60: np.ones(200) * i for i in range(60)},
    ],
)
def test_heatmap_of_anything(epochs):
    figure = drawn(gradient_heatmap(epochs))
    labels = tick_labels(figure.axes[0])
    assert len(set(labels)) == len(epochs)


def test_heatmap_of_a_long_run():
    steps = np.arange(0, 100_000, 10)
    values = np.ones(len(steps))
    values[777], values[5000], values[9000] = 1e3, np.nan, 0.0
    figure = drawn(gradient_heatmap({"a": values}, steps=steps))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "training step"
    assert axes.get_xlim() == (0, 100_000)
    shown, broken = (mesh.get_array() for mesh in axes.collections)
    # The spike and the NaN are there, the single zero is not the largest.
    assert shown.shape == (1, 500) and shown.max() == 1e3
    assert np.ma.count(broken) == 1


@pytest.mark.parametrize(
    "draw", [update_ratio_heatmap, activation_heatmap, saturation_curves]
)
def test_other_kinds(draw):
    figure = drawn(draw({"first": [0.1, 0.2], "global": [0.3, 0.3]}))
    assert figure.axes[0].get_xlabel() == "epoch"
    figure = drawn(draw({"first": [0.1, 0.2]}, steps=[0, 10]))
    assert figure.axes[0].get_xlabel() == "training step"


def test_dead_units():
    epochs = {"dead_relu/a": [0.1, 0.2], "dead_relu/global": [0.3]}
    figure = drawn(dead_unit_curves(epochs))
    assert legend(figure) == {"a", "global"}
    many = {f"dead_relu/{i}": [i / 60] for i in range(60)}
    figure = drawn(dead_unit_curves(many))
    assert {"59", "54", "54 other layers"} <= legend(figure)


@pytest.mark.parametrize("draw", [gradient_heatmap, dead_unit_curves])
def test_nothing_to_draw(draw):
    with pytest.raises(ValueError, match="`epochs` must hold"):
        draw({"a": []})


def trials(count, rng):
    for i in range(count):
        yield {
            "lr": 10 ** rng.uniform(-5, -1),
            "units": int(2 ** rng.integers(4, 10)),
            "optimizer": rng.choice(["adam", "sgd"]),
            "norm": bool(rng.integers(2)),
            "momentum": None if i % 2 else rng.uniform(),
            "constant": 3,
            "score": None if i % 7 == 5 else rng.uniform(),
        }


@pytest.mark.parametrize("count", [1, 5, 200])
def test_parallel_coordinates(count, rng):
    rows = list(trials(count, rng))
    names = [name for name in rows[0] if name != "score"]
    figure = drawn(parallel_coordinates(rows, names, "score", "min"))
    axes = figure.axes[0]
    labels = tick_labels(axes, "x")
    assert [label.split("\n")[0] for label in labels] == [*names, "score"]
    best = min(row["score"] for row in rows if row["score"] is not None)
    assert f"best score: {best:.4g} (lower is better)" in axes.get_title()
    if count == 200:
        assert labels[:2] == ["lr\n(log)", "units\n(log)"]
        failed = sum(row["score"] is None for row in rows)
        count = f"{200 - failed} trials, {failed} failed"
        assert count in axes.get_title()


@pytest.mark.parametrize("direction, best", [("min", 1.0), ("max", 3.0)])
def test_best_trial(direction, best):
    rows = [{"a": a, "s": s} for a, s in [(1, 1.0), (2, 3.0), (3, 2.0)]]
    figure = drawn(parallel_coordinates(rows, ["a"], "s", direction))
    top = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
    assert np.isclose(top.get_ydata()[-1], (best - 1) / 2)
    assert f"best s: {best:.4g}" in figure.axes[0].get_title()


def test_all_trials_failed():
    rows = [{"a": 1}, {"a": "x", "s": float("nan")}, {"b": 1}]
    figure = drawn(parallel_coordinates(rows, ["a"], "s"))
    assert figure.axes[0].get_title() == "0 trials, 3 failed"


def test_bad_arguments():
    with pytest.raises(ValueError, match="`direction` must be"):
        parallel_coordinates([{"a": 1}], ["a"], "s", "up")
    with pytest.raises(ValueError, match="must not be empty"):
        parallel_coordinates([], ["a"], "s")
