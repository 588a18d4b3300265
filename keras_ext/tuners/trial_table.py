"""The table of a search's trials, and the figures of the table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

_COLUMNS = (
    "trial",
    "status",
    "score",
    "min_grad_norm",
    "dead_relu",
    "duration",
)


def trial_rows(
    trials: Iterable[Any], state: SearchState, hyperparameters: Iterable[str]
) -> list[dict[str, Any]]:
    """Return one row per trial, as `TrackedTuner.trial_rows` documents it.

    A hyperparameter that is inactive in a trial is `None`.
    """
    rows = []
    for trial in trials:
        known = state.trials.get(trial.trial_id)
        if known is None:
            continue
        values = trial.hyperparameters.values
        rows.append(
            {
                "trial": trial.trial_id,
                "status": known.status,
                "score": known.score,
                **{column(n): values.get(n) for n in hyperparameters},
                "min_grad_norm": known.min_grad_norm,
                "dead_relu": known.dead_relu,
                "duration": known.duration and round(known.duration, 3),
            }
        )
    return rows


def column(hyperparameter: str) -> str:
    """Return the column of a hyperparameter: its name, if that is free."""
    taken = hyperparameter in _COLUMNS
    return f"{hyperparameter} (hyperparameter)" if taken else hyperparameter


def search_figures(
    rows: Sequence[Mapping[str, Any]],
    state: SearchState,
    columns: Sequence[str],
    direction: str,
) -> Iterator[tuple[str, "Figure"]]:
    """Yield the name of each figure that has enough trials, and the figure."""
    finished = [row for row in rows if row["status"] == "FINISHED"]
    if finished and columns:
        yield (
            "parallel_coordinates",
            parallel_coordinates(finished, columns, "score", direction),
        )
    if rows:
        yield (
            "optimization_history",
            optimization_history(rows, "score", direction),
        )
    if columns and len(finished) >= FEWEST_TRIALS:
        yield "parameter_importance", parameter_importance(finished, columns)
    trials = [
        {
            **row,
            "grad_norms": state.trials[row["trial"]].grad_norms,
            "dead_units": state.trials[row["trial"]].dead_units,
        }
        for row in rows
    ]
    if any(trial["grad_norms"] for trial in trials):
        yield "trial_health", trial_health(trials, direction)
