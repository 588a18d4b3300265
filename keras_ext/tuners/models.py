"""Logging the models of a search."""

import importlib
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ext.tracking import RunWriter
from keras_ext.version import __version__

# Rows from which a model's signature is inferred.
_ROWS = 8


class InputSource:
    """The input that a search trains on.

    A generator yields each batch once. Its first batch is read here and put
    back: `fit_args` and `fit_kwargs` are the arguments to train with.
    """

    def __init__(self, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any]):
        self.fit_args = fit_args
        self.fit_kwargs = fit_kwargs
        self._x = fit_args[0] if fit_args else fit_kwargs.get("x")
        self._first: Any = None
        if isinstance(self._x, types.GeneratorType):
            self._first = next(self._x)
            replayed = _replay(self._first, self._x)
            if fit_args:
                self.fit_args = (replayed, *fit_args[1:])
            else:
                self.fit_kwargs = {**fit_kwargs, "x": replayed}

    def sample(self) -> Any:
        """Return up to 8 rows of input, as a structure of NumPy arrays."""
        inputs = self._inputs()
        if inputs is None:
            raise TypeError("`search` was called without an `x`.")
        return keras.tree.map_structure(
            lambda rows: np.asarray(
                keras.ops.convert_to_numpy(rows[:_ROWS])
                if keras.ops.is_tensor(rows)
                else rows[:_ROWS]
            ),
            inputs,
        )

    def _inputs(self) -> Any:
        x = self._x
        if self._first is not None:
            return _inputs_of(self._first)
        if isinstance(x, keras.utils.PyDataset):
            return _inputs_of(x[0])
        is_arrays = hasattr(x, "shape") or isinstance(x, list | tuple | dict)
        if x is None or is_arrays:
            return x
        return _inputs_of(next(iter(x)))


def log_model(
    writer: RunWriter,
    name: str,
    model: keras.Model,
    inputs: InputSource,
    params: Mapping[str, Any],
) -> None:
    """Log a model as an MLflow model of a run, in the background.

    `mlflow.keras.log_model` would log into the active run, needs the global
    tracking URI, and waits for the store. Once the store has the model, a tag
    of the run, `name`, holds the model's id.

    `mlflow.keras.load_model("models:/<id>")` loads the model. Import
    `keras_ext` first if the model uses classes of keras_ext.
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
    """Return several inputs by name, as MLflow's schemas need them."""
    if not isinstance(inputs, list | tuple):
        return inputs
    if len(inputs) == 1:
        return inputs[0]
    names = [tensor.name for tensor in model.inputs]
    return dict(zip(names, inputs, strict=True))


def _requirements() -> list[str]:
    """Return the packages that loading needs; MLflow's search takes seconds."""
    backend = keras.config.backend()
    versions = {
        "keras": keras.version(),
        backend: importlib.import_module(backend).__version__,
        "keras-ext": __version__,
        "numpy": np.__version__,
    }
    # Package indexes do not have local builds such as `2.5.0+cpu`.
    return [f"{name}=={v.partition('+')[0]}" for name, v in versions.items()]


def _inputs_of(batch: Any) -> Any:
    return keras.utils.unpack_x_y_sample_weight(batch)[0]


def _replay(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
