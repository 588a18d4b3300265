"""Random search, tracked in MLflow."""

from collections.abc import Mapping
from typing import Any

import keras_tuner

from keras_ext.tuners.tracked_tuner import TrackedTuner


class RandomSearch(TrackedTuner, keras_tuner.RandomSearch):
    """keras-tuner's `RandomSearch`, tracked in MLflow.

    Each trial draws every hyperparameter independently of the others, from
    the distribution that its `sampling` names. `keras_ext.tuners.TrackedTuner`
    documents what is logged and how to resume a search.

    Args:
        hypermodel: A function of the hyperparameters that returns a compiled
            model, or a `keras_tuner.HyperModel`.
        objective: Name of the metric to optimize, a `keras_tuner.Objective`,
            or a list of them.
        max_trials: Number of trials. Defaults to `10`.
        seed: Seed of the draws, `None` for a random one. `0` is a valid seed.
            keras-tuner adds 1 for each value that it draws, so neighbouring
            seeds share most of their trials: to repeat a search
            independently, use seeds that lie far apart.
        hyperparameters: A `keras_tuner.HyperParameters` that overrides or
            registers hyperparameters beforehand.
        tune_new_entries: Whether to search hyperparameters that
            `hyperparameters` does not name. Defaults to `True`.
        allow_new_entries: Whether the hypermodel may request such
            hyperparameters. Defaults to `True`.
        max_retries_per_trial: How often to retry a failed trial. Defaults to
            `0`.
        max_consecutive_failed_trials: After this many failed trials in a row
            the search fails. Defaults to `3`.
        experiment: Name of the MLflow experiment. Defaults to
            `project_name`.
        tracking_uri: The MLflow store. Defaults to MLflow's own setting.
        run_name: Name of the search's run. Defaults to `project_name`.
        tags: Further tags of the search's run.
        stop_unhealthy: Whether to end hopeless trials. Defaults to `False`.
        **kwargs: The other arguments of `TrackedTuner` (`pruner`,
            `cross_validation`, `log_models`, `resume_trials`, …) and of
            `keras_tuner.Tuner` (`directory`, `project_name`, `overwrite`,
            `executions_per_trial`, …).

    Example:
    >>> import keras, keras_ext, numpy as np, tempfile
    >>> def build(hp):
    ...     width = hp.Int("width", 2, 16)
    ...     model = keras.Sequential(
    ...         [keras.layers.Dense(width, "relu"), keras.layers.Dense(1)]
    ...     )
    ...     model.compile("adam", "mse")
    ...     return model
    >>> folder = tempfile.TemporaryDirectory()
    >>> tuner = keras_ext.tuners.RandomSearch(
    ...     build, "val_loss", max_trials=2, seed=0, directory=folder.name,
    ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db",
    ...     experiment="demo",
    ... )
    >>> x, y = np.ones((32, 2)), np.ones((32, 1))
    >>> tuner.search(x, y, validation_split=0.5, verbose=0)
    >>> run = tuner.client.get_run(tuner.run_id)
    >>> run.info.status, run.data.params["max_trials"]
    ('FINISHED', '2')
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 10,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        stop_unhealthy: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            hypermodel=hypermodel,
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            experiment=experiment,
            tracking_uri=tracking_uri,
            run_name=run_name,
            tags=tags,
            stop_unhealthy=stop_unhealthy,
            **kwargs,
        )
        self.seed = seed
