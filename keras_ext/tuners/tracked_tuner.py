"""A mixin that records a keras-tuner search in MLflow."""

import inspect
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from keras_ext.tracking import redact
from keras_ext.tuners.crash_safety import write_whole
from keras_ext.tuners.cross_validation import Folds, check_cross_validation
from keras_ext.tuners.interrupts import Interrupts
from keras_ext.tuners.memory import (
    TRIALS_BETWEEN,
    forget_programs,
    quick_collections,
)
from keras_ext.tuners.oracles import make_crash_safe
from keras_ext.tuners.progress import Progress, opened_by
from keras_ext.tuners.pruning import Pruner, get_pruner
from keras_ext.tuners.pruning.search_pruning import SearchPruning
from keras_ext.tuners.samples import InputSource
from keras_ext.tuners.search_params import SEED_FOR_ZERO, search_params
from keras_ext.tuners.search_run import SearchRun
from keras_ext.tuners.search_space import adopt_space
from keras_ext.tuners.search_tracker import SearchTracker
from keras_ext.tuners.trial_execution import TrialExecution
from keras_ext.tuners.validation import (
    check_same_search,
    too_many_failures,
)


class _OutOfTime(Exception):
    """Ends keras-tuner's loop over trials."""


class _Paused(Exception):
    """Ends it, too; another call goes on."""


