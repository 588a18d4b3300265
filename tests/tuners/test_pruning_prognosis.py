"""Which findings mean that a training is hopeless."""

import numpy as np
import pytest

from keras_ext.doctor import Finding, RunHistory
from keras_ext.doctor.run_history import Facts
from keras_ext.tuners.pruning.prognosis import Prognosis

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

PLANNED = 20


def finding(problem, severity="error", layer="first", consequences=()):
    return Finding(
        problem, layer, 0, None, severity, {}, "words", (), consequences
    )


def history(losses, norms=(), series=None):
    """Return the history of a training with these epoch losses."""
    losses = np.array(losses)
    count = len(losses)
    return RunHistory(
        facts=Facts(),
        logs={"loss": losses},
        steps=np.arange(count) * 10,
        series={
            "loss": losses,
            "grad_norm/global": np.ones(count),
            **(series or {}),
        },
        epochs={
            "grad_norm/first": np.array(norms),
            "grad_norm/last": np.ones(count),
        },
        steps_per_epoch=10,
        planned_epochs=PLANNED,
    )


def given_up(problem, losses, norms=None, severity="error", **options):
    """Return the epoch at whose end a training is given up, or `None`."""
    prognosis = Prognosis()
    found = [finding(problem, severity, **options)]
    for epoch in range(len(losses)):
        known = history(
            losses[: epoch + 1], (norms or [1e-6] * 99)[: epoch + 1]
        )
        if prognosis.at_epoch_end(found, known) is not None:
            return epoch
    return None


STUCK = [2.3] * 10
LEARNS = [2.3, 1.9, 1.5, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5]


@pytest.mark.parametrize(
    "problem",
    [
        "exploding_gradient",
        "dying_relu",
        "symmetric_units",
        "vanishing_gradient",
    ],
)
def test_errors_without_progress(problem):
    # Three epochs are the time that a training gets.
    assert given_up(problem, STUCK) == 2
    assert given_up(problem, STUCK, severity="warning") is None
    assert given_up(problem, LEARNS) is None


@pytest.mark.parametrize(
    "problem", ["overfitting", "learning_rate_too_high", "unscaled_input"]
)
def test_what_is_no_death(problem):
    assert given_up(problem, STUCK) is None


def test_what_follows_from_something_else_counts():
    dead = finding("dying_relu")
    rest = {"consequences": (dead,), "severity": "error"}
    assert given_up("learning_rate_too_high", STUCK, **rest) == 2


def test_a_little_progress_is_progress():
    slow = [2.3, 2.29, 2.2, 2.15, 2.14, 2.14, 2.14, 2.14]
    assert given_up("dying_relu", slow) is None


def test_it_must_last():
    prognosis = Prognosis()
    dead = [finding("dying_relu")]
    for epoch, found in enumerate([dead, [], dead, [], dead]):
        known = history(STUCK[: epoch + 1])
        assert prognosis.at_epoch_end(found, known) is None


def test_a_gradient_that_comes_back():
    doubling = [1e-7 * 2.0**i for i in range(10)]
    assert given_up("vanishing_gradient", STUCK, doubling) is None
    # At this pace it would take hundreds of epochs.
    creeping = [1e-7 * 1.03**i for i in range(10)]
    assert given_up("vanishing_gradient", STUCK, creeping) == 2
    assert given_up("vanishing_gradient", STUCK, [0.0] * 10) == 2


def test_numbers_that_are_not_finite():
    found = [finding("numerical_instability", layer=None)]
    norms = np.array([1.0, np.nan])
    broken = history([2.3, np.nan], series={"grad_norm/global": norms})
    assert Prognosis().is_broken(found, broken) is found[0]
    assert Prognosis().at_epoch_end(found, broken) is found[0]
    assert Prognosis().is_broken([], broken) is None


def test_numbers_that_are_finite_again():
    found = [finding("numerical_instability", layer=None)]
    norms = np.array([1.0, np.nan, 1.0])
    finite = history([2.3, np.nan, 1.0], series={"grad_norm/global": norms})
    assert Prognosis().is_broken(found, finite) is None
    assert Prognosis().at_epoch_end(found, finite) is None


def test_skipped_steps_do_not_count():
    found = [finding("numerical_instability", layer=None)]
    series = {
        "grad_norm/global": np.array([1.0, np.inf]),
        "skipped_steps": np.array([0.0, 1.0]),
    }
    scaled = history([2.3, 2.0], series=series)
    assert Prognosis().is_broken(found, scaled) is None


def test_a_model_that_nobody_can_measure():
    found = [finding("numerical_instability", layer=None)]
    for last, broken in ((np.nan, True), (2.0, False)):
        known = RunHistory(Facts(), logs={"loss": np.array([2.3, last])})
        assert (Prognosis().is_broken(found, known) is not None) == broken
