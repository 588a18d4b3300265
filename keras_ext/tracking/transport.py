"""One attempt to hand messages to a store, without waiting for it to recover.

HTTP servers are spoken to through their REST API (`rest_transport.py`), every
other store through MLflow's client.
"""

import posixpath
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ext.tracking.messages import (
    Artifact,
    Create,
    Model,
    Points,
    Reopen,
    Status,
    Tag,
)

# The tag by which a run or model is found again whose making was confirmed
# to nobody.
ID_TAG = "keras_ext.id"

# Error codes with which a store says no, and would say no again.
_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
}


class ArtifactError(Exception):
    """The store answers, but did not take a file."""


@dataclass(frozen=True)
class Seen:
    """What the store knows of a run."""

    experiment_id: str
    is_active: bool


def is_refusal(error: BaseException) -> bool:
    """Return whether sending the same thing again would fail again."""
    return getattr(error, "error_code", None) in _REFUSALS


def is_doubtful(error: BaseException) -> bool:
    """Return whether it would probably fail again.

    MLflow reports all database errors but lost connections as bad requests.
    """
    code = getattr(error, "error_code", None)
    return isinstance(error, ArtifactError) or code == "BAD_REQUEST"


def transport_for(client: Any) -> "ClientTransport":
    """Return what sends to the store of `client`."""
    uri = getattr(client, "tracking_uri", None)
    if isinstance(uri, str) and uri.startswith(("http://", "https://")):
        import mlflow

        # A subclass or a stand-in may send differently: it is asked then.
        if type(client) is mlflow.MlflowClient:
            from keras_ext.tracking.rest_transport import RestTransport

            return RestTransport(client)
    return ClientTransport(client)


class ClientTransport:
    """Sends through an `mlflow.MlflowClient`.

    Args:
        client: The client.
    """

    def __init__(self, client: Any):
        self.client = client
        uri = getattr(client, "tracking_uri", None)
        self.uri = uri if isinstance(uri, str) else "the tracking store"

    def batch(self, run_id: str, messages: Sequence[Any]) -> None:
        """Send points, parameters or tags (one kind at a time)."""
        from mlflow.entities import Metric, Param, RunTag

        if isinstance(messages[0], Points):
            points = [Metric(*point) for point in points_of(messages)]
            self.client.log_batch(run_id, metrics=points)
        elif isinstance(messages[0], Tag):
            tags = [RunTag(r.key, r.value) for r in messages]
            self.client.log_batch(run_id, tags=tags)
        else:
            params = [Param(r.key, r.value) for r in messages]
            self.client.log_batch(run_id, params=params)

    def artifact(self, message: Artifact) -> None:
        """Send a file."""
        self.check(message.run_id)
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

    def check(self, run_id: str) -> None:
        """Raise if the store does not answer or does not know the run."""
        self.client.get_run(run_id)

    def see(self, run_id: str) -> Seen:
        """Return what the store knows of a run."""
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
        """Return MLflow's ids of what was made so far, the oldest first."""
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
        """Let a run go on that had ended."""
        known = self.client.get_run(message.run_id).data.tags
        for tag in message.forget:
            if tag in known:
                self.client.delete_tag(message.run_id, tag)
        self.client.update_run(message.run_id, status="RUNNING")

    def model(self, message: Model, folder: Path, again: bool) -> None:
        """Send a model, and tag its run with MLflow's id of it.

        Args:
            message: What it is.
            folder: Where it was saved.
            again: Whether it may be there already, from an earlier attempt.
        """
        from mlflow.entities import LoggedModelOutput

        found = None
        experiment = self.see(message.run_id).experiment_id
        if again:
            models = self.client.search_logged_models([experiment])
            for model in models:
                if (model.tags or {}).get(ID_TAG) == message.model_id:
                    found = model
        if found is None:
            found = self.client.create_logged_model(
                experiment_id=experiment,
                name=message.name,
                source_run_id=message.run_id,
                tags={ID_TAG: message.model_id},
                params=dict(message.params),
            )
        if found.status != "READY":
            name_model(folder, message, found.model_id, found.artifact_location)
            try:
                self.client.log_model_artifacts(found.model_id, str(folder))
            except Exception as error:
                raise ArtifactError(f"{message.name}: {error}") from error
            # MLflow's databases refuse a second one.
            outputs = self.client.get_run(message.run_id).outputs
            known = outputs.model_outputs if outputs else ()
            if found.model_id not in {output.model_id for output in known}:
                self.client.log_outputs(
                    message.run_id, [LoggedModelOutput(found.model_id, step=0)]
                )
            self.client.finalize_logged_model(found.model_id, "READY")
        self.client.set_tag(message.run_id, message.name, found.model_id)


def tags_of(creation: Create) -> dict[str, str]:
    """Return all tags of a new run."""
    tags = {**creation.tags, ID_TAG: creation.run_id}
    if creation.parent_id is not None:
        tags["mlflow.parentRunId"] = creation.parent_id
    return tags


def name_model(folder: Path, message: Model, model_id: str, place: str) -> None:
    """Write into a saved model what it is called in the store."""
    from mlflow.models import Model as Description

    path = folder / "MLmodel"
    description = Description.load(path)
    description.artifact_path = place
    description.model_uuid = description.model_id = model_id
    description.run_id = message.run_id
    description.save(path)


def points_of(messages: Sequence[Points]) -> list[tuple[str, float, int, int]]:
    """Return key, value, timestamp and step of every point."""
    return [
        (message.key, float(value), message.timestamp, int(step))
        for message in messages
        for step, value in zip(message.steps, message.values, strict=True)
    ]
