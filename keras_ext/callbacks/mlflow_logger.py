"""Logging a training, and what the monitors see of it, to MLflow."""

import copy
import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_ext import plots, tracking
from keras_ext._optional import require
from keras_ext.callbacks.fit_scope import current_callback_list
from keras_ext.callbacks.mlflow_diagnosis import Ending, log_diagnosis
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.training_doctor import TrainingDoctor
from keras_ext.tracking.buffer import know_run, open_buffer
from keras_ext.tracking.epoch_forwarder import EpochForwarder
from keras_ext.tracking.guard import RunGuard
from keras_ext.tracking.outboxes import outbox_for
from keras_ext.tracking.redaction import scrub
from keras_ext.tracking.runs import active_run_id, create_run
from keras_ext.tracking.training_params import training_params

logger = logging.getLogger("keras_ext.tracking")


class MLflowLogger(keras.callbacks.Callback):
    """Logs a training to MLflow, with all that the monitors measure.

    The run is the one that `run_id` names; else the person's active MLflow
    run, which is left open; else a new one. A new run ends as FINISHED,
    or as FAILED if `fit` dies (KILLED if Ctrl-C ended it and nobody caught
    that), however that happens except by a signal that ends the process at
    once.

    What is logged:

    | MLflow | what | horizontal axis |
    |---|---|---|
    | metrics `<key>` | the epoch's `logs`: `loss`, `val_loss`, … | epoch |
    | metrics `grad_norm/…` and others | epoch values of monitors | epoch |
    | metrics `learning_rate`, `epoch_seconds` | as they say | epoch |
    | metrics `step/<key>` | step series of monitors | step of this `fit` |
    | parameters | `keras_ext.tracking.training_params` | |
    | tags | `keras_ext.tracking.environment_tags` | |
    | `gradient_norms.png`, `dead_units.png` | figures, at the end | |
    | `update_ratios.png`, `saturation.png` | figures, at the end | |
    | tags `doctor.…`, `doctor/report.…` | see below | |

    A key has one axis: everything that counts in steps begins with `step/`.

    With a `TrainingDoctor` among the callbacks the run gets its diagnosis,
    also if `fit` ends early: the tags `doctor.problem` (of the first
    finding, `none` if there is none), `doctor.severity` and `doctor.layer`
    of the same (`none` if it is none or of no layer), `doctor.problems` (of
    all findings and what follows from them, with commas between), and the
    reports `doctor/report.txt` and `doctor/report.html`. Runs can be
    searched by it:
    `tags."doctor.problem" = 'dying_relu'`.

    It does not matter whether the monitors stand before or after this
    callback. RunHistory are sent by a background thread. If MLflow fails in
    the middle of the training, the training goes on, one warning says so,
    and the records are sent when it is back (see
    `keras_ext.tracking.RunWriter`).

    What it costs: about 10 µs for each value of an epoch and 0.1 µs for each
    value of a step in the training's thread; in the background, about 5 ms
    of processor time for 1000 values sent to a server, and 60 to 150 ms for
    1000 values written to a local SQLite database.

    Args:
        run_id: An existing run, which is not ended. Defaults to `None`.
        client: An `mlflow.MlflowClient`. Defaults to `None`: one for
            `tracking_uri` is made at the beginning of `fit`.
        tracking_uri: The MLflow store. Defaults to `None`: as MLflow is set.
        experiment: Name of the experiment for a new run; asks for a new run
            (below the active one, if there is one). Defaults to `None`: as
            MLflow is set.
        run_name: Name of a new run; asks for one too. Defaults to `None`.
        tags: Tags for the run, new or not. Defaults to `None`.
        figures: Whether to draw figures at the end of the training, which
            takes about a second, in the doctor's page too. Defaults to
            `True`.
        step_series: Whether to log the monitors' values of single steps.
            Defaults to `True`.
        log_params: Whether to log parameters and the environment. Defaults
            to `None`: only into a new run.
        buffer: A folder in which the records wait until the store has them,
            for one store and one process at a time. What a process leaves
            there, killed or because the store did not come back, the next
            `fit` with that folder sends first, and `keras-ext replay
            <folder>` delivers it at any time. Defaults to `None`: they wait
            in memory, for as long as the process lives.

    Attributes:
        current_run_id: The run of the running or last `fit`, or `None`.

    Raises:
        ValueError: At the beginning of `fit`, if the store does not know
            `run_id`.
        TrackingError: At the beginning of `fit`, if the store does not
            answer, or `buffer` cannot be used.
        ImportError: At the beginning of `fit`, if MLflow is missing.

    Example:
        >>> import tempfile
        >>> import keras, keras_ext, numpy as np
        >>> folder = tempfile.TemporaryDirectory()
        >>> log = keras_ext.callbacks.MLflowLogger(
        ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db"
        ... )
        >>> model = keras.Sequential([keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((32, 1)), np.zeros((32, 1))
        >>> history = model.fit(x, y, callbacks=[log], verbose=0)
        >>> client = keras_ext.tracking.connect(log.tracking_uri)
        >>> run = client.get_run(log.current_run_id)
        >>> run.info.status, run.data.params["optimizer"]
        ('FINISHED', 'SGD')
        >>> folder.cleanup()
    """

    def __init__(
        self,
        run_id: str | None = None,
        client: Any = None,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        figures: bool = True,
        step_series: bool = True,
        log_params: bool | None = None,
        buffer: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        if run_id is not None and (experiment or run_name):
            raise ValueError(
                "`experiment` and `run_name` are for a new run and cannot be "
                f"used with `run_id`. Received: run_id={run_id!r}, "
                f"experiment={experiment!r}, run_name={run_name!r}"
            )
        self.run_id = run_id
        self.client = client
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.run_name = run_name
        self.tags = dict(tags or {})
        self.figures = figures
        self.step_series = step_series
        self.log_params = log_params
        self.buffer = buffer
        self.current_run_id: str | None = None
        self._forget()

    def _forget(self) -> None:
        self._writer: tracking.RunWriter | None = None
        self._guard: RunGuard | None = None
        self._forwarders: list[EpochForwarder] = []
        self._doctors: list[TrainingDoctor] = []
        self._follows = False
        self._epoch = -1
        self._epoch_began = 0.0
        self._complained = False
        self._is_new = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "MLflowLogger":
        # What belongs to a running `fit` cannot be copied; a client need
        # not be.
        memo[id(self.client)] = self.client
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for key, value in self.__getstate__().items():
            setattr(other, key, copy.deepcopy(value, memo))
        return other

    def __getstate__(self) -> dict[str, Any]:
        mine = ("_writer", "_guard", "_model")
        return (
            vars(self)
            | dict.fromkeys(mine)
            | {"_forwarders": [], "_doctors": []}
        )

    def on_train_begin(self, logs: Any = None) -> None:
        """Find or make the run; errors are raised here and only here."""
        if self._guard is not None:
            # The last `fit` of this instance never came to its end.
            self._guard.died()
        self._forget()
        callback_list = current_callback_list()
        client, run_id, is_new = self.client, self.run_id, False
        if client is None or run_id not in outbox_for(client).runs:
            client = self._checked_client()
            if self.buffer is not None:
                buffer = open_buffer(Path(self.buffer), client)
            run_id, is_new = self._open_run(client)
            if self.buffer is not None:
                know_run(buffer, client, run_id)
        self.current_run_id = run_id
        self._writer = tracking.RunWriter(client, run_id)
        if callback_list is not None:
            self._doctors = [
                callback
                for callback in callback_list.callbacks
                if isinstance(callback, TrainingDoctor)
            ]
        if is_new or self._doctors:
            # A run that stays open gets its diagnosis too, if `fit` dies.
            ending = Ending(self._writer, self._doctors, is_new, self.figures)
            self._guard = RunGuard(ending, callback_list)
        self._is_new = is_new
        if not is_new:
            self._writer.tags(self.tags)
            if self.log_params:
                self._writer.tags(tracking.environment_tags())
        if is_new if self.log_params is None else self.log_params:
            self._safely(self._log_settings)
        if callback_list is not None:
            self._forwarders = _forwarders(callback_list.callbacks, self)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock, in the first epoch follow the monitors."""
        self._epoch_began = time.perf_counter()
        if self.step_series and not self._follows:
            # Not earlier: monitors behind this callback have begun only now.
            self._follows = True
            for forwarder in self._forwarders:
                forwarder.monitor.follow(
                    functools.partial(self._log_steps, forwarder)
                )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log the epoch."""
        self._epoch = epoch
        seconds = time.perf_counter() - self._epoch_began
        values = {**(logs or {}), "epoch_seconds": seconds}
        self._safely(self._log_epoch, epoch, values)
        for forwarder in self._forwarders:
            last = epoch - forwarder.is_behind
            self._safely(forwarder.send_epochs, self._writer, last, values)

    def on_train_end(self, logs: Any = None) -> None:
        """Log what is left, draw the figures and end a new run."""
        if self._writer is None:
            return
        for doctor in self._doctors:
            # A doctor behind this callback has not made its last diagnosis.
            doctor.finish()
        for forwarder in self._forwarders:
            self._safely(forwarder.send_epochs, self._writer, self._epoch, {})
        if self.figures:
            self._safely(self._log_figures)
        self._safely(log_diagnosis, self._writer, self._doctors, self.figures)
        if self._guard is not None:
            self._guard.release()
            self._guard = None
        self._writer.close("FINISHED" if self._is_new else None)
        self._writer = None

    def _checked_client(self) -> Any:
        if self.client is None:
            return tracking.connect(self.tracking_uri)
        if isinstance(self.client, require("mlflow").MlflowClient):
            tracking.connect(self.client.tracking_uri)
        return self.client

    def _open_run(self, client: Any) -> tuple[str, bool]:
        """Return the run's id, and whether the run is new."""
        try:
            return self._find_run(client)
        except (ValueError, tracking.TrackingError):
            raise
        except Exception as error:
            code = getattr(error, "error_code", "")
            reason = scrub(error, client.tracking_uri)
        # Outside the handler: MLflow's exceptions may quote credentials.
        store = tracking.redact(client.tracking_uri)
        if self.run_id is not None and code in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):
            raise ValueError(
                f"`run_id` must be a run of the MLflow store {store!r}. "
                f"Received: run_id={self.run_id!r}"
            )
        raise tracking.TrackingError(
            f"MLflow store {store!r} gives no run: {reason}"
        )

    def _find_run(self, client: Any) -> tuple[str, bool]:
        if self.run_id is not None:
            client.get_run(self.run_id)
            return self.run_id, False
        active = active_run_id(client)
        if active is not None and not (self.experiment or self.run_name):
            return active, False
        new = create_run(
            client, self.experiment, self.run_name, self.tags, active
        )
        return new, True

    def _log_settings(self) -> None:
        assert self._writer is not None
        self._writer.params(training_params(self.model, self.params))

    def _log_epoch(self, epoch: int, values: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.metrics(values, epoch)
        # On JAX, `self.model` synchronizes the model's state: once per epoch.
        optimizer = getattr(self.model, "optimizer", None)
        rate = getattr(optimizer, "learning_rate", None)
        if rate is not None and "learning_rate" not in values:
            rate = keras.ops.convert_to_tensor(rate)
            rate = float(keras.ops.convert_to_numpy(rate))
            self._writer.metrics({"learning_rate": rate}, epoch)

    def _log_steps(
        self, forwarder: EpochForwarder, block: Mapping[str, Any]
    ) -> None:
        self._safely(forwarder.send_steps, self._writer, block)

    def _log_figures(self) -> None:
        assert self._writer is not None
        epochs: dict[str, Any] = {}
        for forwarder in self._forwarders:
            epochs = forwarder.monitor.epochs | epochs
        kinds = (
            ("grad_norm/", plots.gradient_heatmap, "gradient_norms.png"),
            ("dead_relu/", plots.dead_unit_curves, "dead_units.png"),
            (
                "update_ratio/",
                plots.update_ratio_heatmap,
                "update_ratios.png",
            ),
            ("saturation/", plots.saturation_curves, "saturation.png"),
        )
        for prefix, draw, path in kinds:
            chosen = {k: v for k, v in epochs.items() if k.startswith(prefix)}
            if chosen:
                self._add_figure(functools.partial(draw, chosen), path)

    def _add_figure(self, draw: Callable[[], Any], path: str) -> None:
        assert self._writer is not None
        self._writer.figure(draw(), path)

    def _safely(self, action: Callable[..., None], *args: Any) -> None:
        """Do what must not end a training."""
        if self._writer is None:
            return
        try:
            action(*args)
        except Exception as error:
            if not self._complained:
                self._complained = True
                logger.warning(
                    "Something is missing in MLflow run %s: %s: %s",
                    self.current_run_id,
                    type(error).__name__,
                    scrub(error),
                )


def _forwarders(
    callbacks: list[keras.callbacks.Callback], owner: MLflowLogger
) -> list[EpochForwarder]:
    place = callbacks.index(owner) if owner in callbacks else len(callbacks)
    owners: dict[str, EpochForwarder] = {}
    return [
        EpochForwarder(callback, index > place, owners)
        for index, callback in enumerate(callbacks)
        if isinstance(callback, Monitor)
    ]
