"""Writing to one MLflow run without making the training wait."""

import csv
import io
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.plots.drawing import image
from keras_ext.tracking.batching import MAX_POINTS
from keras_ext.tracking.keys import metric_key
from keras_ext.tracking.messages import (
    Artifact,
    Message,
    Model,
    Param,
    Points,
    Status,
    Tag,
)
from keras_ext.tracking.outboxes import outbox_for
from keras_ext.tracking.redaction import scrub

logger = logging.getLogger("keras_ext.tracking")

# The smallest limits of the supported versions of MLflow.
_MAX_PARAM = 6000
_MAX_TAG = 5000

_DPI = 150  # of figures

_STATUSES = ("FINISHED", "FAILED", "KILLED")


class RunWriter:
    """Writes to one MLflow run, in the background.

    Every method returns at once. A daemon thread sends the messages, in
    order and in few large requests. If the store does not answer, the writer
    logs one warning, keeps the messages in memory and sends each of them
    exactly once when the store is back. If the store refuses a message for
    good (a parameter that changes its value, a deleted run), the writer logs
    one warning and leaves the message out. The logger is
    `keras_ext.tracking`. At the end of the process the thread has at most 30
    seconds for the rest (3 if the store does not answer).

    Writers of one client share one thread. Methods may be called from any
    thread. A forked child starts with an empty queue: its parent sends.

    Args:
        client: An `mlflow.MlflowClient`, for example from `connect`.
        run_id: The run, for example from `create_run`. It must exist; this
            is not checked here.

    Example:
        >>> import tempfile
        >>> from keras_ext.tracking import RunWriter, connect, create_run
        >>> folder = tempfile.TemporaryDirectory()
        >>> client = connect(f"sqlite:///{folder.name}/mlflow.db")
        >>> writer = RunWriter(client, create_run(client, "demo"))
        >>> writer.params({"learning_rate": 0.1, "nesterov": False})
        >>> writer.metrics({"loss": 0.5}, step=0)
        >>> writer.close()
        True
        >>> client.get_run(writer.run_id).data.metrics
        {'loss': 0.5}
        >>> folder.cleanup()
    """

    def __init__(self, client: Any, run_id: str):
        self.client = client
        self.run_id = run_id
        self._outbox = outbox_for(client)
        self._outbox.runs.add(run_id)
        self._ticket = 0
        self._ended = False
        self._unusable: set[str] = set()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each of some metrics.

        Args:
            values: Names and numbers. NaN and infinities are kept if the
                store can hold them (databases turn infinities into the
                largest float). Other values are left out.
            step: The place on the horizontal axis.
        """
        now, steps = _milliseconds(), (int(step),)
        messages = []
        for name, value in values.items():
            try:
                numbers = (float(value),)
            except (TypeError, ValueError):
                self._leave_out(name, value)
                continue
            key = metric_key(name)
            messages.append(Points(self.run_id, key, steps, numbers, now))
        self._add(messages)

    def series(
        self,
        key: str,
        steps: Sequence[int] | np.ndarray,
        values: Sequence[float] | np.ndarray,
    ) -> None:
        """Add many points to one metric.

        Args:
            key: Name of the metric.
            steps: Integers of shape `(points,)`.
            values: Numbers of shape `(points,)`.

        Raises:
            ValueError: The shapes differ.
        """
        # Copies: the caller's arrays may go on growing.
        x = np.array(steps, dtype=np.int64).ravel()
        y = np.array(values, dtype=np.float64).ravel()
        if x.shape != y.shape:
            raise ValueError(
                "`steps` and `values` must have the same length. "
                f"Received: {len(x)} steps, {len(y)} values"
            )
        now, name = _milliseconds(), metric_key(key)
        cuts = range(0, len(x), MAX_POINTS)
        chunks = [slice(start, start + MAX_POINTS) for start in cuts]
        self._add([Points(self.run_id, name, x[c], y[c], now) for c in chunks])

    def params(self, values: Mapping[str, Any]) -> None:
        """Add parameters; MLflow keeps the first value of each.

        Args:
            values: Names and values. A value is stored as Python prints it
                (`True`, `0.001`, `adam`), cut to 6000 characters.
        """
        self._add_entries(Param, values, _MAX_PARAM)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Add tags or change their values.

        Args:
            values: Names and values, cut to 5000 characters.
        """
        self._add_entries(Tag, values, _MAX_TAG)

    def figure(self, fig: Any, path: str) -> None:
        """Add a figure as an image, which is made before this returns.

        Args:
            fig: A `matplotlib.figure.Figure`.
            path: Where among the artifacts, such as `"figures/loss.png"`.
                The suffix chooses the format.
        """
        kind = path.rpartition(".")[2].lower()
        self._add([Artifact(self.run_id, path, image(fig, kind, _DPI))])

    def figure_later(self, draw: Callable[[], Any], path: str) -> None:
        """Add a figure that a thread draws while the training goes on.

        The end of a search waits for the figure; the run may have ended
        before. If `draw` fails, one warning is logged.

        Args:
            draw: Returns a `matplotlib.figure.Figure`.
            path: See `figure`.
        """

        def job() -> None:
            try:
                self.figure(draw(), path)
            except Exception as error:
                logger.warning(
                    "%s is missing in MLflow run %s: %s: %s",
                    path,
                    self.run_id,
                    type(error).__name__,
                    scrub(error),
                )

        self._outbox.background.do(job)

    def text(self, text: str, path: str) -> None:
        """Add a text file.

        Args:
            text: Its content.
            path: Where among the artifacts, such as `"notes.txt"`.
        """
        self._add([Artifact(self.run_id, path, text.encode())])

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """Add a table as a CSV file.

        Args:
            rows: One mapping a row; a missing cell stays empty. The columns
                are in the order in which their names first occur.
            path: Where among the artifacts, such as `"trials.csv"`.
        """
        names = dict.fromkeys(name for row in rows for name in row)
        sheet = io.StringIO(newline="")
        lines = csv.DictWriter(sheet, names, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
        self.text(sheet.getvalue(), path)

    def model(self, folder: Path, name: str, params: Mapping[str, Any]) -> None:
        """Add a logged model, and its id in MLflow as the tag `name`.

        Args:
            folder: What a function such as `mlflow.keras.save_model` wrote.
                The writer moves it away, and removes it in the end.
            name: Name of the model.
            params: Parameters of the model.

        Raises:
            ValueError: The messages of this run are not kept on disk.
        """
        if self._outbox.folder is None:
            raise ValueError(
                "`model` needs a client whose messages are kept on disk."
            )
        model_id = uuid.uuid4().hex
        shutil.move(folder, self._outbox.folder / model_id)
        texts = {key: _cut(value, _MAX_PARAM) for key, value in params.items()}
        self._add([Model(self.run_id, model_id, name, model_id, texts)])

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all messages so far have been sent.

        Args:
            timeout: Most seconds to wait. None: 30 while the store takes
                messages, 3 while it does not answer; 0 if the messages are
                kept on disk.

        Returns:
            Whether everything was sent (or refused for good).
        """
        if timeout is None and self._outbox.folder is not None:
            timeout = 0.0
        return self._outbox.wait(self._ticket, timeout)

    def end(self, status: str) -> None:
        """End the run after all messages so far, without waiting.

        Only the first call counts.

        Args:
            status: `"FINISHED"`, `"FAILED"` or `"KILLED"`.

        Raises:
            ValueError: `status` is none of these.
        """
        if status not in _STATUSES:
            raise ValueError(
                f"`status` must be one of {_STATUSES}. "
                f"Received: status={status!r}"
            )
        if not self._ended:
            self._ended = True
            self._add([Status(self.run_id, status, _milliseconds())])

    def close(
        self,
        status: str | None = "FINISHED",
        timeout: float | None = None,
    ) -> bool:
        """Send what is left, then end the run.

        If the store does not answer in time, one warning has the number of
        messages that are left. The thread goes on, and the run ends when its
        messages have arrived. Later calls only flush.

        Args:
            status: `"FINISHED"`, `"FAILED"` or `"KILLED"`. None: the run
                stays open.
            timeout: Most seconds to wait, as for `flush`.

        Returns:
            Whether everything was sent (or refused for good).

        Raises:
            ValueError: `status` is none of these.
        """
        if status is not None:
            self.end(status)
        sent = self.flush(timeout)
        if not sent and self._outbox.folder is None:
            logger.warning(
                "%d messages of run %s are not sent yet: MLflow at %s does "
                "not answer or is slow. They are kept and sent until this "
                "process ends.",
                sum(len(message) for message in self.pending),
                self.run_id,
                self._outbox.retries.where,
            )
        return sent

    @property
    def pending(self) -> list[Message]:
        """Messages that the store has not confirmed yet, in order."""
        return self._outbox.pending(self.run_id)

    @property
    def rejected(self) -> list[tuple[Message, str]]:
        """Messages that the store refused for good, and why."""
        return [
            entry
            for entry in self._outbox.retries.rejected
            if entry[0].run_id == self.run_id
        ]

    def _add_entries(
        self, kind: type[Param | Tag], values: Mapping[str, Any], limit: int
    ) -> None:
        self._add(
            [
                kind(self.run_id, metric_key(key), _cut(value, limit))
                for key, value in values.items()
            ]
        )

    def _add(self, messages: Sequence[Message]) -> None:
        if messages:
            self._ticket = self._outbox.put(messages)

    def _leave_out(self, name: str, value: Any) -> None:
        if name not in self._unusable:
            self._unusable.add(name)
            logger.warning(
                "Metric %r is left out of MLflow: its values are not numbers "
                "(%s).",
                name,
                type(value).__name__,
            )


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _cut(value: Any, limit: int) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
