"""A mixin that tracks a keras-tuner search in MLflow."""

import inspect
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from keras_ext._files import write_whole
from keras_ext._interrupts import InterruptGuard
from keras_ext.tracking import redact
from keras_ext.tuners.cross_validation import Folds, check_cross_validation
from keras_ext.tuners.memory import (
    TRIALS_BETWEEN,
    forget_programs,
    quick_collections,
)
from keras_ext.tuners.models import InputSource
from keras_ext.tuners.oracles import make_crash_safe
from keras_ext.tuners.progress import Progress, opened_by
from keras_ext.tuners.pruning.pruners import Pruner, get_pruner
from keras_ext.tuners.pruning.search_pruning import SearchPruning
from keras_ext.tuners.search_params import (
    SEED_FOR_ZERO,
    check_same_search,
    search_params,
)
from keras_ext.tuners.search_run import SearchRun
from keras_ext.tuners.search_space import adopt_space
from keras_ext.tuners.search_tracker import SearchTracker
from keras_ext.tuners.trial_execution import TrialExecution


class _OutOfTime(Exception):
    """Ends keras-tuner's loop over trials."""


class _Paused(Exception):
    """Ends the loop; another call continues the search."""


class TrackedTuner(TrialExecution):
    """Mixin that tracks a search in MLflow, one run per trial.

    Put the mixin before a tuner of keras-tuner or your own:
    `class MyTuner(TrackedTuner, keras_tuner.BayesianOptimization)`.

    **The search** has a parent run. It holds the search space
    (`search_space.json`), the settings as parameters, and the best score so
    far (`best/<objective>`; the step is the number of finished trials). At the
    end it gets the table of trials (`trials.csv`), the table's figures
    (`parallel_coordinates.png`, `optimization_history.png`,
    `parameter_importance.png`, `trial_health.png`), the tag `best_trial` and
    the best model as the logged model `best_model`.

    **Each trial** has a child run (`trial <id>`). It holds each active
    hyperparameter under its own name, the metrics of every epoch with the
    epoch as step, gradient norms and dead ReLU ratios per layer,
    `gradient_norms.png`, and the metrics `score` and `duration` (seconds). Its
    status is `FINISHED`; `FAILED`, with the artifact `traceback.txt` and the
    tag `exception`; or `KILLED`. The tag `reason` explains the last two. With
    several executions per trial, each execution has a run below the trial's
    run, which then holds the mean over the executions for each epoch.

    `GradientNormLogger` and `DeadReLULogger` are added to every fit, unless
    `search(callbacks=...)` contains one of them.

    **Pruned** trials (`stop_unhealthy`, `pruner`) end before their last epoch.
    Their run has the status `KILLED` and a `reason` such as `pruned:
    vanishing_gradient in dense_3 (epoch 4)`; epochs count from 0. For the
    oracle, pruned trials are completed: it does not retry them and counts no
    failure. Their score is their best value of the objective. A trial without
    any value gets the score of the worst other trial. With several executions
    or folds, a trial is judged in each and pruned as a whole.

    **Cross-validated** trials (`cross_validation`) train a new model on each
    fold, with a run for each (`fold 0`, ...) below the trial's run. The score
    is the mean over the folds of the objective's best value; the metric
    `score_std` is its standard deviation. scikit-learn's `check_cv` chooses
    the folds: stratified for a number of folds and targets that are classes,
    shuffled only if the splitter shuffles, and the same for all trials. Give a
    shuffling splitter a `random_state`, or a resumed search gets other folds.
    `search` then takes arrays, `groups=` if the splitter needs it, and no
    validation data. `executions_per_trial` is the number of trainings of each
    fold. No model is trained on all rows: `get_best_models` returns the model
    of the best fold.

    **Interrupted** by Ctrl-C or an error, the search ends its runs with their
    true status, writes the table so far, and raises. To resume, make the tuner
    again with the same `directory` and `project_name` and without `overwrite`.
    The search continues in the same parent run: it does not repeat finished
    trials, sets the runs that a crash left running to `KILLED`, and tries the
    interrupted trial again in a new child run (tag `attempt`).

    **In the terminal** the search prints two lines per trial instead of
    keras-tuner's tables. `search` without `verbose` keeps `fit` silent;
    `verbose=1` or `2` also shows the output of `fit`, `verbose=0` nothing.

    The search does not change MLflow's tracking URI or active run.

    Attributes:
        is_out_of_time: Whether `time_budget` ended the last `search`.
        is_paused: Whether `trials_per_call` ended the last `search`.
        began: When the search began, by `time.monotonic`, if another process
            began it: the time budget and the time in the terminal count from
            then. Defaults to `None`: from the call of `search`.

    Args:
        *args: The tuner's positional arguments.
        experiment: Name of the MLflow experiment. Defaults to
            `project_name`.
        tracking_uri: The MLflow store. Defaults to MLflow's own setting.
        run_name: Name of the parent run. Defaults to `project_name`.
        tags: Further tags of the parent run.
        stop_unhealthy: Whether to end a trial once the doctor is certain that
            it is hopeless: NaN, exploding or vanishing gradients, dead units
            or identical units, without progress. Defaults to `False`.
        pruner: Ends trials that fall behind the others: `"median"`
            (`MedianPruner`), `"asha"` (`ASHAPruner`), a `Pruner` or `None`.
            Defaults to `None`.
        cross_validation: A number of folds or a scikit-learn splitter that
            scores each trial. Defaults to `None`.
        log_models: `"best"` logs the best model of the search in the search's
            run, `"all"` also logs each trial's model in its run; `None` logs
            none. Defaults to `"best"`.
        resume_trials: Whether an interrupted trial continues after its last
            whole epoch, with weights, optimizer state and logged values. This
            costs a checkpoint in each epoch. Callbacks lose their own state,
            and the order of the data begins anew. Defaults to `False`: the
            trial is trained from its first epoch.
        time_budget: Seconds of a call of `search` after which no trial
            begins. The search ends as usual, `is_out_of_time` is `True`, and
            the search can be resumed. Defaults to `None`: no limit.
        trials_per_call: Number of trials in a call of `search` after which no
            trial begins. The search's run stays open, without figures and
            best model, `is_paused` is `True`, and the search can be resumed. A
            new process every few trials frees the memory that backends keep.
            Defaults to `None`: no limit.
        **kwargs: The tuner's keyword arguments. `seed=0` is a valid seed
            here; keras-tuner alone would draw a random one.

    Raises:
        ValueError: If an argument is invalid, or if a stored trial of a
            resumed search has a value that `hypermodel` does not allow.

    Example:
    >>> import keras, keras_ext, keras_tuner, numpy as np, tempfile
    >>> class MySearch(
    ...     keras_ext.tuners.TrackedTuner, keras_tuner.RandomSearch
    ... ):
    ...     pass
    >>> def build(hp):
    ...     model = keras.Sequential([keras.layers.Dense(1)])
    ...     rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> folder = tempfile.TemporaryDirectory()
    >>> tuner = MySearch(
    ...     build, "val_loss", max_trials=1, directory=folder.name,
    ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db",
    ... )
    >>> x, y = np.ones((32, 2)), np.ones((32, 1))
    >>> tuner.search(x, y, validation_split=0.5, verbose=0)
    >>> [(row["trial"], row["status"]) for row in tuner.trial_rows()]
    [('0', 'FINISHED')]
    """

    began: float | None = None
    # Whether `search` prints the best trial, and how to open MLflow.
    _prints_best = True

    def __init__(
        self,
        *args: Any,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        stop_unhealthy: bool = False,
        pruner: str | Pruner | None = None,
        cross_validation: Any = None,
        log_models: str | None = "best",
        resume_trials: bool = False,
        time_budget: float | None = None,
        trials_per_call: int | None = None,
        **kwargs: Any,
    ):
        pruner = get_pruner(pruner)
        cross_validation = check_cross_validation(cross_validation)
        if log_models not in ("best", "all", None):
            raise ValueError(
                '`log_models` must be "best", "all" or `None`. '
                f"Received: log_models={log_models!r}"
            )
        if time_budget is not None and not time_budget > 0:
            raise ValueError(
                "`time_budget` must be a positive number of seconds or None. "
                f"Received: time_budget={time_budget!r}"
            )
        if trials_per_call is not None and not (
            isinstance(trials_per_call, int) and trials_per_call >= 1
        ):
            raise ValueError(
                "`trials_per_call` must be a positive integer or None. "
                f"Received: trials_per_call={trials_per_call!r}"
            )
        given = inspect.signature(super().__init__).bind_partial(
            *args, **kwargs
        )
        if given.arguments.get("seed") == 0:
            given.arguments["seed"] = SEED_FOR_ZERO
        super().__init__(*given.args, **given.kwargs)
        self.experiment = experiment or self.project_name
        self.tracking_uri = tracking_uri
        self.run_name = run_name or self.project_name
        self.tags = dict(tags or {})
        self.stop_unhealthy = stop_unhealthy
        self.log_models = log_models
        self.resume_trials = resume_trials
        self.time_budget = time_budget
        self.trials_per_call = trials_per_call
        self.is_out_of_time = False
        self.is_paused = False
        self._deadline = math.inf
        self._begun = 0
        self.pruner = pruner
        if pruner is not None and hasattr(self.oracle.objective, "objectives"):
            raise ValueError(
                "`pruner` compares trials by one objective and must be None "
                f"with several. Received: pruner={pruner!r}, "
                f"objective={list(self.oracle.objective.name_to_direction)}"
            )
        self.cross_validation = cross_validation
        self._folds: Folds | None = None
        self._pruning: SearchPruning | None = None
        self._interrupts = InterruptGuard()
        self._inputs: InputSource | None = None
        self._run: SearchRun | None = None
        self._tracker: SearchTracker | None = None

    @property
    def client(self) -> Any:
        """The `mlflow.MlflowClient` of the search; `None` before it."""
        return self._run.client if self._run else None

    @property
    def run_id(self) -> str | None:
        """The id of the parent run; `None` before the search."""
        return self._run.run_id if self._run else None

    def trial_rows(self) -> list[dict[str, Any]]:
        """Return the trials so far, as in `trials.csv`.

        Returns:
            One dict per trial, in the order in which the trials began:
            `trial`, `status` (of the MLflow run), `score` (also of a pruned
            trial, if it has one), every hyperparameter, `min_grad_norm` (the
            smallest of the layers' gradient norms in the last epoch),
            `dead_relu` (share of all ReLU units, in the last epoch) and
            `duration` (seconds). Empty before `search`.
        """
        return self._tracker.rows() if self._tracker else []

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search as keras-tuner does, and track the search in MLflow.

        Args:
            *fit_args: Passed to `fit`.
            **fit_kwargs: Passed to `fit`; with `cross_validation` also
                `groups`, the group of each row.

        Raises:
            ValueError: If `cross_validation` cannot split the data.
            keras_ext.tracking.TrackingError: If the MLflow store does not
                answer; nothing has been trained then.
        """
        if os.environ.get("KERASTUNER_ORACLE_IP"):
            raise NotImplementedError(
                "Searches with several workers (KERASTUNER_ORACLE_IP) are not "
                "tracked yet."
            )
        self._folds = None
        if self.cross_validation is not None:
            groups = fit_kwargs.pop("groups", None)
            self._folds = Folds(
                self.cross_validation, fit_args, fit_kwargs, groups
            )
        self.is_out_of_time = self.is_paused = False
        self._begun = 0
        start = time.monotonic() if self.began is None else self.began
        self._deadline = start + (self.time_budget or math.inf)
        settings = search_params(self, fit_kwargs, self._folds)
        check_same_search(Path(self.project_dir), settings)
        progress = Progress(
            self.oracle.max_trials,
            shown=fit_kwargs.get("verbose") != 0,
            live=fit_kwargs.get("verbose") is None,
            deadline=self._deadline,
            start=start,
        )
        self._run = SearchRun(
            Path(self.project_dir),
            self.experiment,
            self.tracking_uri,
            self.run_name,
            self.tags,
        )
        self._pruning = SearchPruning(
            Path(self.project_dir),
            self.oracle,
            self.stop_unhealthy,
            self.pruner,
        )
        self._tracker = SearchTracker(self, self._run, progress, self._pruning)
        try:
            inputs = InputSource(fit_args, self._quiet(fit_kwargs))
            self._inputs = inputs
            self._tracker.begin(settings)
            with self._interrupts, quick_collections():
                try:
                    super().search(*inputs.fit_args, **inputs.fit_kwargs)
                except _OutOfTime:
                    self.is_out_of_time = True
                    self.on_search_end()
                except _Paused:
                    self.is_paused = True
                    self._tracker.pause()
                    return
                # A later process of the same search may find nothing to do.
                begins = self.began is None and not self.is_out_of_time
                if begins and not self._begun:
                    progress.print_line(self._nothing_left())
                if self.log_models is not None:
                    self._tracker.log_best_model(inputs)
        except BaseException as error:
            self._tracker.break_off(error)
            raise
        self._tracker.end()
        if self._begun and self._prints_best:
            store = redact(self._run.client.tracking_uri)
            where = f"See the search in MLflow: {opened_by(store)}"
            progress.print_line(f"{self._best_trial_text()} {where}")

    def on_search_begin(self) -> None:
        """Silence keras-tuner's tables; make even the first trial resumable."""
        super().on_search_begin()
        self.oracle.verbose = 0
        self.save()

    def pre_create_trial(self) -> None:
        """End the search at its time budget or its number of trials."""
        super().pre_create_trial()
        if len(self.oracle.end_order) == self.oracle.max_trials:
            return
        if time.monotonic() >= self._deadline:
            raise _OutOfTime
        if self._begun >= (self.trials_per_call or math.inf):
            raise _Paused

    def on_trial_begin(self, trial: Any) -> None:
        """Begin the trial's run."""
        super().on_trial_begin(trial)
        self._begun += 1
        if self._tracker:
            done = len(self.oracle.end_order)
            if done and self._begun == 1 and self._prints_best:
                self._tracker.progress.print_line(
                    f"Resumed after {_trials(done)}. {self._best_trial_text()}"
                )
            self._tracker.begin_trial(trial, self._models_per_trial())
        self._interrupts.check()

    def on_trial_end(self, trial: Any) -> None:
        """Score the trial and end its run."""
        try:
            super().on_trial_end(trial)
        except Exception as error:
            # The oracle raises after too many failures in a row.
            if not self._run or not self._tracker:
                raise
            self._tracker.end_trial()
            if not isinstance(error, RuntimeError):
                raise
            number = self.oracle.max_consecutive_failed_trials
            reason = self._run.state.trials[trial.trial_id].reason or "no score"
            raise RuntimeError(
                f"{number} trials failed in a row; trial {trial.trial_id} with "
                f"{reason}. The tracebacks are in MLflow, as traceback.txt of "
                "each trial; `max_consecutive_failed_trials` allows more "
                "failures."
            ) from None
        if self._pruning:
            self._pruning.rescore(self.get_trial_dir)
        if self._tracker:
            if self.log_models == "all" and self._inputs:
                self._tracker.log_trial_model(trial, self._inputs)
            self._tracker.end_trial()
        if len(self.oracle.end_order) % TRIALS_BETWEEN == 0:
            forget_programs()

    def save(self) -> None:
        """Save the search; a crash leaves the old files or the new ones."""
        self.oracle.save()
        write_whole(self._get_tuner_fname(), self.get_state())

    def reload(self) -> None:
        """Load the search from the project directory."""
        # keras-tuner does not compare the stored space with the hypermodel's.
        self._populate_initial_space()
        new = self.oracle.get_space()
        super().reload()
        if self.hypermodel is not None:
            only_build = self._fits_as_usual() and (
                type(self).run_trial is TrialExecution.run_trial
            )
            requested = self._requested if only_build else None
            adopt_space(new, self.oracle, self.project_dir, requested)

    def _populate_initial_space(self) -> None:
        # keras-tuner calls this before it uses or reloads the oracle.
        make_crash_safe(self.oracle)
        super()._populate_initial_space()

    def _requested(self, values: Mapping[str, Any]) -> Any:
        """Return the space that a build with these values requests."""
        space = keras_tuner.HyperParameters()
        space.values = dict(values)
        self.hypermodel.build(space)
        return space

    def _nothing_left(self) -> str:
        done = len(self.oracle.end_order)
        ways = "Pass `overwrite=True` to begin anew."
        if done == self.oracle.max_trials:
            ways = f"Raise `max_trials` to continue. {ways}"
        best = self._best_trial_text()
        return f"Nothing is left to try after {_trials(done)}. {best} {ways}"

    def _best_trial_text(self) -> str:
        best = self._tracker.best_trial() if self._tracker else None
        if best is None:
            return "No trial has a score."
        name = self.oracle.objective.name
        return f"The best is trial {best.trial_id}, {name} {best.score:.4f}."

    def _quiet(self, fit_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keep `fit` silent by default.

        A user's `HyperModel.fit` may set `verbose` itself, and must not get
        it twice.
        """
        if self._fits_as_usual():
            return {"verbose": 0, **fit_kwargs}
        return fit_kwargs

    def _fits_as_usual(self) -> bool:
        own_fit = getattr(type(self.hypermodel), "fit", None)
        return own_fit is keras_tuner.HyperModel.fit


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"
