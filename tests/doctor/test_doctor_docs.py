"""The thresholds that docs/doctor.md quotes are those of the rules."""

import pathlib

import pytest

from keras_ext.doctor import PROBLEMS
from keras_ext.doctor.rules import (
    capacity,
    gradients,
    learning_summary,
    outputs,
    overfitting,
    progress,
    static,
    units,
)

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "doctor.md"


def percent(share):
    return f"{100 * share:g} %"


QUOTED = {
    "unscaled_input": [
        *(static._LARGE, static._HUGE, static._TINY),
        *(
            static._RATIO,
            learning_summary.WORSE_THAN_A_GUESS,
            static._OFF_CENTER,
        ),
    ],
    "output_loss_mismatch": [
        outputs._TOLERANCE,
        percent(outputs._BEYOND),
        percent(outputs._FAR_BEYOND),
        percent(outputs._EVEN),
    ],
    "symmetric_units": [],
    "numerical_instability": [],
    "exploding_gradient": [
        *(gradients.STEEP, gradients.SPREAD, gradients.GROWTH),
        *(gradients.LARGE_GAIN, gradients.EXCESS),
    ],
    "saturated_activation": [percent(units.SATURATED)],
    "dying_relu": [
        *map(percent, (units.MOSTLY_DEAD, units.LARGELY_DEAD, units.HALF_DEAD)),
        units.LEANING,
        units.WELL,
    ],
    "learning_rate_too_high": [
        *(progress.VIOLENT, progress.ROUGH, progress.RESTLESS),
        *(progress.DIVERGED, progress.BEGUN, learning_summary.FAIR),
    ],
    "vanishing_gradient": [gradients.FADED, gradients.FAINT],
    "learning_rate_too_low": [progress.UNMOVED],
    "overfitting": [
        *(overfitting.RISE, overfitting.GAP, overfitting.BEHIND),
        *(overfitting.FALL, overfitting.SHORT, overfitting.SHORT_NATS),
        *(
            overfitting.NOTHING,
            learning_summary.UNFITTED,
            learning_summary.SETTLING,
        ),
        *(overfitting.FEW, overfitting.BY_HEART),
    ],
    "underfitting": [
        *(capacity.POOR, learning_summary.FAIR, capacity.NARROW),
        *(
            capacity.STRONG_DROPOUT,
            learning_summary.STRONG_PENALTY,
            capacity.WORSE,
        ),
    ],
}


def row_of(problem):
    """Return the row of the table of thresholds, which comes first."""
    lines = PAGE.read_text("utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"| `{problem}` |"))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_quoted_thresholds_are_those_of_the_rules(problem):
    words = row_of(problem).replace(" %", "_%").replace(",", " ").split()
    words = {word.strip(".;:|()") for word in words}
    for value in QUOTED[problem]:
        text = value if isinstance(value, str) else f"{value:g}"
        assert text.replace(" ", "_") in words, (text, sorted(words))
