"""The settings of a search, as its run records them."""

from collections.abc import Mapping
from typing import Any

from keras_ext.tuners.cross_validation import Folds

# keras-tuner takes 0 for "no seed"; this number stands in for it. It is far
# from other seeds because keras-tuner counts upwards from its seed.
SEED_FOR_ZERO = 2**31 - 1


def search_params(
    tuner: Any, fit_kwargs: Mapping[str, Any], folds: Folds | None
) -> dict[str, Any]:
    """Return what distinguishes this search from another.

    Args:
        tuner: A `TrackedTuner`.
        fit_kwargs: What `search` was given by name.
        folds: The folds of cross-validation, if there are any.
    """
    oracle = tuner.oracle
    early_ends = {
        "stop_unhealthy": tuner.stop_unhealthy,
        "pruner": tuner.pruner and repr(tuner.pruner),
        "cross_validation": folds and repr(folds),
        "time_budget": tuner.time_budget,
    }
    settings = {
        "tuner": type(tuner).__name__,
        "objective": oracle.objective.name,
        "direction": oracle.objective.direction,
        "executions_per_trial": tuner.executions_per_trial,
        **{name: value for name, value in early_ends.items() if value},
        **_scalars(vars(oracle)),
        **{f"fit/{k}": v for k, v in _scalars(fit_kwargs).items()},
    }
    if settings["seed"] == SEED_FOR_ZERO:
        settings["seed"] = 0
    return settings


def _scalars(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a parameter can hold."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, bool | int | float | str)
        and not name.startswith("_")
        and name not in ("verbose", "multi_worker", "should_report")
    }
