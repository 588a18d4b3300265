"""The settings of a search, as parameters of its run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ext.tuners.cross_validation import Folds
from keras_ext.tuners.search_state import SearchState

# keras-tuner reads 0 as "no seed"; this number replaces it. It is far from
# other seeds because keras-tuner counts upwards from its seed.
SEED_FOR_ZERO = 2**31 - 1


def search_params(
    tuner: Any, fit_kwargs: Mapping[str, Any], folds: Folds | None
) -> dict[str, Any]:
    """Return the settings of a `TrackedTuner` and of its `fit`."""
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


def check_same_search(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise if the project directory holds a search of another kind."""
    known = SearchState.load(folder / "tracking.json").settings
    for name in ("tuner", "objective", "direction"):
        if name in known and known[name] != str(settings[name]):
            raise ValueError(
                f"`project_name` and `directory` name a search with "
                f"{name} {known[name]!r}. Use another name, or pass "
                "`overwrite=True` to delete that search. Received: "
                f"project_name={folder.name!r} and {name} {settings[name]!r}"
            )


def _scalars(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that fit into a parameter."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, bool | int | float | str)
        and not name.startswith("_")
        and name not in ("verbose", "multi_worker", "should_report")
    }
