"""What a search was asked for, on the command line and on disk."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

DATASETS = ["digits"]


class UsageError(Exception):
    """What was asked for cannot be done; the message is one line."""


@dataclass
class Settings:
    """One search: what `search.json` in its folder holds.

    Attributes:
        dataset: Name of the data set.
        trials: Number of trials.
        epochs: Epochs of each trial.
        seed: Seed of the split, the draws and the trainings.
        experiment: Name of the MLflow experiment.
        tracking_uri: The MLflow store, without credentials; `None` before
            it is known.
        data_file: Path of an MNIST archive in place of the built-in images.
        data_digest: SHA-256 of that file.
        finished: Whether the search came to its end.
    """

    dataset: str
    trials: int
    epochs: int
    seed: int
    experiment: str
    tracking_uri: str | None = None
    data_file: str | None = None
    data_digest: str | None = None
    finished: bool = False

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Return the settings of the search in `folder`."""
        path = folder / "search.json"
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, folder: Path) -> None:
        """Write the file whole: a crash leaves the old one or the new one."""
        draft = folder / "search.tmp"
        text = json.dumps(asdict(self), indent=2)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, folder / "search.json")
