"""The thresholds that docs/doctor.md quotes are those of the rules."""

import pathlib

import pytest

from keras_ext.doctor import PROBLEMS, static_rules
from keras_ext.doctor import gradient_rules as gradients
from keras_ext.doctor import output_rules as outputs
from keras_ext.doctor import progress_rules as progress
from keras_ext.doctor import unit_rules as units

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "doctor.md"


def percent(share):
    return f"{100 * share:g} %"


QUOTED = {
    "unscaled_input": [
        *(static_rules._LARGE, static_rules._HUGE, static_rules._TINY),
        static_rules._RATIO,
    ],
    "output_loss_mismatch": [
        outputs._TOLERANCE,
        percent(outputs._BEYOND),
        percent(outputs._FAR_BEYOND),
    ],
    "symmetric_units": [],
    "numerical_instability": [],
    "exploding_gradient": [gradients.STEEP, gradients.SPREAD, gradients.GROWTH],
    "saturated_activation": [percent(units.SATURATED)],
    "dying_relu": [percent(units.MOSTLY_DEAD), percent(units.HALF_DEAD)],
    "learning_rate_too_high": [progress.VIOLENT, progress.DIVERGED],
    "vanishing_gradient": [gradients.FADED],
    "learning_rate_too_low": [progress.UNMOVED],
    "overfitting": [
        *(progress.RISE, progress.GAP, progress.BEHIND, progress.SHORT),
    ],
    "underfitting": [
        *(progress.POOR, progress.FAIR, progress.NARROW),
        *(progress.STRONG_DROPOUT, progress.STRONG_PENALTY),
    ],
}


def row_of(problem):
    """Return the row of the table of thresholds, which comes first."""
    lines = PAGE.read_text("utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"| `{problem}` |"))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_quoted_thresholds_are_those_of_the_rules(problem):
    words = row_of(problem).replace(" %", "_%").replace(",", " ").split()
    words = {word.strip(".;:|") for word in words}
    for value in QUOTED[problem]:
        text = value if isinstance(value, str) else f"{value:g}"
        assert text.replace(" ", "_") in words, (text, sorted(words))
