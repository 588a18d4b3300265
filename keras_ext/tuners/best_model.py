"""Logging a search's best model, once, into its parent run."""

import importlib
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ext.tuners.samples import InputSource
from keras_ext.version import __version__


def log_best_model(
    client: Any,
    run_id: str,
    model: keras.Model,
    inputs: InputSource,
    params: Mapping[str, Any],
) -> str:
    """Log `model` as the MLflow model `best_model` of a run.

    It does what `mlflow.keras.log_model` does, through the client: that
    function would put the model into whichever experiment and run happen to
    be active, and needs the global tracking URI.

    The model loads with `mlflow.keras.load_model`; a model that uses classes
    of keras_ext loads once `keras_ext` is imported.

    Args:
        client: An `mlflow.MlflowClient`.
        run_id: The run that the model belongs to.
        model: The model.
        inputs: What it was trained on; the signature is inferred from a few
            rows of it. Without them, the model is logged without one.
        params: The hyperparameters, shown with the model.

    Returns:
        The id of the logged model; it loads as `models:/<id>`.
    """
    import mlflow.keras
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    signature = _signature(model, inputs)
    logged = client.create_logged_model(
        experiment_id=client.get_run(run_id).info.experiment_id,
        name="best_model",
        source_run_id=run_id,
        params={name: str(value) for name, value in params.items()},
    )
    model_id = logged.model_id
    status = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "model"))
            mlflow.keras.save_model(
                model,
                path,
                signature=signature,
                pip_requirements=_requirements(),
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    model_uuid=model_id,
                    run_id=run_id,
                    model_id=model_id,
                ),
            )
            client.log_model_artifacts(model_id, path)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        status = "READY"
    finally:
        client.finalize_logged_model(model_id, status)
    return model_id


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
