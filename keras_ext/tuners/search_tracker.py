"""Reporting the trials of a search to MLflow and to the terminal."""

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
from keras_ext.tuners.models import InputSource, log_model
from keras_ext.tuners.progress import Progress
from keras_ext.tuners.pruning.search_pruning import SearchPruning, TrialPruned
from keras_ext.tuners.search_run import SearchRun
from keras_ext.tuners.trial_table import trial_rows


class SearchTracker:
    """Reads a tuner's oracle and logs the search in its MLflow run.

    An interrupted oracle may hold its lock for ever, so this class calls none
    of its locking methods (`create_trial`, `update_trial`, `end_trial`).
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
        """Log the search's settings and its space."""
        self.run.log_settings(settings)
        self._log_space()

    def begin_trial(self, trial: Any, executions: int) -> None:
        """Begin the run of a trial with this number of executions."""
        values = trial.hyperparameters.values
        self.run.begin_trial(trial.trial_id, values, executions)
        number = self.oracle.start_order.index(trial.trial_id) + 1
        self.progress.begin(number, trial.trial_id, values)

    def end_trial(self, broken_by: BaseException | None = None) -> None:
        """End the run of the current trial, if there is one."""
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

    def log_best_model(self, inputs: InputSource) -> None:
        """Log the best model, unless an earlier `search` did so."""
        best, state = self.best_trial(), self.run.state
        if best is None or state.best_model_trial == best.trial_id:
            return

        def load() -> keras.Model:
            return self.tuner.get_best_models(1)[0]

        writer = self.run.writer
        if self._log_model("best_model", best, load, inputs, writer):
            state.best_model_trial = best.trial_id
            state.save()

    def log_trial_model(self, trial: Any, inputs: InputSource) -> None:
        """Log the model of the current trial, if the trial has a score."""
        run = self.run.trial
        if run is not None and _is_finished(trial) and run.pruned is None:

            def load() -> keras.Model:
                return self.tuner.load_model(trial)

            self._log_model("model", trial, load, inputs, run.writer)

    def break_off(self, error: BaseException) -> None:
        """End the runs of a search that an exception ended."""
        self.progress.close()
        interrupt = _is_interrupt(error)
        try:
            if interrupt:
                self.progress.print_line("Interrupted: ending the runs.")
            self.end_trial(error)
            if interrupt:
                self._rewrite_state()
                self.run.end_interrupted_runs()
            self.end("KILLED" if interrupt else "FAILED", error)
        except Exception as failure:
            # The caller raises the error that ended the search.
            warnings.warn(
                f"The search's runs were not ended: {reason_of(failure)}",
                stacklevel=3,
            )

    def pause(self) -> None:
        """Send all messages to the store; the search continues later."""
        outbox = self.run.outbox
        outbox.background.wait()
        outbox.wait(outbox.put())

    def end(
        self, status: str | None = None, error: BaseException | None = None
    ) -> None:
        """Write the table of trials and end the search's run.

        Without `status`, the run is `FINISHED` if any trial finished.
        """
        self._log_space()
        names = search_space.names(self.oracle.get_space())
        direction = self.oracle.objective.direction
        self.run.log_table(self.rows(), names, direction)
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
        writer: RunWriter,
    ) -> bool:
        values = trial.hyperparameters.values
        try:
            log_model(writer, name, load(), inputs, values)
        except Exception as error:
            # A failure to log is no reason to lose the search.
            reason = reason_of(error)
            writer.tags({f"{name}_error": reason})
            which = "The best model" if name == "best_model" else "A model"
            warnings.warn(f"{which} was not logged: {reason}", stacklevel=4)
            return False
        return True

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
        state = self.run.state.trials[trial.trial_id]
        outcome = f"{state.status}: {state.reason}"
        if state.status == "FINISHED":
            outcome = f"{self.oracle.objective.name} {trial.score:.4f}"
        best = self.best_trial()
        self.progress.end(
            outcome,
            state.duration or 0.0,
            f"{best.score:.4f}" if best else None,
            state.min_grad_norm,
            state.dead_relu,
        )

    def _rewrite_state(self) -> None:
        """Write the files again that the interrupt may have torn."""
        for trial in self.oracle.ongoing_trials.values():
            folder = self.tuner.get_trial_dir(trial.trial_id)
            write_whole(Path(folder, "trial.json"), trial.get_state())
        self.tuner.save()


def reason_of(error: BaseException | None) -> str:
    """Return the error in one line, without credentials."""
    if _is_interrupt(error):
        return f"interrupted ({type(error).__name__})"
    return scrub(f"{type(error).__name__}: {error}")


def _is_interrupt(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)


def _is_finished(trial: Any) -> bool:
    return trial.status == "COMPLETED" and trial.score is not None
