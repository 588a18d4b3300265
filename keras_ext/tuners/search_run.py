"""The MLflow run of one search: the parent of its trials' runs."""

import dataclasses
import json
import sqlite3
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ext._files import InUse
from keras_ext.tracking import (
    RunWriter,
    TrackingError,
    connect,
    environment_tags,
    redact,
)
from keras_ext.tracking.client import connect_later, from_anywhere
from keras_ext.tracking.messages import Create, Reopen
from keras_ext.tracking.outbox import Outbox
from keras_ext.tracking.outboxes import outbox_in
from keras_ext.tracking.run_ids import NeverMade
from keras_ext.tracking.runs import Parent, experiment_id
from keras_ext.tracking.transport import is_refusal
from keras_ext.tuners.search_state import SearchState, TrialState
from keras_ext.tuners.trial_run import TrialRun
from keras_ext.tuners.trial_table import column, search_figures

# A resumed search has not ended yet, so these tags are removed.
_TAGS_OF_AN_END = ("reason", "exception")


class SearchRun:
    """The parent run of a search: a new one, or that of a resumed search.

    The arguments other than `folder`, the project directory, are those of
    `TrackedTuner`. `trial` is the run of the current trial, or `None`.

    Raises:
        TrackingError: If the store does not answer, or does not have the run
            of a resumed search.
    """

    def __init__(
        self,
        folder: Path,
        experiment: str,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.state = SearchState.load(folder / "tracking.json")
        self.trial: TrialRun | None = None
        self._space = ""
        self._tags = {**environment_tags(), **(tags or {})}
        began = self.state.run_id is not None
        try:
            self.client, answers = connect(tracking_uri), True
        except TrackingError:
            self.client, answers = connect_later(tracking_uri), False
            where = redact(self.client.tracking_uri)
            if not began or where != self.state.store:
                raise
        self.outbox = self._outbox(folder / "outbox")
        if not began:
            self._begin(experiment, run_name)
        else:
            self._go_on(answers, run_name)
        assert self.state.key is not None
        self.writer = RunWriter(self.client, self.state.key)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        assert self.state.run_id is not None
        return self.state.run_id

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log parameters; a changed one becomes a tag `resumed.<name>`.

        MLflow keeps the first value of a parameter for ever.
        """
        known = self.state.settings
        new = {k: v for k, v in settings.items() if k not in known}
        changed = {
            f"resumed.{name}": value
            for name, value in settings.items()
            if known.get(name, str(value)) != str(value)
        }
        self.writer.params(new)
        self.writer.tags(changed)
        known.update({name: str(value) for name, value in new.items()})
        self.state.save()

    def log_space(self, space: Sequence[Mapping[str, Any]]) -> None:
        """Log the search space, if it has changed."""
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
        """Log the table of trials and its figures."""
        # Two threads need longer to draw than one.
        self.outbox.background.wait()
        self.writer.table(rows, "trials.csv")
        for name, figure in search_figures(
            rows, self.state, [column(n) for n in hyperparameters], direction
        ):
            self.writer.figure(figure, f"{name}.png")

    def begin_trial(
        self, trial_id: str, hyperparameters: Mapping[str, Any], executions: int
    ) -> None:
        """Begin the run of the next attempt at a trial."""
        before = self.state.trials.get(trial_id)
        attempt = before.attempt + 1 if before else 1
        parent = Parent(
            self.writer.run_id, self.state.experiment_id, self._tags
        )
        self.trial = TrialRun(
            self.client, parent, trial_id, attempt, executions
        )
        self.state.trials[trial_id] = TrialState(self.trial.run_id, attempt)
        self.state.save()
        self.trial.add_params(hyperparameters)

    def end_trial(
        self,
        status: str,
        reason: str | None = None,
        score: float | None = None,
        step: int = 0,
    ) -> None:
        """End the run of the trial, and store its row of the table."""
        assert self.trial is not None
        trial_id = self.trial.trial_id
        self.state.trials[trial_id] = dataclasses.replace(
            self.state.trials[trial_id],
            status=status,
            reason=reason,
            score=score,
            **self.trial.summary(),
        )
        self.trial.close(status, reason, score, step)
        self.trial = None
        self.state.save()

    def end(
        self,
        status: str,
        reason: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the run with a status, the reason for it, and an exception."""
        if reason is not None:
            self.writer.tags({"reason": reason})
        if error is not None:
            self.writer.tags({"exception": type(error).__name__})
            trace = "".join(traceback.format_exception(error))
            self.writer.text(trace, "traceback.txt")
        self.writer.end(status)
        # This waits for the store, but not for ever.
        self.outbox.finish()

    def end_interrupted_runs(self) -> None:
        """End the runs below this one that a crash left running."""
        for run_id in self.outbox.queue.ids.still_open():
            if run_id != self.state.key:
                writer = RunWriter(self.client, run_id)
                reason = "interrupted: its process ended before the run"
                writer.tags({"reason": reason})
                writer.end("KILLED")

    def _outbox(self, folder: Path) -> Outbox:
        try:
            outbox = outbox_in(folder, self.client)
        except InUse:
            problem = "is running in another process."
        except (sqlite3.Error, OSError) as error:
            problem = f"cannot store messages in {str(folder)!r}: {error}."
        else:
            return outbox
        raise TrackingError(f"The search in {str(folder.parent)!r} {problem}")

    def _begin(self, experiment: str, run_name: str | None) -> None:
        """Create the run; raise if the store does not create it."""
        state, queue = self.state, self.outbox.queue
        state.store = redact(self.client.tracking_uri)
        queue["store"] = from_anywhere(state.store)
        queue["experiment"] = experiment
        if state.key is None:
            state.experiment_id = experiment_id(self.client, experiment)
            state.key = uuid.uuid4().hex
            state.save()
        if state.key not in queue.ids.known:
            self.outbox.put([self._creation(run_name)])
        if not self.outbox.wait(self.outbox.put()):
            raise TrackingError(f"MLflow store {state.store!r} is too slow.")
        try:
            state.run_id = queue.ids.of(state.key)
        except NeverMade:
            reasons = [reason for _, reason in self.outbox.retries.rejected]
            state.key = None
            state.save()
            raise TrackingError(
                f"MLflow store {state.store!r} creates no run: {reasons[-1:]}"
            ) from None
        state.save()

    def _creation(self, run_name: str | None) -> Create:
        state = self.state
        assert state.key is not None
        now = time.time_ns() // 1_000_000
        return Create(state.key, state.experiment_id, run_name, self._tags, now)

    def _go_on(self, answers: bool, run_name: str | None) -> None:
        """Reopen the run in which the search began."""
        state, queue = self.state, self.outbox.queue
        # `keras-ext replay` may have sent the run to another store.
        state.run_id = queue.ids.known.get(state.key or "") or state.run_id
        if answers:
            self._check_run()
        key = state.key = state.key or self.run_id
        if key not in queue.ids.known:
            queue.ids.adopt(self._creation(run_name), state.run_id)
        state.save()
        self.outbox.put([Reopen(key, _TAGS_OF_AN_END)])
        self.end_interrupted_runs()

    def _check_run(self) -> None:
        """Raise if the store answers, but does not have the search's run."""
        run_id = self.run_id
        folder = str(self.state.path.parent)
        try:
            seen = self.outbox.retries.transport.see(run_id)
        except Exception as error:
            if not is_refusal(error):
                # The store has gone away since it answered.
                return
            seen = None
        if seen is None:
            raise TrackingError(
                f"MLflow store {redact(self.client.tracking_uri)!r} does not "
                f"have run {run_id}, in which the search in {folder!r} "
                f"began. Pass the store of that run: {self.state.store!r}."
            )
        if not seen.is_active:
            raise TrackingError(
                f"Run {run_id}, in which the search in {folder!r} began, was "
                "deleted. Restore it, or use another directory."
            )
        self.state.experiment_id = seen.experiment_id
