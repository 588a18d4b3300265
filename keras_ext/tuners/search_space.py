"""The search space as plain data, for people and for JSON."""

from typing import Any

import keras_tuner


def describe(space: keras_tuner.HyperParameters) -> list[dict[str, Any]]:
    """Return every hyperparameter of `space`, active or not, as a dict.

    Args:
        space: The hyperparameters, as `oracle.get_space()` returns them.

    Returns:
        One dict per hyperparameter: its `name`, `type`, range (`values`, or
        `min_value`, `max_value`, `step` and `sampling`), `default`, and under
        `conditions` the parents that switch it on, with their values.
    """
    return [describe_one(parameter) for parameter in space.space]


def names(space: keras_tuner.HyperParameters) -> list[str]:
    """Return the names of `space`, each once, in their order."""
    return list(dict.fromkeys(parameter.name for parameter in space.space))


def describe_one(parameter: Any) -> dict[str, Any]:
    """Return one hyperparameter as a dict, as `describe` does."""
    settings = dict(parameter.get_config())
    name = settings.pop("name")
    settings.pop("conditions", None)
    settings["default"] = parameter.default
    return {
        "name": name,
        "type": type(parameter).__name__,
        **settings,
        "conditions": [c.get_config() for c in parameter.conditions],
    }
