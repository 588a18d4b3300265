"""Hyperband, tracked in MLflow."""

from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_ext.tuners.resuming import LastState
from keras_ext.tuners.tracked_tuner import TrackedTuner


class Hyperband(TrackedTuner, keras_tuner.Hyperband):
    """keras-tuner's `Hyperband`, tracked in MLflow and fixed.

    It begins many trials with few epochs and continues the best ones (Li et
    al., 2018, https://jmlr.org/papers/v18/16-558.html). A promoted trial is a
    new trial. It continues from the state in which the other trial's training
    ended, optimizer included; keras-tuner's own continues from the weights of
    the best epoch with a new optimizer. Failed trials cost no promotions, and
    `best_step` counts from the first epoch.

    Args:
        *args: The arguments of `keras_tuner.Hyperband`: `hypermodel`,
            `objective`, `max_epochs`, `factor`, `hyperband_iterations`,
            `seed`, …. A resumed search may raise `hyperband_iterations`.
        **kwargs: The same by name, and those of `TrackedTuner`.

    Example:
    >>> import keras, keras_ext, numpy as np, tempfile
    >>> def build(hp):
    ...     model = keras.Sequential([keras.layers.Dense(1)])
    ...     rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> folder = tempfile.TemporaryDirectory()
    >>> tuner = keras_ext.tuners.Hyperband(
    ...     build, "val_loss", max_epochs=2, factor=2, seed=0,
    ...     directory=folder.name,
    ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db",
    ... )
    >>> x, y = np.ones((32, 2)), np.ones((32, 1))
    >>> tuner.search(x, y, validation_split=0.5, verbose=0)
    >>> {row["status"] for row in tuner.trial_rows()}
    {'FINISHED'}
    """

    def _build_and_fit_model(
        self, trial: Any, *args: Any, **kwargs: Any
    ) -> Any:
        keeper = LastState(self._last_state(trial.trial_id))
        kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), keeper]
        return super()._build_and_fit_model(trial, *args, **kwargs)

    def _build_hypermodel(self, hp: Any) -> keras.Model:
        # Not keras-tuner's `Hyperband`, which loads the weights alone.
        model = super(keras_tuner.Hyperband, self)._build_hypermodel(hp)
        promoted = hp.values.get("tuner/trial_id")
        if promoted is not None:
            path = self._last_state(promoted)
            if not path.exists():  # the user's `fit` skipped the callback
                path = Path(self._get_checkpoint_fname(promoted))
            self._load_state(model, promoted, path)
        return model

    def _last_state(self, trial_id: str) -> Path:
        name = f"last_{self._execution}.weights.h5"
        return Path(self.get_trial_dir(trial_id), name)
