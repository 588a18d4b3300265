"""One attempt to send messages to a store, through MLflow's client.

An attempt does not wait for a store to recover. HTTP servers are reached
through their REST API instead (`rest_transport.py`).
"""

import posixpath
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_ext.tracking.messages import (
    Artifact,
    Create,
    Model,
    Points,
    Reopen,
    Status,
    Tag,
)

# The tag by which a run or model is found if the store's answer was lost.
ID_TAG = "keras_ext.id"

# Error codes of a refusal that the store would repeat.
_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
}


class ArtifactError(Exception):
    """The store answers, but did not take a file."""


class Seen(NamedTuple):
    """What the store knows about a run."""

    experiment_id: str
    is_active: bool


class StoredModel(NamedTuple):
    """What the store knows about a logged model."""

    model_id: str
    place: str  # where its files belong
    is_ready: bool


def is_refusal(error: BaseException) -> bool:
    """Return whether sending the same message again would fail again."""
    return getattr(error, "error_code", None) in _REFUSALS


def is_doubtful(error: BaseException) -> bool:
    """Return whether sending it again would probably fail again.

    MLflow reports all database errors except lost connections as bad
    requests.
    """
    code = getattr(error, "error_code", None)
    return isinstance(error, ArtifactError) or code == "BAD_REQUEST"


