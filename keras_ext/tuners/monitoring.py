"""The callbacks that every fit of a tracked search gets."""

import functools
import warnings
from typing import Any

import keras

from keras_ext.callbacks import (
    DeadReLULogger,
    GradientNormLogger,
    MLflowLogger,
)


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
    monitors = [
        monitor
        for kind in (GradientNormLogger, DeadReLULogger)
        if not any(isinstance(callback, kind) for callback in given)
        for monitor in _made(kind)
    ]
    logger = MLflowLogger(run_id=run_id, client=client)
    return [*monitors, *given, logger, recorder]


def _made(kind: type[keras.callbacks.Callback]) -> list[Any]:
    try:
        return [kind()]
    except NotImplementedError as error:
        _warn_once(
            f"The trials go on without `{kind.__name__}`: {error}",
        )
        return []


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
