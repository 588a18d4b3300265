"""What `HyperModel.fit` returns, read as values of the objective."""

import math
from typing import Any

import keras
import numpy as np

# The logs of each epoch.
Rows = list[dict[str, float]]


def with_all_epochs(result: Any, rows: Rows, objective: Any) -> Any:
    """Return a `History` that has each column's value of each epoch.

    A metric that some epochs do not report (`validation_freq=2`) has a
    shorter column in Keras's `History`, and keras-tuner takes its n-th value
    for that of the n-th epoch, and fails where there is none. Here an epoch
    that does not report the objective has the worst value there is, so that
    it is never the best; a column that is not known in each of the others is
    left out.

    Args:
        result: What `HyperModel.fit` returned.
        rows: The logs of each epoch, the last ones being those of `result`.
        objective: A `keras_tuner.Objective`, or several in one.

    Returns:
        `result`, if it is no history or has equal columns.
    """
    if not isinstance(result, keras.callbacks.History):
        return result
    columns = result.history
    parts = getattr(objective, "objectives", [objective])
    if len({len(column) for column in columns.values()}) < 2 or any(
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
    """Return the best value of the objective that an execution came to.

    Args:
        result: A number, a dict of metrics, or a `History`.
        objective: A `keras_tuner.Objective`.

    Returns:
        The number; the dict's value; the best of all epochs of the history.
        What is not finite is left out; `None` if nothing is left.
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
    """Return the standard deviation of the best values.

    Args:
        results: What the executions returned, as a list.
        objective: A `keras_tuner.Objective`.
        executions: So many in a row are those of one fold; their mean counts.

    Returns:
        The square root of the mean squared deviation from the mean; `None`
        of a single value, or if any is not known.
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