class TrackedTuner(TrialExecution):
    """Mixin that records a search in MLflow, one run per trial.

    Put it before a tuner, one of keras-tuner's or one of your own:
    `class MyTuner(TrackedTuner, keras_tuner.BayesianOptimization)`.

    **The search** has a parent run: the search space
    (`search_space.json`), the settings as parameters, the best score so far
    (`best/<objective>`, the step being the number of finished trials), and at
    the end the table of trials (`trials.csv`), figures of it
    (`parallel_coordinates.png`, `optimization_history.png`,
    `parameter_importance.png`, `trial_health.png`),
    the tag `best_trial` and the best model as the logged model `best_model`.

    **Each trial** has a child run (`trial <id>`): each active hyperparameter
    under its own name, the metrics of every epoch with the epoch as step,
    gradient norms and dead ReLU ratios per layer, `gradient_norms.png`, and
    the metrics `score` and `duration` (seconds). Its status is `FINISHED`;
    `FAILED`, with the artifact `traceback.txt` and the tag `exception`; or
    `KILLED`; the tag `reason` says why. With several executions per trial
    each has a run of its own below the trial's, and the trial's run gets the
    mean over the executions for each epoch.

    `GradientNormLogger` and `DeadReLULogger` are added to every fit, unless
    `search(callbacks=...)` has its own.

    **Pruned** trials (`stop_unhealthy`, `pruner`) end before their last
    epoch, their run with the status `KILLED` and a `reason` such as `pruned:
    vanishing_gradient in dense_3 (epoch 4)`; epochs count from 0. For the
    oracle they are completed trials: not tried again, no failures, and their
    score is the best value of the objective that they came to. One that came
    to none has the score of the worst other trial. With several executions or
    folds a trial is judged in each, and pruned as a whole.

    **Cross-validated** trials (`cross_validation`) train a new model on each
    fold, with runs of their own (`fold 0`, ...) below the trial's, and their
    score is the mean over the folds of the objective's best value; its
    standard deviation is the metric `score_std`. The folds are those of
    scikit-learn's `check_cv`: stratified for a number of folds and targets
    that are classes, never shuffled unless the splitter does so, and the same
    for all trials; give a splitter that shuffles a `random_state`, or a
    resumed search gets other folds. `search` takes arrays then, `groups=` if
    the splitter wants them, and no validation data. With
    `executions_per_trial` each fold is trained so often. No model is refitted
    on all rows: `get_best_models` returns the model of the best fold.

    **Interrupted** by Ctrl-C or an error, the search ends its runs
    truthfully, writes the table so far, and raises. Made again with the same
    `directory` and `project_name` and without `overwrite`, it goes on in the
    same parent run: finished trials are not repeated, what a crash left
    running is set to `KILLED`, and the interrupted trial is tried again in a
    new child run (tag `attempt`).

    **In the terminal** there are two lines per trial in place of
    keras-tuner's tables. `search` without `verbose` keeps `fit` silent;
    `verbose=1` or `2` shows the output of `fit` too, `verbose=0` nothing.

    MLflow's global state (tracking URI, active run) is not touched.

    Attributes:
        began: When the search began, by `time.monotonic`, if that was in
            another process: the time budget and the time in the terminal
            count from it. Defaults to `None`: with the call of `search`.

    Args:
        *args: The tuner's positional arguments.
        experiment: Name of the MLflow experiment. Defaults to
            `project_name`.
        tracking_uri: The MLflow store. Defaults to MLflow's own setting.
        run_name: Name of the parent run. Defaults to `project_name`.
        tags: Further tags of the parent run.
        stop_unhealthy: Whether a trial ends as soon as the doctor is sure
            that it is hopeless: NaN, gradients that explode or vanish, dead
            units, identical units, without progress. Defaults to `False`.
        pruner: What ends trials that fall behind the others: `"median"`
            (`MedianPruner`), `"asha"` (`ASHAPruner`), a `Pruner` or `None`.
            Defaults to `None`.
        cross_validation: A number of folds or a scikit-learn splitter, by
            which each trial is scored. Defaults to `None`.
        log_models: `"best"` logs the best model of the search in the search's
            run, `"all"` each trial's in its run, too; `None` logs none.
            Defaults to `"best"`.
        resume_trials: Whether a trial that was torn off goes on after its
            last whole epoch, with weights, optimizer state and records; it
            costs the writing of a checkpoint in each epoch. What callbacks
            keep to themselves, and the order of the data, begin anew.
            Defaults to `False`: it is trained from its first epoch.
        time_budget: Seconds of a call of `search` after which no trial
            begins. The search ends like any other, `is_out_of_time` says
            why, and made again it goes on. Defaults to `None`: no limit.
        trials_per_call: Number of trials of a call of `search` after which
            none begins. The search's run stays open, without figures and
            best model; `is_paused` says so, and made again the search goes
            on. A new process for every few trials gives back the memory that
            backends keep. Defaults to `None`: no limit.
        **kwargs: The tuner's keyword arguments. `seed=0` is a seed like any
            other here, while keras-tuner draws a random one for it.
    """

    began: float | None = None
    # Whether the search tells in the end what was best, and where to see it.
    _tells_best = True

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
        self._interrupts = Interrupts()
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
            One dict per trial, in the order in which they began: `trial`,
            `status`, `score`, every hyperparameter, `min_grad_norm`,
            `dead_relu`, `duration`. Empty before `search`.
        """
        return self._tracker.rows() if self._tracker else []

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search, as keras-tuner does, and record it.

        Args:
            *fit_args: Passed to `fit`.
            **fit_kwargs: Passed to `fit`; with `cross_validation` also
                `groups`, the group of each row.

        Raises:
            ValueError: If `cross_validation` cannot split the data.
            keras_ext.tracking.TrackingError: If the MLflow store does not
                answer; nothing was trained then.
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
                    progress.say(self._nothing_left())
                if self.log_models is not None:
                    self._tracker.log_best_model(
                        lambda: self.get_best_models(1)[0], inputs
                    )
        except BaseException as error:
            self._tracker.break_off(error)
            raise
        self._tracker.end()
        if self._begun and self._tells_best:
            store = redact(self._run.client.tracking_uri)
            where = f"See the search in MLflow: {opened_by(store)}"
            progress.say(f"{self._told_best()}{where}")

    def on_search_begin(self) -> None:
        """Silence keras-tuner's tables; make even the first trial resumable."""
        super().on_search_begin()
        self.oracle.verbose = 0
        self.save()

    def pre_create_trial(self) -> None:
        """Let no trial begin once the time is up, or enough have begun."""
        super().pre_create_trial()
        if len(self.oracle.end_order) == self.oracle.max_trials:
            return
        if time.monotonic() >= self._deadline:
            raise _OutOfTime
        if self._begun >= (self.trials_per_call or math.inf):
            raise _Paused

    def on_trial_begin(self, trial: Any) -> None:
        """Begin the trial's run.

        Args:
            trial: A `keras_tuner` trial.
        """
        super().on_trial_begin(trial)
        self._begun += 1
        if self._tracker:
            done = len(self.oracle.end_order)
            if done and self._begun == 1 and self._tells_best:
                told = f"Goes on after {_trials(done)}. {self._told_best()}"
                self._tracker.progress.say(told.rstrip())
            self._tracker.begin_trial(trial, self._models_per_trial())
        self._interrupts.check()

    def on_trial_end(self, trial: Any) -> None:
        """Score the trial and end its run.

        Args:
            trial: A `keras_tuner` trial.
        """
        try:
            super().on_trial_end(trial)
        except Exception as error:
            # The oracle gives up after too many failures in a row.
            if not self._run or not self._tracker:
                raise
            self._tracker.end_trial()
            if not isinstance(error, RuntimeError):
                raise
            raise too_many_failures(
                self.oracle.max_consecutive_failed_trials,
                trial.trial_id,
                self._run.state.trials[trial.trial_id].reason or "no score",
            ) from None
        if self._pruning:
            self._pruning.rescore(self.get_trial_dir)
        if self._tracker:
            if self.log_models == "all" and self._inputs:
                self._tracker.log_trial_model(
                    lambda: self.load_model(trial), self._inputs
                )
            self._tracker.end_trial()
        if len(self.oracle.end_order) % TRIALS_BETWEEN == 0:
            forget_programs()

    def save(self) -> None:
        """Save the search, so that a crash leaves it whole."""
        self.oracle.save()
        write_whole(self._get_tuner_fname(), self.get_state())

    def reload(self) -> None:
        """Read the search that was begun in the project directory.

        Raises:
            ValueError: If its trials have values that the hypermodel does
                not ask for.
        """
        # keras-tuner does not compare the stored space with the hypermodel's.
        self._populate_initial_space()
        asked = self.oracle.get_space()
        super().reload()
        if self.hypermodel is not None:
            only_build = self._fits_as_usual() and (
                type(self).run_trial is TrialExecution.run_trial
            )
            asks = self._asked_for if only_build else None
            adopt_space(asked, self.oracle, self.project_dir, asks)

    def _populate_initial_space(self) -> None:
        # keras-tuner calls this before it uses or reloads the oracle.
        make_crash_safe(self.oracle)
        super()._populate_initial_space()

    def _asked_for(self, values: Mapping[str, Any]) -> Any:
        """Return the space that a build with these values asks for."""
        space = keras_tuner.HyperParameters()
        space.values = dict(values)
        self.hypermodel.build(space)
        return space

    def _nothing_left(self) -> str:
        done = len(self.oracle.end_order)
        if done == self.oracle.max_trials:
            ways = "A higher `max_trials` goes on, `overwrite=True` begins anew"
        else:
            ways = "`overwrite=True` begins anew"
        told = self._told_best()
        return f"Nothing is left to try after {_trials(done)}. {told}{ways}."

    def _told_best(self) -> str:
        best = self._tracker.best_trial() if self._tracker else None
        if best is None:
            return "No trial has a score. "
        name = self.oracle.objective.name
        return f"The best is trial {best.trial_id}, {name} {best.score:.4f}. "

    def _quiet(self, fit_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keep `fit` silent if not told otherwise.

        A `HyperModel` with a `fit` of its own may set `verbose` itself, and
        must not get it twice.
        """
        if self._fits_as_usual():
            return {"verbose": 0, **fit_kwargs}
        return fit_kwargs

    def _fits_as_usual(self) -> bool:
        own_fit = getattr(type(self.hypermodel), "fit", None)
        return own_fit is keras_tuner.HyperModel.fit


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"
