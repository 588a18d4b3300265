"""The callbacks that every fit of a tracked search gets."""

import collections
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ext.callbacks import (
    DeadReLULogger,
    GradientNormLogger,
    MLflowLogger,
)
from keras_ext.tracking.epoch_forwarder import EpochForwarder

# Of a step series all of the first 32 values are logged, every second of the
# next 32, every fourth of the next 64: so many each time.
_DENSE = 16


class TrialLogger(MLflowLogger):
    """Logs one of many trainings.

    Its figures are drawn while the next trial trains, and its step series get
    sparser with time: a store takes longer for a thousand values than a small
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


def callbacks_of_an_execution(
    given: list[keras.callbacks.Callback],
    client: Any,
    run_id: str,
    tracker: keras.callbacks.Callback,
) -> list[keras.callbacks.Callback]:
    """Return `given` with monitors before it and loggers after it.

    The monitors stand first, so that all the others find the monitors' values
    in the logs. A monitor among `given` takes the place of the default one.

    Args:
        given: The person's callbacks and keras-tuner's own.
        client: An `mlflow.MlflowClient`.
        run_id: The run to log to.
        tracker: What keeps the epochs' logs; it comes last.

    Returns:
        A new list.
    """
    # Without warnings: a search tries what is bad, too, and its runs show it.
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


def _is_kept(places: np.ndarray) -> np.ndarray:
    """Tell which values of a series are logged, by their places in it."""
    doublings = np.log2(np.maximum(places / _DENSE, 1)).astype(np.int64)
    return places % 2**doublings == 0
