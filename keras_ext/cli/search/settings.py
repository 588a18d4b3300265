"""The settings of a search, from the command line or from its folder."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keras_ext._files import write_whole

# The metrics that can rank trials, the default first, and which direction is
# better.
OF_CLASSES = {
    "val_accuracy": "max",
    "val_balanced_accuracy": "max",
    "val_crossentropy": "min",
}
OF_NUMBERS = {"val_mae": "min", "val_rmse": "min"}
OBJECTIVES = OF_CLASSES | OF_NUMBERS


@dataclass
class Settings:
    """One search: the content of `search.json` in its folder.

    Attributes:
        dataset: Name of the search: `digits`, `wine`, ….
        trials: Number of trials.
        epochs: Epochs of each trial, at most.
        seed: Seed of the split, the draws and the trainings.
        experiment: Name of the MLflow experiment.
        tracking_uri: The MLflow store, without credentials; `None` until the
            search has one.
        data_file: Path of the user's own data.
        data_digest: SHA-256 of that file.
        finished: Whether the search has finished.
        tuner: `random`, `grid`, `bayesian`, `hyperband` or `optuna`.
        objective: The metric that ranks the trials; `None` until the task is
            clear.
        stop_unhealthy: Whether trials that cannot learn are stopped.
        pruner: `median`, `asha` or `None`.
        cross_validation: Number of folds, or `None`.
        target: The column of a table to predict.
        resume_trials: Whether an interrupted trial continues after its last
            complete epoch.
        task: `classification`, `regression`, or `None` to infer it.
        decimal: The decimal separator of numbers that can be read both ways.
        date_order: `day-first` or `month-first`, for dates that can be read
            both ways.
        date: Columns of dates.
        category: Columns of categories.
        keep: Columns that are inputs although they look useless.
        drop: Columns that are no inputs.
        missing: Texts that stand for a missing value.
    """

    dataset: str
    trials: int = 20
    epochs: int = 20
    seed: int = 1
    experiment: str = ""
    tracking_uri: str | None = None
    data_file: str | None = None
    data_digest: str | None = None
    finished: bool = False
    tuner: str = "random"
    objective: str | None = None
    stop_unhealthy: bool = False
    pruner: str | None = None
    cross_validation: int | None = None
    resume_trials: bool = False
    target: str | None = None
    task: str | None = None
    decimal: str | None = None
    date_order: str | None = None
    date: list[str] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Return the settings of the search in `folder`."""
        path = folder / "search.json"
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, folder: Path) -> None:
        """Write the file; a crash leaves the old file or the new one."""
        write_whole(folder / "search.json", asdict(self), indent=2)
