"""What a search's trials come to, told to MLflow and to the terminal."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_ext._files import write_whole
from keras_ext.tracking import RunWriter
from keras_ext.tracking.redaction import scrub
from keras_ext.tuners import search_space
from keras_ext.tuners.models import log_model
from keras_ext.tuners.progress import Progress
from keras_ext.tuners.pruning.search_pruning import SearchPruning, TrialPruned
from keras_ext.tuners.samples import InputSource
from keras_ext.tuners.search_run import SearchRun
from keras_ext.tuners.trial_table import trial_rows


class SearchTracker:
    """Reads a tuner's oracle and records the search in its MLflow run.

    An interrupted oracle may hold its lock for ever, so none of its locking
    methods (`create_trial`, `update_trial`, `end_trial`) is called here.

    Args:
        tuner: The tuner.
        run: The search's run.
        progress: What the terminal shows.
        pruning: Knows which scores are the trials' own.
    """

    def __init__(
        self,
        tuner: keras_tuner.Tuner,
        run: SearchRun,
        progress: Progress,
        pruning: SearchPruning,
    ):
        self.tuner = tuner
        self.oracle = tuner.oracle
        self.run = run
        self.progress = progress
        self.pruning = pruning

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Record the search's settings and its space.

        Args:
            settings: Parameters of the parent run.
        """
        self.run.log_settings(settings)
        self._log_space()

    def begin_trial(self, trial: Any, executions: int) -> None:
        """Begin the run of a trial that trains so many models."""
        values = trial.hyperparameters.values
        self.run.begin_trial(trial.trial_id, values, executions)
        self.progress.begin(self._number(trial), trial.trial_id, values)

    def end_trial(self, broken_by: BaseException | None = None) -> None:
        """End the run of the trial that is running, if one is.

        Args:
            broken_by: What tore it off, if something did.
        """
        run = self.run.trial
        if run is None:
            return
        trial = self.oracle.trials[run.trial_id]
        run.add_params(trial.hyperparameters.values)
        if run.pruned is not None and _is_finished(trial):
            self._end_pruned(trial, run.pruned)
        elif _is_finished(trial):
            self._log_best_score()
            self.run.end_trial("FINISHED", None, trial.score, trial.best_step)
        elif _is_interrupt(broken_by):
            self.run.end_trial("KILLED", reason_of(broken_by))
        else:
            if broken_by is not None and run.reason is None:
                run.failed(broken_by)
            reason = run.reason or f"the score is {trial.score}"
            self.run.end_trial("FAILED", reason)
        self._show_end(trial)

    def log_best_model(
        self, load: Callable[[], keras.Model], inputs: InputSource
    ) -> None:
        """Log the best model, unless an earlier `search` did so.

        Args:
            load: Returns it.
            inputs: What the search trained on.
        """
        best = self.best_trial()
        record = self.run.state
        if best is None or record.best_model_trial == best.trial_id:
            return
        if self._log_model("best_model", best, load, inputs):
            record.best_model_trial = best.trial_id
            record.save()

    def log_trial_model(
        self, load: Callable[[], keras.Model], inputs: InputSource
    ) -> None:
        """Log the model of the trial that is running, if it has a score.

        Args:
            load: Returns it.
            inputs: What the search trained on.
        """
        run = self.run.trial
        if run is not None:
            trial = self.oracle.trials[run.trial_id]
            if _is_finished(trial) and run.pruned is None:
                self._log_model("model", trial, load, inputs, run.writer)

    def break_off(self, error: BaseException) -> None:
        """End the runs of a search that did not come to its end.

        Args:
            error: What ended it.
        """
        interrupt = _is_interrupt(error)
        try:
            if interrupt:
                self.progress.say("Interrupted: ending the runs.")
            self.end_trial(error)
            if interrupt:
                self._rewrite_state()
                self.run.end_torn_runs()
            self.end("KILLED" if interrupt else "FAILED", error)
        except Exception as failure:
            # The error that ended the search is the one to be raised.
            warnings.warn(
                f"The search's runs were not ended: {reason_of(failure)}",
                stacklevel=3,
            )

    def pause(self) -> None:
        """Let the store have what was recorded; the search goes on later."""
        outbox = self.run.outbox
        outbox.background.wait()
        outbox.wait(outbox.put())

    def end(
        self, status: str | None = None, error: BaseException | None = None
    ) -> None:
        """Write the table of trials and end the search's run.

        Args:
            status: `None`: `FINISHED` if any trial did.
            error: What ended the search, if something did.
        """
        self._log_space()
        self.run.log_table(
            self.rows(),
            search_space.names(self.oracle.get_space()),
            self.oracle.objective.direction,
        )
        reason = None if error is None else reason_of(error)
        if status is None and self.best_trial() is None:
            status, reason = "FAILED", "no trial finished"
        self.run.end(status or "FINISHED", reason, error)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table of trials."""
        return trial_rows(
            [self.oracle.trials[key] for key in self.oracle.start_order],
            self.run.state,
            search_space.names(self.oracle.get_space()),
        )

    def best_trial(self) -> Any:
        """Return the finished trial with the best score, or `None`."""
        choose = max if self.oracle.objective.direction == "max" else min
        return choose(self._finished(), key=lambda t: t.score, default=None)

    def _finished(self) -> list[Any]:
        return [
            trial
            for trial in self.oracle.trials.values()
            if _is_finished(trial) and self.pruning.has_own_score(trial)
        ]

    def _end_pruned(self, trial: Any, pruned: TrialPruned) -> None:
        score = None
        if pruned.scored:
            self._log_best_score()
            score = trial.score
        self.run.end_trial("KILLED", pruned.reason, score, trial.best_step)

    def _log_model(
        self,
        name: str,
        trial: Any,
        load: Callable[[], keras.Model],
        inputs: InputSource,
        writer: RunWriter | None = None,
    ) -> bool:
        writer = writer or self.run.writer
        values = trial.hyperparameters.values
        try:
            log_model(writer, name, load(), inputs, values)
        except Exception as error:
            # The training is done, and its results are worth keeping.
            reason = reason_of(error)
            writer.tags({f"{name}_error": reason})
            told = "The best model" if name == "best_model" else "A model"
            warnings.warn(f"{told} was not logged: {reason}", stacklevel=4)
            return False
        return True

    def _number(self, trial: Any) -> int:
        return self.oracle.start_order.index(trial.trial_id) + 1

    def _log_space(self) -> None:
        self.run.log_space(search_space.describe(self.oracle.get_space()))

    def _log_best_score(self) -> None:
        best = self.best_trial()
        self.run.writer.metrics(
            {f"best/{self.oracle.objective.name}": best.score},
            step=len(self._finished()),
        )
        self.run.writer.tags({"best_trial": best.trial_id})

    def _show_end(self, trial: Any) -> None:
        seen = self.run.state.trials[trial.trial_id]
        outcome = f"{seen.status}: {seen.reason}"
        if seen.status == "FINISHED":
            outcome = f"{self.oracle.objective.name} {trial.score:.4f}"
        best = self.best_trial()
        self.progress.end(
            self._number(trial),
            trial.trial_id,
            outcome,
            seen.duration or 0.0,
            f"{best.score:.4f}" if best else None,
            seen.min_grad_norm,
            seen.dead_relu,
        )

    def _rewrite_state(self) -> None:
        """Write again what the interrupt may have torn in the writing."""
        for trial in self.oracle.ongoing_trials.values():
            folder = self.tuner.get_trial_dir(trial.trial_id)
            write_whole(Path(folder, "trial.json"), trial.get_state())
        self.tuner.save()


def reason_of(error: BaseException | None) -> str:
    """Return one line that says what went wrong, without credentials."""
    if _is_interrupt(error):
        return f"interrupted ({type(error).__name__})"
    return scrub(f"{type(error).__name__}: {error}")


def _is_interrupt(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)


def _is_finished(trial: Any) -> bool:
    return trial.status == "COMPLETED" and trial.score is not None
