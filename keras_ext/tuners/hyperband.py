"""Hyperband, recorded in MLflow."""

from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_ext.tuners.resuming import LastState
from keras_ext.tuners.tracked_tuner import TrackedTuner


class Hyperband(TrackedTuner, keras_tuner.Hyperband):
    """keras-tuner's `Hyperband`, recorded in MLflow, and mended.

    It begins many trials with few epochs and goes on with the best ones
    (Li et al., 2018, https://jmlr.org/papers/v18/16-558.html). A promoted
    trial is a trial of its own, which goes on from the state in which the
    training of the other one ended, optimizer included; keras-tuner's goes on
    from the weights of the best epoch, and its optimizer begins anew. Failed
    trials cost no promotions, and `best_step` counts from the first epoch.

    Args:
        *args: See `keras_tuner.Hyperband`: `hypermodel`, `objective`,
            `max_epochs`, `factor`, `hyperband_iterations`, `seed`, ….
            `hyperband_iterations` may be raised when a search is resumed.
        **kwargs: See there, and `TrackedTuner`.
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
            if not path.exists():  # its `fit` is somebody's own
                path = Path(self._get_checkpoint_fname(promoted))
            self.load_weights(model, promoted, path)
        return model

    def _last_state(self, trial_id: str) -> Path:
        name = f"last_{self.execution}.weights.h5"
        return Path(self.get_trial_dir(trial_id), name)
