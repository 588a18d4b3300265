"""A search that goes on in another space than the one it began in.

keras-tuner reloads the stored space and asks nobody: what the hypermodel asks
for now counts only where it is new, and another range is silently ignored.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras_tuner

from keras_ext.tuners import search_space

# Returns the space that a build with these values asks for.
Asks = Callable[[Mapping[str, Any]], keras_tuner.HyperParameters]


def go_on_in(
    asked: keras_tuner.HyperParameters,
    oracle: keras_tuner.Oracle,
    folder: str,
    asks: Asks | None,
) -> None:
    """Let a reloaded search go on in the space that is asked for now.

    New hyperparameters are added, and other ranges take the place of the
    stored ones. One warning names what differs. What is not asked for any
    more stays in the space, as the finished trials have it, and is drawn.

    Args:
        asked: What the hypermodel asks for now, built with defaults.
        oracle: The oracle, reloaded.
        folder: The project directory.
        asks: Finds out what the hypermodel asks for; `None` where it may ask
            outside `build`, and nobody knows what it does not ask for.

    Raises:
        ValueError: A trial has a value that the new range does not.
    """
    stored = oracle.get_space()
    trials = [oracle.trials[key] for key in oracle.start_order]
    now, then = _by_identity(asked), _by_identity(stored)
    changed = [
        (then[key], parameter)
        for key, parameter in now.items()
        if key in then and _range(parameter) != _range(then[key])
    ]
    for _, parameter in changed:
        _check_values(parameter, trials, folder)
    missing = [parameter for key, parameter in then.items() if key not in now]
    told = {
        "added": [p.name for key, p in now.items() if key not in then],
        "drawn without effect": _not_asked(missing, trials, asks),
        "changed": [
            f"{p.name} (was {_told(old)}, is {_told(p)})" for old, p in changed
        ],
    }
    if changed:
        _replace(oracle, [parameter for _, parameter in changed])
    oracle.update_space(asked)
    parts = [f"{k}: {', '.join(names)}" for k, names in told.items() if names]
    if parts:
        warnings.warn(
            f"The search in {folder!r} goes on in another space than it began "
            f"in: {'; '.join(parts)}.",
            stacklevel=2,
        )


def _by_identity(space: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Return hyperparameters by their name and their conditions."""
    return {
        f"{p.name} {[c.get_config() for c in p.conditions]}": p
        for p in space.space
    }


def _range(parameter: Any) -> dict[str, Any]:
    config = search_space.describe_one(parameter)
    del config["default"]
    return config


def _told(parameter: Any) -> str:
    shown = {
        key: value
        for key, value in _range(parameter).items()
        if key not in ("name", "type", "conditions") and value is not None
    }
    values = ", ".join(f"{key}={value!r}" for key, value in shown.items())
    return f"{type(parameter).__name__}({values})"


def _check_values(parameter: Any, trials: Iterable[Any], folder: str) -> None:
    name = parameter.name
    for trial in trials:
        values = trial.hyperparameters.values
        if name in values and not _has(parameter, values[name]):
            raise ValueError(
                f"`hypermodel` must allow the values of the trials of the "
                f"search in {folder!r}, which would go on. Take another "
                "`project_name`, or pass `overwrite=True` to lose it. "
                f"Received: {name} as {_told(parameter)}, but trial "
                f"{trial.trial_id} has {name}={values[name]!r}"
            )


def _has(parameter: Any, value: Any) -> bool:
    """Return whether a value lies in a range, on one of its steps."""
    if isinstance(parameter, keras_tuner.engine.hyperparameters.Fixed):
        return value == parameter.value
    if not hasattr(parameter, "min_value"):
        return value in parameter.values
    low, high = parameter.min_value, parameter.max_value
    if isinstance(value, bool | str) or not low <= value <= high:
        return False
    nearest = parameter.prob_to_value(parameter.value_to_prob(value))
    return math.isclose(nearest, value, rel_tol=1e-6, abs_tol=1e-12)


def _not_asked(
    missing: Iterable[Any], trials: Iterable[Any], asks: Asks | None
) -> list[str]:
    """Return those that even the trials that brought them do not ask for.

    `units_2` may be asked for only where there are three layers.
    """
    names = []
    for parameter in missing:
        first = next(
            (t for t in trials if parameter.name in t.hyperparameters.values),
            None,
        )
        if first is None or asks is None:
            continue
        space = asks(first.hyperparameters.values)
        if parameter.name not in search_space.names(space):
            names.append(parameter.name)
    return list(dict.fromkeys(names))


def _replace(oracle: keras_tuner.Oracle, parameters: Iterable[Any]) -> None:
    """Give the oracle other ranges for hyperparameters that it knows."""
    other = keras_tuner.HyperParameters()
    other.merge([*parameters])
    space = keras_tuner.HyperParameters()
    known = _by_identity(oracle.get_space())
    space.merge([*(known | _by_identity(other)).values()])
    oracle.hyperparameters = space
