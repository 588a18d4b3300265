"""Finding or making the run that messages are for."""

import os
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keras_ext.tracking.client import TrackingError
from keras_ext.tracking.environment import environment_tags
from keras_ext.tracking.messages import Create
from keras_ext.tracking.outboxes import outbox_for

# With this tag MLflow's UI opens an experiment on its runs and metrics, not
# on the traces of language models.
_KIND = {"mlflow.experimentKind": "custom_model_development"}

# Of MLflow's own columns, which a child shares with its parent.
_SHARED_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")


@dataclass(frozen=True)
class Parent:
    """A run below which others begin."""

    run_id: str
    experiment_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def with_run(self, run_id: str) -> "Parent":
        """Return another run of the same kind."""
        return replace(self, run_id=run_id)


def begin_run(
    client: Any,
    parent: Parent,
    name: str,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Begin a run below another one; return its id.

    If messages are kept on disk, it is an id of our own, which `RunWriter`
    and others accept. The run is made in the background, whether or not the
    store answers.
    """
    known = parent.tags
    all_tags = {
        **{key: known[key] for key in _SHARED_TAGS if key in known},
        **(tags or {}),
    }
    outbox = outbox_for(client)
    if outbox.folder is None:
        all_tags["mlflow.parentRunId"] = parent.run_id
        run = client.create_run(
            parent.experiment_id, tags=all_tags, run_name=name
        )
        return run.info.run_id
    creation = Create(
        uuid.uuid4().hex,
        parent.experiment_id,
        name,
        all_tags,
        time.time_ns() // 1_000_000,
        parent.run_id,
    )
    outbox.put([creation])
    return creation.run_id


def active_run_id(client: Any) -> str | None:
    """Return the id of the active MLflow run, if `client` has its store."""
    # A program with an active run has imported MLflow.
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow else None
    if mlflow is None or run is None:
        return None
    if client.tracking_uri != mlflow.get_tracking_uri():
        return None
    return run.info.run_id


def create_run(
    client: Any,
    experiment: str | None = None,
    run_name: str | None = None,
    tags: Mapping[str, Any] | None = None,
    parent_run_id: str | None = None,
) -> str:
    """Create a run with the tags of its environment.

    Args:
        client: An `mlflow.MlflowClient`, for example from `connect`.
        experiment: Name of the experiment, which is created if it is missing.
            Defaults to `None`: the experiment of `mlflow.set_experiment`,
            `MLFLOW_EXPERIMENT_ID` or `MLFLOW_EXPERIMENT_NAME`, or else
            MLflow's `Default`.
        run_name: Name of the run. Defaults to `None`: MLflow chooses a name.
        tags: Tags beside those of `environment_tags`. Defaults to `None`.
        parent_run_id: The run below which MLflow shows this one. Defaults to
            `None`.

    Returns:
        The run's id.

    Raises:
        TrackingError: The experiment has been deleted.

    Example:
        >>> import tempfile
        >>> from keras_ext.tracking import connect, create_run
        >>> folder = tempfile.TemporaryDirectory()
        >>> client = connect(f"sqlite:///{folder.name}/mlflow.db")
        >>> run_id = create_run(client, "digits", tags={"data": "v2"})
        >>> client.get_run(run_id).data.tags["data"]
        'v2'
        >>> folder.cleanup()
    """
    all_tags = environment_tags()
    all_tags |= {key: str(value) for key, value in (tags or {}).items()}
    if parent_run_id is not None:
        all_tags["mlflow.parentRunId"] = parent_run_id
    run = client.create_run(
        experiment_id(client, experiment), tags=all_tags, run_name=run_name
    )
    return run.info.run_id


def experiment_id(client: Any, name: str | None = None) -> str:
    """Return the id of an experiment, which is created if it is missing."""
    from mlflow import get_tracking_uri
    from mlflow.exceptions import MlflowException

    if name is None and client.tracking_uri == get_tracking_uri():
        # `mlflow.set_experiment` sets the variable too.
        if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return chosen
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, tags=_KIND)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another process was faster.
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            "`experiment` has been deleted in MLflow; restore it or choose "
            f"another name. Received: experiment={name!r}"
        )
    return experiment.experiment_id
