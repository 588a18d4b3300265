"""Search with Optuna's samplers, tracked in MLflow."""

from typing import Any

import keras_tuner

from keras_ext.tuners.optuna_oracle import OptunaOracle
from keras_ext.tuners.tracked_tuner import TrackedTuner


class OptunaSearch(TrackedTuner, keras_tuner.Tuner):
    """Search that learns from its trials, with one of Optuna's samplers.

    The default sampler, TPE, models the regions of good and of bad trials,
    with all hyperparameters together, and tries values that are likely among
    the good ones. A hyperparameter in a `conditional_scope` is modelled where
    it is active, and left out of the other trials. Failed trials are left out
    of the model and never tried again. `keras_ext.tuners.TrackedTuner`
    documents what is logged and how to resume a search. A resumed search
    suggests the same values as an undisturbed one.

    | `sampler` | is good at | needs |
    |---|---|---|
    | `"tpe"` | all spaces, conditional ones too; the default | |
    | `"gp"` | few trials, numbers; slow after some hundreds | scipy, torch |
    | `"cmaes"` | many trials, numbers; TPE samples the categories | cmaes |
    | `"nsga2"` | several objectives and many trials | |
    | `"random"` | comparisons with the others | |

    Args:
        hypermodel: A function of the hyperparameters that returns a compiled
            model, or a `keras_tuner.HyperModel`.
        objective: Name of the metric to optimize, a `keras_tuner.Objective`,
            or a list of them. With several, the sampler uses each value,
            keras-tuner's `score` is their sum (objectives to maximize are
            subtracted), and `oracle.pareto_trials()` returns the trials that
            no other trial beats in all objectives.
        max_trials: Number of trials. Defaults to `10`.
        seed: Seed of the suggestions, `None` for a random one. `0` is a valid
            seed.
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
        sampler: One of the names above, or an `optuna.samplers.BaseSampler`.
            In a resumed search, the latter starts in the state in which it is
            passed. Defaults to `"tpe"`.
        n_startup_trials: Number of random trials before the sampler uses its
            model; for `"nsga2"` the size of a generation. Defaults to
            Optuna's number: 10 for `"tpe"` and `"gp"`, 1 for `"cmaes"`, 50
            for `"nsga2"`.
        avoid_duplicates: Whether to try no values twice; the search ends when
            all values were tried. Defaults to `True`.
        **kwargs: The arguments of `TrackedTuner` (`experiment`,
            `tracking_uri`, …) and of `keras_tuner.Tuner` (`directory`,
            `project_name`, `overwrite`, …).

    Raises:
        ImportError: If Optuna or a package of the sampler is missing.
        ValueError: If an argument is invalid.

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
    >>> tuner = keras_ext.tuners.OptunaSearch(
    ...     build, "val_loss", max_trials=2, seed=0, directory=folder.name,
    ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db",
    ...     experiment="demo",
    ... )
    >>> x, y = np.ones((32, 2)), np.ones((32, 1))
    >>> tuner.search(x, y, validation_split=0.5, verbose=0)
    >>> run = tuner.client.get_run(tuner.run_id)
    >>> run.info.status, run.data.params["sampler"]
    ('FINISHED', 'tpe')
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
        sampler: Any = "tpe",
        n_startup_trials: int | None = None,
        avoid_duplicates: bool = True,
        **kwargs: Any,
    ):
        oracle = OptunaOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            sampler=sampler,
            n_startup_trials=n_startup_trials,
            avoid_duplicates=avoid_duplicates,
        )
        super().__init__(oracle=oracle, hypermodel=hypermodel, **kwargs)
        self.seed = oracle.seed
