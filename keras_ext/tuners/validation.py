"""What is wrong with a search that cannot work, in one message each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_ext.tuners.search_state import SearchState


def check_objective(result: Any, objective: Any) -> None:
    """Raise if a trial did not report the objective.

    It is no failure of the trial: no other one would report it.

    Args:
        result: What `HyperModel.fit` returned.
        objective: A `keras_tuner.Objective`, or several in one.
    """
    if isinstance(result, keras.callbacks.History):
        reported = set(result.history)
    elif isinstance(result, dict):
        reported = set(result)
    else:
        return
    parts = getattr(objective, "objectives", [objective])
    missing = [part.name for part in parts if part.name not in reported]
    # One of somebody's own class may be worked out from several metrics.
    if missing and all(type(p) is keras_tuner.Objective for p in parts):
        raise keras_tuner.errors.FatalValueError(
            "`objective` must be a metric that the trials report, one of "
            f"{sorted(reported)}. Received: objective={missing[0]!r}"
        )


def check_same_search(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise if a project directory holds a search of another kind.

    Args:
        folder: The project directory.
        settings: The settings of the search that is to go on in it.
    """
    known = SearchState.load(folder / "tracking.json").settings
    for name in ("tuner", "objective", "direction"):
        if name in known and known[name] != str(settings[name]):
            raise ValueError(
                f"`project_name` and `directory` name a search with "
                f"{name} {known[name]!r}. Take another name, or pass "
                "`overwrite=True` to lose it. Received: "
                f"project_name={folder.name!r} and {name} {settings[name]!r}"
            )


def too_many_failures(number: int, trial_id: str, reason: str) -> RuntimeError:
    """Return the error of a search whose trials fail one after the other."""
    return RuntimeError(
        f"{number} trials failed in a row; trial {trial_id} with {reason}. "
        "The tracebacks are in MLflow, as traceback.txt of each trial; "
        "`max_consecutive_failed_trials` allows more failures."
    )
