"""The MLflow run of one search: the parent of its trials' runs."""

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ext.tracking import (
    RunWriter,
    TrackingError,
    connect,
    environment_tags,
    redact,
)
from keras_ext.tracking.figures import parallel_coordinates
from keras_ext.tracking.runs import experiment_id
from keras_ext.tuners.record import SearchRecord, TrialRecord
from keras_ext.tuners.table import column
from keras_ext.tuners.trial_run import TrialRun

# Tags of an ending, which a resumed search has not come to yet.
_ENDINGS = ("reason", "exception")


class SearchRun:
    """The parent run of a search, a new one or the one that it began in.

    Args:
        folder: The search's project directory, where `tracking.json` is.
        experiment: Name of the MLflow experiment; made if there is none.
        tracking_uri: The MLflow store, or `None` for MLflow's own setting.
        run_name: Name of a new run.
        tags: Tags of a new run, beside those of the environment.

    Attributes:
        trial: The run of the trial that is running, or `None`.

    Raises:
        TrackingError: If the store does not answer, or does not know the run
            that the search began in.
    """

    def __init__(
        self,
        folder: Path,
        experiment: str,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.record = SearchRecord.load(folder / "tracking.json")
        self.client = connect(tracking_uri)
        self.trial: TrialRun | None = None
        self._space = ""
        began_in = self.record.run_id
        if began_in is not None:
            self.run = self._reopened(began_in)
        else:
            self.run = self.client.create_run(
                experiment_id(self.client, experiment),
                tags={**environment_tags(), **(tags or {})},
                run_name=run_name,
            )
            self.record.run_id = self.run.info.run_id
            self.record.store = redact(self.client.tracking_uri)
            self.record.save()
        self.run_id: str = self.run.info.run_id
        self.writer = RunWriter(self.client, self.run_id)
        if began_in is not None:
            self.end_torn_runs()

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log parameters; what changed since the search began becomes a tag.

        MLflow keeps the first value of a parameter for ever, so that a later
        one is logged as the tag `resumed.<name>`.
        """
        known = self.run.data.params
        new = {k: v for k, v in settings.items() if k not in known}
        changed = {
            f"resumed.{name}": value
            for name, value in settings.items()
            if known.get(name, str(value)) != str(value)
        }
        self.writer.params(new)
        self.writer.tags(changed)
        # A resumed search asks for them, whatever happens to this one.
        self.writer.flush()

    def log_space(self, space: Sequence[Mapping[str, Any]]) -> None:
        """Log the search space, if it is not what was logged last."""
        text = json.dumps(space, indent=2)
        if text != self._space:
            self._space = text
            self.writer.text(text, "search_space.json")

    def log_table(
        self,
        rows: list[dict[str, Any]],
        hyperparameters: Sequence[str],
        direction: str,
    ) -> None:
        """Log the table of trials and the figure of it."""
        self.writer.table(rows, "trials.csv")
        scored = [row for row in rows if row["score"] is not None]
        if scored and hyperparameters:
            figure = parallel_coordinates(
                scored, [column(n) for n in hyperparameters], "score", direction
            )
            self.writer.figure(figure, "parallel_coordinates.png")

    def begin_trial(
        self, trial_id: str, hyperparameters: Mapping[str, Any], executions: int
    ) -> None:
        """Begin the run of the next attempt at a trial."""
        before = self.record.trials.get(trial_id)
        attempt = before.attempt + 1 if before else 1
        self.trial = TrialRun(
            self.client, self.run, trial_id, attempt, executions
        )
        self.record.trials[trial_id] = TrialRecord(self.trial.run_id, attempt)
        self.record.save()
        self.trial.add_params(hyperparameters)

    def end_trial(
        self,
        status: str,
        reason: str | None = None,
        score: float | None = None,
        step: int = 0,
    ) -> None:
        """End the run of the trial, and remember what the table needs."""
        assert self.trial is not None
        seen = self.record.trials[self.trial.trial_id]
        seen.status = status
        seen.reason = reason
        seen.duration = self.trial.duration
        seen.worst_grad_norm = self.trial.worst_grad_norm()
        seen.dead_relu = self.trial.dead_relu()
        self.trial.close(status, reason, score, step)
        self.trial = None
        self.record.save()

    def end(
        self,
        status: str,
        reason: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the run.

        Args:
            status: `FINISHED`, `FAILED` or `KILLED`.
            reason: Why it did not finish.
            error: What it ended with, if it was an exception.
        """
        if reason is not None:
            self.writer.tags({"reason": reason})
        if error is not None:
            self.writer.tags({"exception": type(error).__name__})
            trace = "".join(traceback.format_exception(error))
            self.writer.text(trace, "traceback.txt")
        self.writer.close(status)

    def end_torn_runs(self, parent_id: str | None = None) -> None:
        """End what a crash left running below the run (or below another)."""
        torn = self.client.search_runs(
            [self.run.info.experiment_id],
            f"tags.`mlflow.parentRunId` = '{parent_id or self.run_id}' "
            "AND attributes.status = 'RUNNING'",
        )
        for run in torn:
            self.end_torn_runs(run.info.run_id)
            writer = RunWriter(self.client, run.info.run_id)
            writer.tags({"reason": "torn off: its process ended before it"})
            writer.close("KILLED")

    def _reopened(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        folder = str(self.record.path.parent)
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            raise TrackingError(
                f"MLflow store {redact(self.client.tracking_uri)!r} does not "
                f"know run {run_id}, in which the search in {folder!r} "
                f"began. Pass the store that it began with: "
                f"{self.record.store!r}."
            ) from error
        if run.info.lifecycle_stage != "active":
            raise TrackingError(
                f"Run {run_id}, in which the search in {folder!r} began, was "
                "deleted. Restore it, or search anew in another directory."
            )
        for tag in _ENDINGS:
            if tag in run.data.tags:
                self.client.delete_tag(run_id, tag)
        self.client.update_run(run_id, status="RUNNING")
        return run
