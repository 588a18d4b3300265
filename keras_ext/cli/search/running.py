"""Runs a search, with keras-tuner and MLflow."""

import contextlib
import io
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_ext import tuners
from keras_ext.cli.search import folders, processes
from keras_ext.cli.search.definition import (
    CLASSES,
    REGRESSION,
    Data,
    Definition,
    Split,
    Task,
)
from keras_ext.cli.search.hypermodel import SearchModel, search_seed
from keras_ext.cli.search.report import Report
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


@dataclass
class Search:
    """One search.

    Attributes:
        definition: The search's definition.
        data: The data.
        settings: The search's settings.
        program: How the user calls the command.
        time_budget: Seconds after which no trial begins, or `None`.
        trials_per_process: Number of trials after which a new process
            continues, or `None`.
        began: The time when the first process began the search, by
            `time.monotonic`; `None` before that.
        paused_in: The search's folder, if a new process has to continue.
    """

    definition: Definition
    data: Data
    settings: Settings
    program: str
    time_budget: float | None = None
    trials_per_process: int | None = None
    began: float | None = None
    paused_in: Path | None = None

    def reachable_store(self, given: str | None) -> str:
        """Return the URI of an MLflow store that answers.

        The settings keep the URI without credentials. A resumed search must
        get the same store again. `given` is `--tracking-uri`.

        Raises:
            UsageError: The store does not answer, or is not the search's.
        """
        began_with = self.settings.tracking_uri
        variable = os.environ.get("MLFLOW_TRACKING_URI")
        store = given or variable or DEFAULT_STORE
        if began_with is not None and redact(store) != began_with:
            logged = f"the search is logged to {began_with!r}; "
            if given:
                raise UsageError(
                    f"{logged}it cannot be resumed in {redact(given)!r}"
                )
            store = began_with
            if "***" in store:
                raise UsageError(
                    f"{logged}its credentials are not stored: pass "
                    "--tracking-uri again"
                )
        path = store.removeprefix("sqlite:///")
        if began_with is not None and path != store and not Path(path).exists():
            raise UsageError(
                f"the search is logged to {store!r}, which is gone"
            )
        self.settings.tracking_uri = redact(store)
        # TensorFlow warns of retracing, because a search has many models.
        # MLflow logs each step of making a database.
        for name in ("tensorflow", "alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            connect(store)
        except (TrackingError, ImportError) as error:
            raise UsageError(str(error)) from error
        return store

    def run_new(self, store: str, directory: Path) -> int:
        """Run a new search in its own folder; return the exit status."""
        folder = folders.create(directory, self.settings)
        try:
            return self.run(store, folder)
        finally:
            folders.discard_if_unused(directory, folder)

    def run(self, store: str, folder: Path) -> int:
        """Run the search of a folder, or the rest; return the exit status."""
        settings = self.settings
        report = Report(settings, self.data, folder, self.program)
        with folders.locked(folder):
            settings.save(folder)
            try:
                tuner = self.tuner(store, folder)
            except ImportError as error:
                raise UsageError(str(error)) from error
            if self.began is None:
                print(report.opening(), flush=True)
            try:
                self.search(tuner)
            except KeyboardInterrupt:
                if tuner.run_id is None:
                    # The search has not begun: nothing can be resumed.
                    raise
                print(report.unfinished(tuner.trial_rows(), "Interrupted"))
                return 130
            except TrackingError as error:
                raise UsageError(str(error)) from error
            if tuner.is_paused:
                self.paused_in = folder
                return 0
            rows = tuner.trial_rows()
            if tuner.is_out_of_time:
                print(report.unfinished(rows, "The time is up"))
                return 0
            scores = self._test(tuner)
            settings.finished = True
            settings.save(folder)
        model_id = self._model_id(tuner)
        print(report.finished(rows, scores, tuner.run_id, model_id))
        return 0

    def tuner(self, store: str, folder: Path, **options: Any) -> Any:
        """Return the tuner of a new or a resumed search."""
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
            # Enough iterations: the number of trials ends the search.
            options["max_epochs"] = settings.epochs
            options["hyperband_iterations"] = settings.trials
        else:
            options["max_trials"] = settings.trials
        # keras-tuner prints its folder, which the opening line has, too.
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
        """Run the trials."""
        x, y = self.data.train.x, self._targets(self.data.train)
        validation: Any = (
            self.data.validation.x,
            self._targets(self.data.validation),
        )
        if self.settings.cross_validation:
            x, y = map(np.concatenate, zip((x, y), validation, strict=True))
            validation = None
        tuner.began = self.began
        self.began = self.began or time.monotonic()
        tuner.search(
            x, y, epochs=self.settings.epochs, validation_data=validation
        )

    def _test(self, tuner: Any) -> dict[str, float]:
        """Return and log the best model's metrics on the test rows.

        Log the preparation of the inputs, too.
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
        # Without an answer of the store the command still prints the results.
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
    """Return a subclass that sets `trial` of its hypermodel."""

    class Numbering(kind):
        """The tuner of a ready search."""

        _prints_best = False  # The report prints the best trial.

        def on_search_begin(self) -> None:
            super().on_search_begin()
            # From now on a Ctrl-C ends the search's runs.
            processes.allow_interrupts()

        def on_trial_begin(self, trial: Any) -> None:
            self.hypermodel.trial = int(trial.trial_id)
            super().on_trial_begin(trial)

    # MLflow shows the name.
    Numbering.__name__ = kind.__name__
    return Numbering
