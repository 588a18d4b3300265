"""What trials reported, kept on disk."""

import math

import pytest

from keras_ext.tuners.pruning.curves import PRUNED, UNSCORED, Curves

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pruning.jsonl"


def report(curves, trial, *values, execution=0, first=0):
    for epoch, value in enumerate(values, first):
        curves.report(trial, execution, epoch, value)


@pytest.mark.parametrize(
    ("direction", "best"),
    [("max", [0.3, 0.3, 0.5, 0.5]), ("min", [0.3, 0.1, 0.1, 0.1])],
)
def test_the_best_so_far(path, direction, best):
    curves = Curves(path, direction)
    report(curves, "a", 0.3, 0.1, 0.5, 0.2)
    assert curves.of("a", 1) == dict(enumerate(best))
    assert curves.of("a", 2) is None
    assert curves.of("b", 1) is None


def test_numbers_that_are_not_finite_are_the_worst(path):
    curves = Curves(path, "min")
    report(curves, "a", math.nan, math.inf, 0.5, math.nan)
    assert curves.of("a", 1) == {0: math.inf, 1: math.inf, 2: 0.5, 3: 0.5}
    assert curves.score("a") == (0.5, 2)
    report(curves, "b", math.nan)
    assert curves.score("b") is None
    assert curves.score("nobody") is None
    # Strict JSON knows no NaN.
    assert "NaN" not in path.read_text()
    assert Curves(path, "min").of("a", 1) == curves.of("a", 1)


def test_means_over_executions(path):
    curves = Curves(path, "max")
    report(curves, "a", 0.2, 0.4)
    report(curves, "a", 0.6, 0.5, 0.8, execution=1)
    # What ended early keeps what it had.
    assert curves.of("a", 2) == pytest.approx({0: 0.4, 1: 0.5, 2: 0.6})
    assert curves.of("a", 1) == {0: 0.2, 1: 0.4}
    score, step = curves.score("a")
    assert (score, step) == (pytest.approx(0.6), 1)


def test_other_trials(path):
    curves = Curves(path, "max")
    report(curves, "a", 0.2, 0.4)
    report(curves, "a", 0.2, 0.4, execution=1)
    report(curves, "b", 0.3)
    curves.end("b", PRUNED)
    report(curves, "c", 0.1)
    known = {"a", "b"}
    other_trials = list(curves.other_trials("c", 1, known))
    assert [(r.values, r.finished) for r in other_trials] == [
        ({0: 0.2, 1: 0.4}, True),
        ({0: 0.3}, False),
    ]
    assert len(list(curves.other_trials("c", 2, known))) == 1


def test_what_is_reported_again_replaces_what_was(path):
    curves = Curves(path, "max")
    report(curves, "a", 0.9, 0.9, 0.9)
    report(curves, "a", 0.9, execution=1)
    curves.end("a", UNSCORED)
    report(curves, "a", 0.1, 0.2)
    assert curves.of("a", 1) == {0: 0.1, 1: 0.2}
    assert curves.of("a", 2) is None
    assert curves.ended(UNSCORED) == []
    report(curves, "a", 0.3, first=1)
    assert Curves(path, "max").of("a", 1) == {0: 0.1, 1: 0.3}


def test_a_torn_line_is_left_out(path):
    curves = Curves(path, "max")
    report(curves, "a", 0.1, 0.2)
    with path.open("a") as file:
        file.write('{"trial": "a", "exec')
    again = Curves(path, "max")
    assert again.of("a", 1) == {0: 0.1, 1: 0.2}
    report(again, "a", 0.3, first=2)
    assert Curves(path, "max").of("a", 1) == {0: 0.1, 1: 0.2, 2: 0.3}


def test_no_file_without_a_report(path):
    assert Curves(path, "max").ended(PRUNED) == []
    assert not path.exists()
