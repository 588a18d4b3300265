"""The execution of one trial of a search."""

import json
import traceback
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.tuner import maybe_distribute

from keras_ext._interrupts import InterruptGuard
from keras_ext.tuners.cross_validation import Folds
from keras_ext.tuners.progress import LiveLine
from keras_ext.tuners.pruning.search_pruning import SearchPruning, TrialPruned
from keras_ext.tuners.results import check_objective, spread, with_all_epochs
from keras_ext.tuners.resuming import Attempt, load_state
from keras_ext.tuners.search_run import SearchRun
from keras_ext.tuners.search_tracker import SearchTracker
from keras_ext.tuners.trial_callbacks import (
    BestEpochKeeper,
    execution_callbacks,
    patched,
)
from keras_ext.tuners.trial_run import TrialRun


class TrialExecution(keras_tuner.Tuner):
    """Mixin that trains, prunes, resumes and logs the trials of a search.

    The subclass `TrackedTuner` runs the search.
    """

    executions_per_trial: int
    resume_trials = False
    # Index of the current fold or execution.
    _execution = 0
    _interrupts: InterruptGuard
    _folds: Folds | None = None
    _pruning: SearchPruning | None = None
    _run: SearchRun | None = None
    _tracker: SearchTracker | None = None

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Train one model for each execution of each fold; list the results."""
        executions = self.executions_per_trial
        self.executions_per_trial = self._models_per_trial()
        try:
            results = super().run_trial(trial, *args, **kwargs)
        finally:
            self.executions_per_trial = executions
        if self._run and self._run.trial:
            self._run.trial.score_std = spread(
                results, self.oracle.objective, executions
            )
        return results

    def load_model(self, trial: Any) -> Any:
        """Load a trial's model as it was after its best epoch.

        Unlike keras-tuner, this also loads the optimizer's state.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for")
            model = super().load_model(trial)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            path = Path(self._get_checkpoint_fname(trial.trial_id))
            self._load_state(model, trial.trial_id, path)
        return model

    def _load_state(
        self, model: keras.Model, trial_id: str, path: Path
    ) -> None:
        """Load weights and optimizer state of a trial into its model."""
        with maybe_distribute(self.distribution_strategy):
            if not model.built:
                config = Path(self._get_build_config_fname(trial_id))
                model.build_from_config(json.loads(config.read_text("utf-8")))
            load_state(model, path)

    def _models_per_trial(self) -> int:
        return self.executions_per_trial * (
            len(self._folds) if self._folds else 1
        )

    # Overrides of private keras-tuner methods, unchanged there since 2023.

    def _run_and_update_trial(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        try:
            super()._run_and_update_trial(trial, *args, **kwargs)
        except TrialPruned as pruned:
            self.oracle.update_trial(
                trial.trial_id, pruned.metrics, step=pruned.step
            )
            if self._run and self._run.trial:
                self._run.trial.pruned = pruned
        except Exception as error:
            # Some libraries catch Ctrl-C and raise something else.
            self._interrupts.check()
            # keras-tuner stores the traceback alone.
            if self._run and self._run.trial:
                self._run.trial.failed(error)
            raise

    def _try_run_and_update_trial(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        # Unlike keras-tuner, this prints no traceback: it is in MLflow, and
        # the trial's line shows the reason.
        try:
            self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = "COMPLETED"
        except keras_tuner.errors.FatalError:
            raise
        except Exception as error:
            is_final = isinstance(error, keras_tuner.errors.FailedTrialError)
            trial.status = "FAILED" if is_final else "INVALID"
            trial.message = traceback.format_exc()

    def _build_and_fit_model(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> Any:
        run, pruning = self._run and self._run.trial, self._pruning
        if not run or not pruning:
            return super()._build_and_fit_model(trial, *args, **kwargs)
        self._execution, name = run.executions, None
        if self._folds:
            fold, name = self._fold(self._folds)
            args, kwargs = (), self._folds.arguments(fold, args, kwargs)
        run_id, tracker = run.begin_execution(name)
        given = [
            patched(callback) for callback in kwargs.get("callbacks") or []
        ]
        doctors, enders = pruning.begin_execution(
            trial.trial_id, self._execution, given
        )
        kwargs["callbacks"] = execution_callbacks(
            [*doctors, *given], run.client, run_id, tracker
        )
        check = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: self._interrupts.check()
        )
        kwargs["callbacks"] += [*enders, check]
        if self._tracker and self._tracker.progress.live:
            objective = self.oracle.objective.name
            line = LiveLine(self._tracker.progress, objective)
            kwargs["callbacks"].append(line)
        if self.resume_trials:
            results = self._resumed(run, trial, *args, **kwargs)
        else:
            results = super()._build_and_fit_model(trial, *args, **kwargs)
            check_objective(results, self.oracle.objective)
        results = with_all_epochs(
            results, tracker.epochs, self.oracle.objective
        )
        self._interrupts.check()
        try:
            pruning.end_execution(trial.trial_id, results)
        except TrialPruned:
            run.end_execution("KILLED")
            raise
        run.end_execution("FINISHED")
        return results

    def _fold(self, folds: Folds) -> tuple[int, str]:
        """Return the fold of the execution, and the name of the run."""
        # `run_trial` sets the number to that of all folds together.
        of_a_fold = self.executions_per_trial // len(folds)
        fold, execution = divmod(self._execution, of_a_fold)
        name = f"fold {fold}"
        return fold, name if of_a_fold == 1 else f"{name} execution {execution}"

    def _resumed(
        self, run: TrialRun, trial: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Train the epochs that an earlier attempt did not finish."""
        folder = Path(self.get_trial_dir(trial.trial_id))
        attempt = Attempt(folder, self._execution)
        run.log_before(attempt.rows, kwargs.get("initial_epoch", 0))
        for callback in kwargs["callbacks"]:
            if isinstance(callback, BestEpochKeeper):
                attempt.restore_best(callback.checkpoint)
        if attempt.result is not None:
            return attempt.result
        results = super()._build_and_fit_model(
            trial, *args, **attempt.arguments(kwargs)
        )
        check_objective(results, self.oracle.objective)
        return attempt.finished(results)

    def _configure_tensorboard_dir(
        self, callbacks: list[Any], trial: Any, execution: int = 0
    ) -> None:
        # keras-tuner always imports tensorboard, which TensorFlow no longer
        # installs.
        if any(isinstance(c, keras.callbacks.TensorBoard) for c in callbacks):
            super()._configure_tensorboard_dir(callbacks, trial, execution)
