"""keras-tuner's own callbacks, mended."""

import math
from typing import Any

import keras
import keras_tuner

_BATCH_HOOKS = "on_batch_begin", "on_batch_end"


def patched(callback: Any) -> Any:
    """Return what takes the place of a callback that `fit` was given.

    Args:
        callback: keras-tuner's or a person's own.
    """
    # keras-tuner does not export its callbacks.
    kind = type(callback)
    if not kind.__module__.startswith("keras_tuner."):
        return callback
    name = kind.__name__
    if name == "SaveBestEpoch":
        return BestEpochKeeper(callback)
    if name == "TunerCallback" and not _hears_batches(callback.tuner):
        return TunerEpochs(callback.tuner, callback.trial)
    return callback


class BestEpochKeeper(keras.callbacks.Callback):
    """keras-tuner's checkpoint of the best epoch, but not of any other.

    keras-tuner saves each epoch that does not report the objective, over the
    best one's weights. Here this ends with the first epoch that reports it.

    Args:
        checkpoint: keras-tuner's `SaveBestEpoch`.
    """

    def __init__(self, checkpoint: Any):
        super().__init__()
        self.checkpoint = checkpoint

    def set_model(self, model: keras.Model) -> None:
        """Pass the model on."""
        self.checkpoint.set_model(model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the weights if the epoch is the best one so far."""
        is_known = math.isfinite(self.checkpoint.best_value)
        if not is_known or self.checkpoint.objective.has_value(logs):
            self.checkpoint.on_epoch_end(epoch, logs)


class TunerEpochs(keras.callbacks.Callback):
    """Tells a tuner of epochs.

    keras-tuner's callback tells it of batches, too, and passes the model. On
    JAX that brings the model's state up to date twice in each step, for methods
    that do nothing unless a person's tuner overrides them.

    Args:
        tuner: A `keras_tuner.Tuner`.
        trial: A `keras_tuner` trial.
    """

    def __init__(self, tuner: Any, trial: Any):
        super().__init__()
        self.tuner = tuner
        self.trial = trial

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Tell the tuner."""
        self.tuner.on_epoch_begin(self.trial, self.model, epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell the tuner."""
        self.tuner.on_epoch_end(self.trial, self.model, epoch, logs=logs)


def _hears_batches(tuner: Any) -> bool:
    return any(
        getattr(getattr(tuner, hook), "__func__", None)
        is not getattr(keras_tuner.Tuner, hook)
        for hook in _BATCH_HOOKS
    )
