"""The MLflow runs of a search, stored in its project directory."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keras_ext._files import write_whole


@dataclass
class TrialState:
    """The latest attempt at one trial.

    `run_id` is not MLflow's id: it is the run's tag `keras_ext.id`.
    `grad_norms` and `dead_units` have one number per layer, of the last
    epochs.
    """

    run_id: str
    attempt: int = 1
    status: str = "RUNNING"
    reason: str | None = None
    score: float | None = None
    duration: float | None = None
    min_grad_norm: float | None = None
    dead_relu: float | None = None
    grad_norms: dict[str, float] = field(default_factory=dict)
    dead_units: dict[str, float] = field(default_factory=dict)


@dataclass
class SearchState:
    """The MLflow runs of one search, stored in `tracking.json`.

    The file names the parent run, so that the search can be resumed in it,
    and the run of each trial with its row of the table of trials. The file
    holds no credentials: `store` is redacted.

    `key` is the parent's id in the messages that wait for MLflow; `run_id` is
    MLflow's id, once it is known; `settings` are the parent's parameters.
    """

    path: Path
    store: str = ""
    key: str | None = None
    run_id: str | None = None
    experiment_id: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    best_model_trial: str | None = None
    trials: dict[str, TrialState] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "SearchState":
        """Return the stored state; an empty one if there is no file."""
        if not path.exists():
            return cls(path)
        state = json.loads(path.read_text(encoding="utf-8"))
        trials = {
            trial_id: TrialState(**trial)
            for trial_id, trial in state.pop("trials").items()
        }
        return cls(path, trials=trials, **state)

    def save(self) -> None:
        """Write the file whole: a crash leaves the old one or the new one."""
        state = asdict(self)
        del state["path"]
        write_whole(self.path, state, indent=2)
