"""Continuing an interrupted trial after its last whole epoch."""

import json
from pathlib import Path
from typing import Any

import keras

from keras_ext._files import replacing, write_whole
from keras_ext.callbacks.logs import numbers_in
from keras_ext.tuners.results import Rows


class LastState(keras.callbacks.Callback):
    """Saves weights and optimizer state when training ends."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs: Any = None) -> None:
        """Save the model's state."""
        save_state(self.model, self.path)


class Attempt:
    """One execution of a trial, which another process may have begun.

    A JSON file holds the logs of the whole epochs. The file of weights and
    optimizer state for their number is written first, so a crash leaves two
    files that match. Callbacks lose their own state, such as the patience of
    `EarlyStopping`. `rows` are the logs of the whole epochs, `result` is the
    result of an execution that finished earlier, or `None`.
    """

    def __init__(self, folder: Path, execution: int):
        self._file = folder / f"resume_{execution}.json"
        self._before = 0
        self.rows: Rows = []
        self.result: Any = None
        if self._file.exists():
            state = json.loads(self._file.read_text(encoding="utf-8"))
            self.rows = state["rows"]
            self._before = len(self.rows)
            self.result = self._restored(state)

    def arguments(self, fit_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `fit` that continue the execution."""
        callbacks = [_Loader(self), *fit_kwargs["callbacks"], _Saver(self)]
        fit_kwargs = {**fit_kwargs, "callbacks": callbacks}
        if self._before:
            first = fit_kwargs.get("initial_epoch", 0)
            fit_kwargs["initial_epoch"] = first + self._before
        return fit_kwargs

    def restore_best(self, checkpoint: Any) -> None:
        """Restore the best value of keras-tuner's `SaveBestEpoch`.

        The checkpoint's file still holds the weights of that epoch.
        """
        objective = checkpoint.objective
        for logs in self.rows:
            if objective.has_value(logs):
                value = objective.get_value(logs)
                if objective.better_than(value, checkpoint.best_value):
                    checkpoint.best_value = value

    def finished(self, result: Any) -> Any:
        """Store the result of `HyperModel.fit`; return it for all epochs."""
        kind = "value"
        if isinstance(result, keras.callbacks.History):
            result.history = _columns(self.rows)
            result.epoch = [*range(self._before), *result.epoch]
            kind = "history"
        value = result.history if kind == "history" else result
        self._write({kind: _plain(value)})
        self._weights(len(self.rows)).unlink(missing_ok=True)
        return result

    def load(self, model: keras.Model) -> None:
        """Load the model's state after the last whole epoch."""
        if self._before:
            load_state(model, self._weights(self._before))

    def save(self, model: keras.Model, logs: Any) -> None:
        """Save the logs of an epoch and the model's state."""
        self.rows.append(numbers_in(logs))
        save_state(model, self._weights(len(self.rows)))
        self._write({})
        self._weights(len(self.rows) - 1).unlink(missing_ok=True)

    def _write(self, result: dict[str, Any]) -> None:
        write_whole(self._file, {"rows": self.rows, "result": result})

    def _restored(self, state: dict[str, Any]) -> Any:
        result = state["result"]
        if "history" in result:
            history = keras.callbacks.History()
            history.history = result["history"]
            history.epoch = list(range(len(self.rows)))
            return history
        return result.get("value")

    def _weights(self, epochs: int) -> Path:
        return self._file.with_suffix(f".{epochs}.weights.h5")


class _Loader(keras.callbacks.Callback):
    """The first callback, so that the others see the loaded weights."""

    def __init__(self, attempt: Attempt):
        super().__init__()
        self._attempt = attempt

    def on_train_begin(self, logs: Any = None) -> None:
        self._attempt.load(self.model)


class _Saver(keras.callbacks.Callback):
    """The last callback, so that it sees the logs of the others."""

    def __init__(self, attempt: Attempt):
        super().__init__()
        self._attempt = attempt

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._attempt.save(self.model, logs)


def save_state(model: keras.Model, path: Path) -> None:
    """Save weights and optimizer state; a crash leaves the old file."""
    with replacing(path) as draft:
        model.save_weights(draft, overwrite=True)


def load_state(model: keras.Model, path: Path) -> None:
    """Load weights and optimizer state into a built model."""
    # Keras skips the optimizer's state if the optimizer is not built.
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    model.load_weights(path)


def _columns(rows: Rows) -> dict[str, list[float]]:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row[key] for row in rows if key in row] for key in keys}


def _plain(value: Any) -> Any:
    """Return lists and dicts with numbers that JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return float(value)
