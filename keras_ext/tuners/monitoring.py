"""The callbacks that every fit of a tracked search gets."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ext.callbacks import (
    DeadReLULogger,
    GradientNormLogger,
    MLflowLogger,
)


class TrialLogger(MLflowLogger):
    """Draws a trial's figures while the next one trains."""

    def _add_figure(self, draw: Callable[[], Any], path: str) -> None:
        assert self._writer is not None
        self._writer.figure_later(draw, path)


def callbacks_of_an_execution(
    given: list[keras.callbacks.Callback],
    client: Any,
    run_id: str,
    recorder: keras.callbacks.Callback,
) -> list[keras.callbacks.Callback]:
    """Return `given` with monitors before it and loggers after it.

    The monitors stand first, so that all the others find the monitors' values
    in the logs. A monitor among `given` takes the place of the default one.

    Args:
        given: The person's callbacks and keras-tuner's own.
        client: An `mlflow.MlflowClient`.
        run_id: The run to log to.
        recorder: What keeps the epochs' logs; it comes last.

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
    return [*monitors, *given, logger, recorder]
