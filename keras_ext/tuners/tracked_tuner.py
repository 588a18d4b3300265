"""A mixin that records a keras-tuner search in MLflow."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.tuner import maybe_distribute

from keras_ext.tuners.garbage import quick_collections
from keras_ext.tuners.interrupts import InterruptCheck, Interrupts
from keras_ext.tuners.monitoring import callbacks_of_an_execution
from keras_ext.tuners.progress import Progress
from keras_ext.tuners.samples import InputSource
from keras_ext.tuners.search_recorder import SearchRecorder
from keras_ext.tuners.search_run import SearchRun

# keras-tuner takes 0 for "no seed"; this number stands in for it. It is far
# from other seeds because keras-tuner counts upwards from its seed.
_SEED_FOR_ZERO = 2**31 - 1


class TrackedTuner(keras_tuner.Tuner):
    """Mixin that records a search in MLflow, one run per trial.

    Put it before a tuner, one of keras-tuner's or one of your own:
    `class MyTuner(TrackedTuner, keras_tuner.BayesianOptimization)`.

    **The search** has a parent run: the search space
    (`search_space.json`), the settings as parameters, the best score so far
    (`best/<objective>`, the step being the number of finished trials), and at
    the end the table of trials (`trials.csv`), `parallel_coordinates.png`,
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

    Args:
        *args: The tuner's positional arguments.
        experiment: Name of the MLflow experiment. Defaults to
            `project_name`.
        tracking_uri: The MLflow store. Defaults to MLflow's own setting.
        run_name: Name of the parent run. Defaults to `project_name`.
        tags: Further tags of the parent run.
        stop_unhealthy: Must be `False` for now.
        **kwargs: The tuner's keyword arguments. `seed=0` is a seed like any
            other here, while keras-tuner draws a random one for it.
    """

    def __init__(
        self,
        *args: Any,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        stop_unhealthy: bool = False,
        **kwargs: Any,
    ):
        if stop_unhealthy:
            raise NotImplementedError(
                "`stop_unhealthy` must be False: stopping unhealthy trials "
                "is not available yet. Received: "
                f"stop_unhealthy={stop_unhealthy!r}"
            )
        if kwargs.get("seed") == 0:
            kwargs["seed"] = _SEED_FOR_ZERO
        super().__init__(*args, **kwargs)
        self.experiment = experiment or self.project_name
        self.tracking_uri = tracking_uri
        self.run_name = run_name or self.project_name
        self.tags = dict(tags or {})
        self.stop_unhealthy = stop_unhealthy
        self._interrupts = Interrupts()
        self._run: SearchRun | None = None
        self._recorder: SearchRecorder | None = None

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
            `status`, `score`, every hyperparameter, `worst_grad_norm`,
            `dead_relu`, `duration`. Empty before `search`.
        """
        return self._recorder.rows() if self._recorder else []

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search, as keras-tuner does, and record it.

        Args:
            *fit_args: Passed to `fit`.
            **fit_kwargs: Passed to `fit`.

        Raises:
            keras_ext.tracking.TrackingError: If the MLflow store does not
                answer; nothing was trained then.
        """
        if os.environ.get("KERASTUNER_ORACLE_IP"):
            raise NotImplementedError(
                "Searches with several workers (KERASTUNER_ORACLE_IP) are not "
                "tracked yet."
            )
        progress = Progress(
            self.oracle.max_trials, shown=fit_kwargs.get("verbose") != 0
        )
        self._run = SearchRun(
            Path(self.project_dir),
            self.experiment,
            self.tracking_uri,
            self.run_name,
            self.tags,
        )
        self._recorder = SearchRecorder(self, self._run, progress)
        try:
            inputs = InputSource(fit_args, self._quiet(fit_kwargs))
            self._recorder.begin(self._settings(fit_kwargs))
            with self._interrupts, quick_collections():
                super().search(*inputs.fit_args, **inputs.fit_kwargs)
                self._recorder.log_best_model(
                    lambda: self.get_best_models(1)[0], inputs
                )
        except BaseException as error:
            self._recorder.break_off(error)
            raise
        self._recorder.end()

    def on_search_begin(self) -> None:
        """Silence keras-tuner's tables; make even the first trial resumable."""
        super().on_search_begin()
        self.oracle.verbose = 0
        self.save()

    def on_trial_begin(self, trial: Any) -> None:
        """Begin the trial's run.

        Args:
            trial: A `keras_tuner` trial.
        """
        super().on_trial_begin(trial)
        if self._recorder:
            self._recorder.begin_trial(trial)
        self._interrupts.check()

    def on_trial_end(self, trial: Any) -> None:
        """Score the trial and end its run.

        Args:
            trial: A `keras_tuner` trial.
        """
        try:
            super().on_trial_end(trial)
        except Exception:
            # The oracle gives up after too many failures in a row.
            if self._recorder:
                self._recorder.end_trial()
            raise
        if self._recorder:
            self._recorder.end_trial()

    def load_model(self, trial: Any) -> Any:
        """Load a trial's model, as it was after its best epoch.

        keras-tuner loads the weights before the optimizer is built, and so
        leaves the optimizer's state out; here it is loaded, too.

        Args:
            trial: A `keras_tuner` trial.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for")
            model = super().load_model(trial)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            with maybe_distribute(self.distribution_strategy):
                optimizer.build(model.trainable_variables)
                model.load_weights(self._get_checkpoint_fname(trial.trial_id))
        return model

    # From here on: methods of keras-tuner that it keeps to itself. It has not
    # changed them since 2023.

    def _run_and_update_trial(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        try:
            super()._run_and_update_trial(trial, *args, **kwargs)
        except Exception as error:
            # Some libraries catch Ctrl-C and raise something else.
            self._interrupts.check()
            # keras-tuner keeps nothing but the traceback.
            if self._run and self._run.trial:
                self._run.trial.failed(error)
            raise

    def _build_and_fit_model(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> Any:
        run = self._run and self._run.trial
        if not run:
            return super()._build_and_fit_model(trial, *args, **kwargs)
        run_id, recorder = run.begin_execution()
        kwargs["callbacks"] = callbacks_of_an_execution(
            kwargs.get("callbacks") or [], run.client, run_id, recorder
        )
        kwargs["callbacks"].append(InterruptCheck(self._interrupts))
        results = super()._build_and_fit_model(trial, *args, **kwargs)
        self._interrupts.check()
        run.end_execution("FINISHED")
        return results

    def _configure_tensorboard_dir(
        self, callbacks: list[Any], trial: Any, execution: int = 0
    ) -> None:
        # keras-tuner imports tensorboard, which TensorFlow no longer
        # installs, whether it is used or not.
        if any(isinstance(c, keras.callbacks.TensorBoard) for c in callbacks):
            super()._configure_tensorboard_dir(callbacks, trial, execution)

    def _quiet(self, fit_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keep `fit` silent if not told otherwise.

        A `HyperModel` with a `fit` of its own may set `verbose` itself, and
        must not get it twice.
        """
        own_fit = getattr(type(self.hypermodel), "fit", None)
        if own_fit is keras_tuner.HyperModel.fit:
            return {"verbose": 0, **fit_kwargs}
        return fit_kwargs

    def _settings(self, fit_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        settings = {
            "tuner": type(self).__name__,
            "objective": self.oracle.objective.name,
            "direction": self.oracle.objective.direction,
            "executions_per_trial": self.executions_per_trial,
            **_scalars(vars(self.oracle)),
            **{f"fit/{k}": v for k, v in _scalars(fit_kwargs).items()},
        }
        if settings["seed"] == _SEED_FOR_ZERO:
            settings["seed"] = 0
        return settings


def _scalars(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a parameter can hold."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, bool | int | float | str)
        and not name.startswith("_")
        and name not in ("verbose", "multi_worker", "should_report")
    }
