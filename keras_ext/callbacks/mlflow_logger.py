"""Logging a training, with the values of its monitors, to MLflow."""

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
    """Logs a training to MLflow, with all values of the monitors.

    The run is the run with the id `run_id`, else the active MLflow run, else
    a new run. The first two stay open. A new run ends as FINISHED, or as
    FAILED if `fit` raises, or as KILLED if Ctrl-C ends it and no code catches
    the exception. Only a signal that ends the process at once leaves the run
    open.

    The logger logs:

    | MLflow | values | horizontal axis |
    |---|---|---|
    | metrics `<key>` | the epoch's `logs`: `loss`, `val_loss`, … | epoch |
    | metrics `grad_norm/…` and others | epoch values of monitors | epoch |
    | metric `learning_rate` | the optimizer's learning rate | epoch |
    | metric `epoch_seconds` | the duration of the epoch | epoch |
    | metrics `step/<key>` | step values of monitors | step of this `fit` |
    | parameters | `keras_ext.tracking.training_params` | |
    | tags | `keras_ext.tracking.environment_tags` | |
    | `gradient_norms.png`, `dead_units.png` | figures, at the end | |
    | `update_ratios.png`, `saturation.png` | figures, at the end | |
    | tags `doctor.…`, `doctor/report.…` | the diagnosis, see below | |

    Each key has one axis: the keys with a step axis begin with `step/`.

    If a `TrainingDoctor` is among the callbacks, the run gets its diagnosis,
    also if `fit` ends early:

    - tag `doctor.problem`: the problem of the first finding, or `none`;
    - tag `doctor.severity`: the severity of the first finding, or `none`;
    - tag `doctor.layer`: the layer of the first finding, or `none`;
    - tag `doctor.problems`: the problems of all findings and their
      consequences, separated by commas;
    - artifacts `doctor/report.txt` and `doctor/report.html`.

    A search for runs by problem is `tags."doctor.problem" = 'dying_relu'`.

    The monitors may stand before or after this callback. A background thread
    sends all messages. If MLflow fails during the training, the training
    continues, one warning reports the failure, and the messages are sent when
    MLflow is back (see `keras_ext.tracking.RunWriter`).

    What it costs: in the training's thread, about 10 µs for each value of an
    epoch and 0.1 µs for each value of a step. In the background, about 5 ms
    of processor time for 1000 values sent to a server, and 60 to 150 ms for
    1000 values written to a local SQLite database.

    Args:
        run_id: An existing run; the logger does not end it. Defaults to
            `None`.
        client: An `mlflow.MlflowClient`. Defaults to `None`: the logger makes
            a client for `tracking_uri` at the beginning of `fit`.
        tracking_uri: The MLflow store. Defaults to `None`: MLflow's setting.
        experiment: The name of the experiment for a new run. A name makes a
            new run even if a run is active, as its child. Defaults to `None`:
            MLflow's setting.
        run_name: The name of a new run. A name makes a new run, too. Defaults
            to `None`.
        tags: Tags for the run, new or not. Defaults to `None`.
        figures: Whether to draw figures at the end of the training, in the
            doctor's report too. Drawing takes about a second. Defaults to
            `True`.
        step_series: Whether to log the monitors' values of single steps.
            Defaults to `True`.
        log_params: Whether to log parameters and the environment. Defaults
            to `None`: only for a new run.
        buffer: A folder in which messages wait until the store has them. A
            folder serves one store, and one process at a time. If a process
            leaves messages there, because it was killed or the store was
            away, the next `fit` with the folder sends them first. The command
            `keras-ext replay <folder>` sends them at any time. Defaults to
            `None`: messages wait in memory while the process lives.

    Attributes:
        current_run_id: The run of the running or last `fit`, or `None`.

    Raises:
        ValueError: At the beginning of `fit`, if the store has no run
            `run_id`.
        TrackingError: At the beginning of `fit`, if the store does not
            answer, or if `buffer` cannot be used.
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
        self._reset()

    def _reset(self) -> None:
        self._writer: tracking.RunWriter | None = None
        self._guard: RunGuard | None = None
        self._forwarders: list[EpochForwarder] = []
        self._doctors: list[TrainingDoctor] = []
        self._follows = False
        self._epoch = -1
        self._epoch_began = 0.0
        self._warned = False
        self._is_new = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "MLflowLogger":
        # A client need not be copied, the state of a running `fit` cannot.
        memo[id(self.client)] = self.client
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for key, value in self.__getstate__().items():
            setattr(other, key, copy.deepcopy(value, memo))
        return other

    def __getstate__(self) -> dict[str, Any]:
        empty = dict.fromkeys(("_writer", "_guard", "_model"))
        return vars(self) | empty | {"_forwarders": [], "_doctors": []}

    def on_train_begin(self, logs: Any = None) -> None:
        """Find or make the run. Only this hook raises errors."""
        if self._guard is not None:
            # The last `fit` of this instance did not end.
            self._guard.died()
        self._reset()
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
            # If `fit` raises, a run that stays open gets its diagnosis, too.
            ending = Ending(self._writer, self._doctors, is_new, self.figures)
            self._guard = RunGuard(ending, callback_list)
        self._is_new = is_new
        if not is_new:
            self._writer.tags(self.tags)
            if self.log_params:
                self._writer.tags(tracking.environment_tags())
        if is_new if self.log_params is None else self.log_params:
            self._safely(self._log_params)
        if callback_list is not None:
            self._forwarders = _forwarders(callback_list.callbacks, self)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock. In the first epoch, follow the monitors."""
        self._epoch_began = time.perf_counter()
        if self.step_series and not self._follows:
            # Monitors behind this callback begin after its `on_train_begin`.
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
            self._safely(forwarder.send_epochs, last, values)

    def on_train_end(self, logs: Any = None) -> None:
        """Log the last values, draw the figures and end a new run."""
        if self._writer is None:
            return
        for doctor in self._doctors:
            # A doctor behind this callback still lacks its last diagnosis.
            doctor.finish()
        for forwarder in self._forwarders:
            self._safely(forwarder.send_epochs, self._epoch, {})
        if self.figures:
            self._safely(self._log_figures)
        self._safely(log_diagnosis, self._doctors, self.figures)
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
        # Outside the handler: MLflow's exceptions may contain credentials.
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
            f"MLflow store {store!r} provides no run: {reason}"
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

    def _log_params(self, writer: tracking.RunWriter) -> None:
        writer.params(training_params(self.model, self.params))

    def _log_epoch(
        self, writer: tracking.RunWriter, epoch: int, values: dict[str, Any]
    ) -> None:
        writer.metrics(values, epoch)
        # On JAX `self.model` synchronizes the model's state: once per epoch.
        optimizer = getattr(self.model, "optimizer", None)
        key = "learning_rate"
        value = getattr(optimizer, key, None)
        if value is not None and key not in values:
            value = keras.ops.convert_to_tensor(value)
            value = float(keras.ops.convert_to_numpy(value))
            writer.metrics({key: value}, epoch)

    def _log_steps(
        self, forwarder: EpochForwarder, block: Mapping[str, Any]
    ) -> None:
        self._safely(forwarder.send_steps, block)

    def _log_figures(self, writer: tracking.RunWriter) -> None:
        epochs: dict[str, Any] = {}
        for forwarder in self._forwarders:
            epochs = forwarder.monitor.epochs | epochs
        kinds = (
            ("grad_norm/", plots.gradient_heatmap, "gradient_norms.png"),
            ("dead_relu/", plots.dead_unit_curves, "dead_units.png"),
            ("update_ratio/", plots.update_ratio_heatmap, "update_ratios.png"),
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
        """Call `action(writer, *args)`; an error must not end the training."""
        if self._writer is None:
            return
        try:
            action(self._writer, *args)
        except Exception as error:
            if not self._warned:
                self._warned = True
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
