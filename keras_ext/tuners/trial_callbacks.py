"""The callbacks of each `fit` in a search."""

import collections
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_ext.callbacks import (
    DeadReLULogger,
    GradientNormLogger,
    MLflowLogger,
)
from keras_ext.callbacks.logs import numbers_in
from keras_ext.tracking.epoch_forwarder import EpochForwarder
from keras_ext.tuners.results import Rows

# A step series keeps all of its first 2 * 16 values, every second one up to
# 4 * 16, every fourth one up to 8 * 16, and so on.
_DENSE = 16
_BATCH_HOOKS = "on_batch_begin", "on_batch_end"


def execution_callbacks(
    given: list[keras.callbacks.Callback],
    client: Any,
    run_id: str,
    tracker: keras.callbacks.Callback,
) -> list[keras.callbacks.Callback]:
    """Return `given` with monitors before it and loggers after it.

    The monitors stand first, so that the other callbacks find their values in
    the logs; `tracker` stands last. A monitor in `given` replaces the default
    monitor of its class.
    """
    # No warnings: a search also tries bad values, and its runs show the result.
    monitors = [
        monitor
        for monitor in (
            GradientNormLogger(vanishing=None, exploding=None, nonfinite=False),
            DeadReLULogger(mostly_dead=None),
        )
        if not any(isinstance(callback, type(monitor)) for callback in given)
    ]
    logger = TrialLogger(run_id=run_id, client=client)
    return [*monitors, *given, logger, tracker]


class TrialLogger(MLflowLogger):
    """Logs the `fit` of a trial at little cost.

    The next trial trains while the figures are drawn. The step series get
    sparser with time: a store needs longer for a thousand values than a small
    model for a hundred steps.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._seen: collections.Counter[EpochForwarder] = collections.Counter()

    def _log_steps(
        self, forwarder: EpochForwarder, block: Mapping[str, Any]
    ) -> None:
        first, count = self._seen[forwarder], len(block["step"])
        self._seen[forwarder] += count
        kept = _is_kept(np.arange(first, first + count))
        if kept.any():
            sparse = {k: np.asarray(v)[kept] for k, v in block.items()}
            super()._log_steps(forwarder, sparse)

    def _add_figure(self, draw: Callable[[], Any], path: str) -> None:
        assert self._writer is not None
        self._writer.figure_later(draw, path)


class EpochTracker(keras.callbacks.Callback):
    """Stores the logs of every epoch. The last callback, so it sees all."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: Rows = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Store the logs."""
        self.epochs.append(numbers_in(logs))


class BestEpochKeeper(keras.callbacks.Callback):
    """keras-tuner's checkpoint of the best epoch, fixed.

    keras-tuner saves every epoch that does not report the objective, and so
    overwrites the best one. Here such epochs are saved only until the first
    epoch reports the objective.
    """

    def __init__(self, checkpoint: Any):
        super().__init__()
        self.checkpoint = checkpoint

    def set_model(self, model: keras.Model) -> None:
        """Pass the model to the checkpoint."""
        self.checkpoint.set_model(model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the weights if the epoch is the best one so far."""
        logs = numbers_in(logs)
        has_best = math.isfinite(self.checkpoint.best_value)
        if not has_best or self.checkpoint.objective.has_value(logs):
            self.checkpoint.on_epoch_end(epoch, logs)


class TunerEpochs(keras.callbacks.Callback):
    """Calls a tuner's hooks for epochs.

    keras-tuner's callback also calls the hooks for batches, and passes the
    model. On JAX this synchronizes the model's state twice in each step, for
    methods that do nothing unless a user's tuner overrides them.
    """

    def __init__(self, tuner: Any, trial: Any):
        super().__init__()
        self.tuner = tuner
        self.trial = trial

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Call the tuner's hook."""
        self.tuner.on_epoch_begin(self.trial, self.model, epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call the tuner's hook."""
        self.tuner.on_epoch_end(self.trial, self.model, epoch, logs=logs)


def patched(callback: Any) -> Any:
    """Return a callback, or the fixed version of a keras-tuner callback."""
    # keras-tuner does not export its callbacks.
    kind = type(callback)
    if not kind.__module__.startswith("keras_tuner."):
        return callback
    name = kind.__name__
    if name == "SaveBestEpoch":
        return BestEpochKeeper(callback)
    if name == "TunerCallback" and not _overrides_batch_hook(callback.tuner):
        return TunerEpochs(callback.tuner, callback.trial)
    return callback


def _overrides_batch_hook(tuner: Any) -> bool:
    return any(
        getattr(getattr(tuner, hook), "__func__", None)
        is not getattr(keras_tuner.Tuner, hook)
        for hook in _BATCH_HOOKS
    )


def _is_kept(places: np.ndarray) -> np.ndarray:
    """Return which values of a step series are kept, by their positions."""
    doublings = np.log2(np.maximum(places / _DENSE, 1)).astype(np.int64)
    return places % 2**doublings == 0
