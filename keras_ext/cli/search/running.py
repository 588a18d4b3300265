"""Running a search: what needs keras-tuner and MLflow."""

import contextlib
import io
import logging
import os
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_ext import tuners
from keras_ext.cli.search import folders, processes, report
from keras_ext.cli.search.definition import (
    CLASSES,
    REGRESSION,
    Data,
    Definition,
    Split,
    Task,
)
from keras_ext.cli.search.hypermodel import SearchModel, search_seed
from keras_ext.cli.search.settings import OBJECTIVES, Settings
from keras_ext.cli.usage import UsageError
from keras_ext.tracking import TrackingError, connect, redact

DEFAULT_STORE = "sqlite:///mlflow.db"

_TUNERS: dict[str, Any] = {
    "random": tuners.RandomSearch,
    "grid": tuners.GridSearch,
    "bayesian": tuners.BayesianOptimization,
    "hyperband": tuners.Hyperband,
    "optuna": tuners.OptunaSearch,
}


class Search:
    """One search.

    Args:
        definition: What is searched.
        data: What is learnt.
        settings: What was asked for.
        program: How the command is called.
        time_budget: Seconds after which no trial begins, or `None`.
        trials_per_process: Number of trials after which another process is to
            go on, or `None`.
        began: When the first process began it, by `time.monotonic`; `None` if
            this is the first one.

    Attributes:
        began: When the search began; `None` before it.
        paused_in: The search's folder, if another process is to go on.
    """

    def __init__(
        self,
        definition: Definition,
        data: Data,
        settings: Settings,
        program: str,
        time_budget: float | None = None,
        trials_per_process: int | None = None,
        began: float | None = None,
    ):
        self.definition = definition
        self.data = data
        self.settings = settings
        self.program = program
        self.time_budget = time_budget
        self.trials_per_process = trials_per_process
        self.began = began
        self.paused_in: Path | None = None
        # TensorFlow takes a search's many models for one that is traced again
        # and again; MLflow tells how it makes a new database.
        for name in ("tensorflow", "alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def reachable_store(self, given: str | None) -> str:
        """Return the URI of an MLflow store that answers.

        Of the URI the settings keep what is no secret; a resumed search must
        get the same store again.

        Args:
            given: `--tracking-uri`.

        Raises:
            UsageError: If it does not answer, or is not the search's.
        """
        began_with = self.settings.tracking_uri
        variable = os.environ.get("MLFLOW_TRACKING_URI")
        store = given or variable or DEFAULT_STORE
        if began_with is not None and redact(store) != began_with:
            if given:
                raise UsageError(
                    f"the search is recorded in {began_with!r}; it cannot be "
                    f"resumed in {redact(given)!r}"
                )
            store = began_with
            if "***" in store:
                raise UsageError(
                    f"the search is recorded in {began_with!r}; its "
                    "credentials are not kept: pass --tracking-uri again"
                )
        path = store.removeprefix("sqlite:///")
        if began_with is not None and path != store and not Path(path).exists():
            raise UsageError(f"the search is recorded in {store!r}; it is gone")
        self.settings.tracking_uri = redact(store)
        try:
            connect(store)
        except (TrackingError, ImportError) as error:
            raise UsageError(str(error)) from error
        return store

    def run_new(self, store: str, directory: Path) -> int:
        """Run a new search in a folder of its own.

        Args:
            store: The MLflow store.
            directory: Where the searches are.

        Returns:
            The exit status.
        """
        folder = folders.create(directory, self.settings)
        try:
            return self.run(store, folder)
        finally:
            folders.discard_if_unused(directory, folder)

    def run(self, store: str, folder: Path) -> int:
        """Run the search of `folder`, or what is left of it.

        Args:
            store: The MLflow store.
            folder: The search's folder.

        Returns:
            The exit status: 130 after Ctrl-C.
        """
        settings = self.settings
        told = report.Report(settings, self.data, folder, self.program)
        with folders.held(folder):
            settings.save(folder)
            try:
                tuner = self.tuner(store, folder)
            except ImportError as error:
                raise UsageError(str(error)) from error
            if self.began is None:
                print(told.opening(), flush=True)
            try:
                self.search(tuner)
            except KeyboardInterrupt:
                if tuner.run_id is None:
                    # Not even begun: there is nothing to be resumed.
                    raise
                print(told.unfinished(tuner.trial_rows(), "Interrupted"))
                return 130
            except TrackingError as error:
                raise UsageError(str(error)) from error
            if tuner.is_paused:
                self.paused_in = folder
                return 0
            rows = tuner.trial_rows()
            if tuner.is_out_of_time:
                print(told.unfinished(rows, "The time is up"))
                return 0
            scores = self._test(tuner)
            settings.finished = True
            settings.save(folder)
        print(told.finished(rows, scores, self._model_id(tuner)))
        return 0

    def tuner(self, store: str, folder: Path, **options: Any) -> Any:
        """Return the tuner, a new one or one that goes on.

        Args:
            store: The MLflow store.
            folder: The search's folder.
            **options: Passed to the tuner.
        """
        settings = self.settings
        name = settings.objective or ""
        objective = keras_tuner.Objective(name, OBJECTIVES[name])
        hyperband = settings.tuner == "hyperband"
        rows, folds = len(self.data.train.y), settings.cross_validation
        if folds:
            rows += len(self.data.validation.y)
            rows -= rows // folds
        task = Task(
            self.data.kind,
            self.data.train.x.shape[1:],
            self.data.classes,
            rows,
            settings.epochs,
            tuned_epochs=not hyperband,
        )
        model = SearchModel(self.definition, task, objective, settings.seed)
        if hyperband:
            # As often as needed: the number of trials ends the search.
            options["max_epochs"] = settings.epochs
            options["hyperband_iterations"] = settings.trials
        else:
            options["max_trials"] = settings.trials
        # keras-tuner says where it reloads from; the opening says so better.
        with contextlib.redirect_stdout(io.StringIO()):
            tuner = _numbering(_TUNERS[settings.tuner])(
                model,
                objective=objective,
                seed=search_seed(settings.seed),
                directory=str(folder.parent),
                project_name=folder.name,
                experiment=settings.experiment,
                tracking_uri=store,
                run_name=folder.name,
                tags={"dataset": settings.data_file or settings.dataset},
                stop_unhealthy=settings.stop_unhealthy,
                pruner=settings.pruner,
                cross_validation=folds,
                time_budget=self.time_budget,
                trials_per_call=self.trials_per_process,
                resume_trials=settings.resume_trials,
                **options,
            )
        tuner.oracle.max_trials = settings.trials
        return tuner

    def search(self, tuner: Any) -> None:
        """Run the trials.

        Args:
            tuner: What `tuner` returned.
        """
        train, validation = self.data.train, self.data.validation
        arguments: dict[str, Any] = {"epochs": self.settings.epochs}
        x, y = train.x, self._targets(train)
        if self.settings.cross_validation:
            x = np.concatenate([x, validation.x])
            y = np.concatenate([y, self._targets(validation)])
        else:
            arguments["validation_data"] = (
                validation.x,
                self._targets(validation),
            )
        tuner.began = self.began
        self.began = self.began or time.monotonic()
        tuner.search(x, y, **arguments)

    def _test(self, tuner: Any) -> dict[str, float]:
        """Return the metrics of the best trial's best epoch on the test rows.

        They are logged, and with them how inputs have to be prepared.
        """
        models = tuner.get_best_models(1)
        if not models:
            return {}
        scores = models[0].evaluate(
            self.data.test.x,
            self._targets(self.data.test),
            verbose=0,
            return_dict=True,
        )
        scores = {k: float(v) for k, v in scores.items() if k != "loss"}
        # The store may be away by now; the results are on the screen.
        with contextlib.suppress(Exception):
            client, run_id = tuner.client, tuner.run_id
            for name, value in scores.items():
                client.log_metric(run_id, f"best/test_{name}", value)
            client.log_dict(run_id, self.data.preparation, "preparation.json")
        return scores

    def _targets(self, part: Split) -> np.ndarray:
        if self.data.kind == CLASSES:
            return keras.utils.to_categorical(part.y, self.data.classes)
        kind = "float32" if self.data.kind == REGRESSION else "int32"
        return part.y.astype(kind)[:, None]

    def _model_id(self, tuner: Any) -> str | None:
        with contextlib.suppress(Exception):
            return tuner.client.get_run(tuner.run_id).data.tags["best_model"]
        return None


def _numbering(kind: Any) -> Any:
    """Return a subclass that tells its hypermodel which trial it builds."""

    class Numbering(kind):
        """The tuner, which sets `trial` of its hypermodel."""

        _prints_best = False  # The report does.

        def on_search_begin(self) -> None:
            super().on_search_begin()
            # From here on a Ctrl-C ends the search's runs.
            processes.allow_interrupts()

        def on_trial_begin(self, trial: Any) -> None:
            self.hypermodel.trial = int(trial.trial_id)
            super().on_trial_begin(trial)

    # The name is recorded as the tuner's.
    Numbering.__name__ = kind.__name__
    return Numbering
