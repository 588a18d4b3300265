"""Logging a search's models."""

import importlib
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ext.tracking import RunWriter
from keras_ext.tuners.samples import InputSource
from keras_ext.version import __version__


def log_model(
    writer: RunWriter,
    name: str,
    model: keras.Model,
    inputs: InputSource,
    params: Mapping[str, Any],
) -> None:
    """Log a model as an MLflow model of a run.

    It does what `mlflow.keras.log_model` does, in the background: that
    function would put the model into whichever experiment and run happen to
    be active, needs the global tracking URI, and waits for the store. Once
    the store has the model, its id is the run's tag of that name.

    The model loads with `mlflow.keras.load_model("models:/<id>")`; a model
    that uses classes of keras_ext loads once `keras_ext` is imported.

    Args:
        writer: Writes to the run that the model belongs to.
        name: The MLflow model's name.
        model: The model.
        inputs: What it was trained on; the signature is inferred from a few
            rows of it. Without them, the model is logged without one.
        params: The hyperparameters, shown with the model.
    """
    import mlflow.keras

    signature = _signature(model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        mlflow.keras.save_model(
            model,
            str(path),
            signature=signature,
            pip_requirements=_requirements(),
        )
        writer.model(path, name, params)


def _signature(model: keras.Model, inputs: InputSource) -> Any:
    from mlflow.models import infer_signature

    try:
        sample = inputs.sample()
        predictions = model.predict(sample, verbose=0)
        return infer_signature(_named(model, sample), predictions)
    except Exception as error:
        warnings.warn(
            f"The best model is logged without a signature: {error}",
            stacklevel=2,
        )
        return None


def _named(model: keras.Model, inputs: Any) -> Any:
    """Return several inputs under their names, as MLflow's schemas want it."""
    if not isinstance(inputs, list | tuple):
        return inputs
    if len(inputs) == 1:
        return inputs[0]
    names = [tensor.name for tensor in model.inputs]
    return dict(zip(names, inputs, strict=True))


def _requirements() -> list[str]:
    """Name what loading needs; letting MLflow find it out takes seconds."""
    backend = keras.config.backend()
    versions = {
        "keras": keras.version(),
        backend: importlib.import_module(backend).__version__,
        "keras-ext": __version__,
        "numpy": np.__version__,
    }
    # Indexes do not offer local builds such as `2.5.0+cpu` by that name.
    return [f"{name}=={v.partition('+')[0]}" for name, v in versions.items()]
