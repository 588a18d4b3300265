"""The figures of a search, from the table of its trials."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_ext.plots.optimization_history import optimization_history
from keras_ext.plots.parallel_coordinates import parallel_coordinates
from keras_ext.plots.parameter_importance import (
    FEWEST_TRIALS,
    parameter_importance,
)
from keras_ext.plots.trial_health import trial_health
from keras_ext.tuners.search_state import SearchState

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def search_figures(
    rows: Sequence[Mapping[str, Any]],
    record: SearchState,
    hyperparameters: Sequence[str],
    direction: str,
) -> Iterator[tuple[str, "Figure"]]:
    """Yield each figure that the trials are enough for, and its name.

    Args:
        rows: See `trial_rows`.
        record: What was recorded about the trials.
        hyperparameters: Columns of `rows`.
        direction: `"min"` if low scores are good, `"max"` if high ones are.
    """
    finished = [row for row in rows if row["status"] == "FINISHED"]
    if finished and hyperparameters:
        yield (
            "parallel_coordinates",
            parallel_coordinates(finished, hyperparameters, "score", direction),
        )
    if rows:
        yield (
            "optimization_history",
            optimization_history(rows, "score", direction),
        )
    if hyperparameters and len(finished) >= FEWEST_TRIALS:
        yield (
            "parameter_importance",
            parameter_importance(finished, hyperparameters),
        )
    trials = [
        {
            **row,
            "grad_norms": record.trials[row["trial"]].grad_norms,
            "dead_units": record.trials[row["trial"]].dead_units,
        }
        for row in rows
    ]
    if any(trial["grad_norms"] for trial in trials):
        yield "trial_health", trial_health(trials, direction)