class ClientTransport:
    """Sends through an `mlflow.MlflowClient`."""

    def __init__(self, client: Any):
        self.client = client
        uri = getattr(client, "tracking_uri", None)
        self.uri = uri if isinstance(uri, str) else "the tracking store"
        # Of the model that is being sent: an attempt does only what no
        # earlier one has done. Otherwise a server that loses every second
        # answer would never get it.
        self._experiment = ("", "")
        self._model: tuple[str, StoredModel | None] = ("", None)
        self._done: set[str] = set()

    def batch(self, run_id: str, messages: Sequence[Any]) -> None:
        """Send points, parameters or tags (one kind at a time)."""
        from mlflow.entities import Metric, Param, RunTag

        if isinstance(messages[0], Points):
            points = [Metric(*point) for point in points_of(messages)]
            self.client.log_batch(run_id, metrics=points)
        elif isinstance(messages[0], Tag):
            tags = [RunTag(m.key, m.value) for m in messages]
            self.client.log_batch(run_id, tags=tags)
        else:
            params = [Param(m.key, m.value) for m in messages]
            self.client.log_batch(run_id, params=params)

    def artifact(self, message: Artifact) -> None:
        """Send a file."""
        self.see(message.run_id)  # raises if the store does not answer
        folder, name = posixpath.split(message.path)
        with tempfile.TemporaryDirectory(prefix="keras_ext-") as temporary:
            path = Path(temporary, name)
            path.write_bytes(message.data)
            try:
                self.client.log_artifact(
                    message.run_id, str(path), folder or None
                )
            except Exception as error:
                raise ArtifactError(f"{message.path}: {error}") from error

    def status(self, message: Status) -> None:
        """End a run."""
        self.client.set_terminated(
            message.run_id, message.status, message.end_time
        )

    def see(self, run_id: str) -> Seen:
        """Return what the store knows about a run."""
        info = self.client.get_run(run_id).info
        return Seen(info.experiment_id, info.lifecycle_stage == "active")

    def create(self, creation: Create) -> str:
        """Make a run; return MLflow's id of it."""
        run = self.client.create_run(
            creation.experiment_id,
            start_time=creation.start_time,
            tags=tags_of(creation),
            run_name=creation.name,
        )
        return run.info.run_id

    def find(self, creation: Create) -> list[str]:
        """Return MLflow's ids of the runs made so far, the oldest first."""
        runs = self.client.search_runs(
            [creation.experiment_id],
            f"tags.`{ID_TAG}` = '{creation.run_id}'",
            max_results=10,
            order_by=["attributes.start_time ASC"],
        )
        return [run.info.run_id for run in runs]

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self.client.delete_run(run_id)

    def reopen(self, message: Reopen) -> None:
        """Let a run that had ended go on."""
        known = self.client.get_run(message.run_id).data.tags
        for tag in message.forget:
            if tag in known:
                self.client.delete_tag(message.run_id, tag)
        self.client.update_run(message.run_id, status="RUNNING")

    def model(self, message: Model, folder: Path, again: bool) -> None:
        """Send a model from `folder`; again: it may exist in the store."""
        run_id = message.run_id
        if self._experiment[0] != run_id:
            self._experiment = (run_id, self.see(run_id).experiment_id)
        model_id, stored = self._model
        if stored is None or model_id != message.model_id:
            experiment = self._experiment[1]
            stored = self._find_model(experiment, message) if again else None
            stored = stored or self._make_model(experiment, message)
            self._model, self._done = (message.model_id, stored), set()
        if not stored.is_ready:
            _name_model(folder, message, stored)
            self._once("files", self._upload, message, folder, stored)
            self._once("output", self._add_output, run_id, stored.model_id)
            self._once("ready", self._finish_model, stored.model_id)
        self._set_tag(run_id, message.name, stored.model_id)

    def _once(self, step: str, call: Callable[..., Any], *args: Any) -> None:
        """Do one step of sending a model, unless an attempt has done it."""
        if step not in self._done:
            call(*args)
            self._done.add(step)

    def _find_model(
        self, experiment: str, message: Model
    ) -> StoredModel | None:
        for model in self.client.search_logged_models([experiment]):
            if (model.tags or {}).get(ID_TAG) == message.model_id:
                return _stored(model)
        return None

    def _make_model(self, experiment: str, message: Model) -> StoredModel:
        model = self.client.create_logged_model(
            experiment_id=experiment,
            name=message.name,
            source_run_id=message.run_id,
            tags={ID_TAG: message.model_id},
            params=dict(message.params),
        )
        return _stored(model)

    def _upload(
        self, message: Model, folder: Path, stored: StoredModel
    ) -> None:
        try:
            self.client.log_model_artifacts(stored.model_id, str(folder))
        except Exception as error:
            raise ArtifactError(f"{message.name}: {error}") from error

    def _add_output(self, run_id: str, model_id: str) -> None:
        from mlflow.entities import LoggedModelOutput

        # MLflow's databases refuse a second one.
        outputs = self.client.get_run(run_id).outputs
        known = outputs.model_outputs if outputs else ()
        if model_id not in {output.model_id for output in known}:
            output = LoggedModelOutput(model_id, step=0)
            self.client.log_outputs(run_id, [output])

    def _finish_model(self, model_id: str) -> None:
        self.client.finalize_logged_model(model_id, "READY")

    def _set_tag(self, run_id: str, key: str, value: str) -> None:
        self.client.set_tag(run_id, key, value)


def tags_of(creation: Create) -> dict[str, str]:
    """Return all tags of a new run."""
    tags = {**creation.tags, ID_TAG: creation.run_id}
    if creation.parent_id is not None:
        tags["mlflow.parentRunId"] = creation.parent_id
    return tags


def points_of(messages: Sequence[Points]) -> list[tuple[str, float, int, int]]:
    """Return key, value, timestamp and step of every point."""
    return [
        (message.key, float(value), message.timestamp, int(step))
        for message in messages
        for step, value in zip(message.steps, message.values, strict=True)
    ]


def _stored(model: Any) -> StoredModel:
    is_ready = model.status == "READY"
    return StoredModel(model.model_id, model.artifact_location, is_ready)


def _name_model(folder: Path, message: Model, stored: StoredModel) -> None:
    """Write the store's names into a saved model."""
    from mlflow.models import Model as Description

    path = folder / "MLmodel"
    description = Description.load(path)
    description.artifact_path = stored.place
    description.model_uuid = description.model_id = stored.model_id
    description.run_id = message.run_id
    description.save(path)
