"""The results of `HyperModel.fit`, read as values of the objective."""

import math
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_ext.callbacks.logs import numbers_in

# The logs of each epoch.
Rows = list[dict[str, float]]


def check_objective(result: Any, objective: Any) -> None:
    """Raise if a trial did not report the objective.

    This ends the search, because no other trial would report it either.
    """
    if isinstance(result, keras.callbacks.History):
        reported = set(result.history)
    elif isinstance(result, dict):
        reported = set(result)
    else:
        return
    parts = _parts(objective)
    missing = [part.name for part in parts if part.name not in reported]
    # A subclass may compute its value from several metrics.
    if missing and all(type(p) is keras_tuner.Objective for p in parts):
        raise keras_tuner.errors.FatalValueError(
            "`objective` must be a metric that the trials report, one of "
            f"{sorted(reported)}. Received: objective={missing[0]!r}"
        )


def with_all_epochs(result: Any, rows: Rows, objective: Any) -> Any:
    """Return a `History` whose columns have a value for each epoch.

    A metric that some epochs do not report (`validation_freq=2`) has a
    shorter column in Keras's `History`. keras-tuner reads its n-th value as
    that of the n-th epoch, and fails where it is missing. Here an epoch that
    does not report the objective has the worst possible value, so it is never
    the best one. A column with other gaps is left out. `rows` are the logs of
    each epoch, the last ones those of `result`.
    """
    if not isinstance(result, keras.callbacks.History):
        return result
    # keras-tuner averages numbers only.
    columns = {
        key: column
        for key, column in result.history.items()
        if len(numbers_in(dict(enumerate(column)))) == len(column)
    }
    parts = _parts(objective)
    is_whole = len({len(column) for column in columns.values()}) < 2
    if (is_whole and len(columns) == len(result.history)) or any(
        part.name not in columns for part in parts
    ):
        return result
    rows = rows[-len(result.epoch) :]
    scored = [row for row in rows if objective.has_value(row)]
    blank = dict.fromkeys(columns, math.nan)
    for part in parts:
        blank[part.name] = -math.inf if part.direction == "max" else math.inf
    whole = keras.callbacks.History()
    whole.epoch = list(result.epoch)
    for key in columns:
        if scored and all(key in row for row in scored):
            whole.history[key] = [
                row[key] if objective.has_value(row) else blank[key]
                for row in rows
            ]
    return whole


def best_value(result: Any, objective: Any) -> float | None:
    """Return the best finite value of the objective in an execution.

    `result` is a number, a dict of metrics, or a `History`.
    """
    if isinstance(result, keras.callbacks.History):
        columns = result.history
        length = max(map(len, columns.values()), default=0)
        epochs = [
            {
                key: column[e]
                for key, column in columns.items()
                if e < len(column)
            }
            for e in range(length)
        ]
    elif isinstance(result, dict):
        epochs = [result]
    else:
        epochs = [{objective.name: result}]
    values = [
        float(logs[objective.name])
        if objective.name in logs
        else float(objective.get_value(logs))
        for logs in epochs
        if objective.name in logs or objective.has_value(logs)
    ]
    finite = [value for value in values if math.isfinite(value)]
    choose = max if objective.direction == "max" else min
    return choose(finite, default=None)


def spread(results: Any, objective: Any, executions: int = 1) -> float | None:
    """Return the standard deviation of the executions' best values.

    The values of each `executions` results in a row, those of one fold, are
    averaged first. Returns `None` for a single value, or if one is missing.
    """
    if not isinstance(results, list) or len(results) < 2:
        return None
    values = [best_value(result, objective) for result in results]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if len(known) > executions:
        return float(np.std(np.reshape(known, (-1, executions)).mean(axis=1)))
    return float(np.std(known))


def _parts(objective: Any) -> list[Any]:
    return getattr(objective, "objectives", [objective])
