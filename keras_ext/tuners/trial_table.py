"""The table of a search's trials."""

from collections.abc import Iterable
from typing import Any

from keras_ext.tuners.search_state import SearchState

COLUMNS = (
    "trial",
    "status",
    "score",
    "min_grad_norm",
    "dead_relu",
    "duration",
)


def trial_rows(
    trials: Iterable[Any], record: SearchState, hyperparameters: list[str]
) -> list[dict[str, Any]]:
    """Return one row per trial, in the order in which they began.

    Args:
        trials: keras-tuner's trials.
        record: What was recorded about them.
        hyperparameters: Names of all the hyperparameters; a trial leaves the
            cells of those that are not active in it empty.

    Returns:
        Rows with `trial`, `status` (of the MLflow run), `score` (of a
        pruned one, too, if it came to any), each hyperparameter,
        `min_grad_norm` (the smallest of the layers' gradient norms in the
        last epoch), `dead_relu` (share of all ReLU units, in the last epoch)
        and `duration` in seconds.
    """
    rows = []
    for trial in trials:
        seen = record.trials.get(trial.trial_id)
        if seen is None:
            continue
        values = trial.hyperparameters.values
        rows.append(
            {
                "trial": trial.trial_id,
                "status": seen.status,
                "score": seen.score,
                **{column(n): values.get(n) for n in hyperparameters},
                "min_grad_norm": seen.min_grad_norm,
                "dead_relu": seen.dead_relu,
                "duration": seen.duration and round(seen.duration, 3),
            }
        )
    return rows


def column(hyperparameter: str) -> str:
    """Return the column of a hyperparameter: its name, if that is free."""
    taken = hyperparameter in COLUMNS
    return f"{hyperparameter} (hyperparameter)" if taken else hyperparameter
