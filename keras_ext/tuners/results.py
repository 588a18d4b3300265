"""What `HyperModel.fit` returns, read as one value of the objective."""

import math
from typing import Any

import keras
import numpy as np


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
