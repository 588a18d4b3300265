"""Finding or making the run that messages go to."""

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

# Lets MLflow's UI open an experiment on its runs and metrics, not on the
# traces of language models.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


# MLflow's own columns, which a child shares with its parent.
_SHARED_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")


@dataclass(frozen=True)
class Parent:
    """A run below which others begin.

    Args:
        run_id: The run.
        experiment_id: Its experiment.
        tags: Its tags; what MLflow shows in columns of its own passes on to
            the runs below it.
    """

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
    """Begin a run below another one.

    Args:
        client: An `mlflow.MlflowClient`.
        parent: The other run.
        name: Name of the run.
        tags: Its tags.

    Returns:
        The run's id. Where messages are kept on disk, it is an id of our own
        that `RunWriter` and others take as well: the run is made in the
        background, whether or not the store answers.
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
    """Return the person's active MLflow run, if `client` can write to it.

    Args:
        client: An `mlflow.MlflowClient`.

    Returns:
        The run's id. None if there is none in this thread, or if it is kept
        in another store.
    """
    mlflow = sys.modules.get("mlflow")
    # Whoever has an active run has imported MLflow.
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
    """Create a run, tagged with what it runs on.

    Args:
        client: An `mlflow.MlflowClient`.
        experiment: Name of the experiment, see `experiment_id`.
        run_name: Name of the run; MLflow makes one up otherwise.
        tags: Further tags.
        parent_run_id: The run below which MLflow shows this one.

    Returns:
        The run's id.
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
    """Return the id of an experiment, which is created if there is none.

    Args:
        client: An `mlflow.MlflowClient`.
        name: Its name. None: the one that `mlflow.set_experiment`,
            `MLFLOW_EXPERIMENT_ID` or `MLFLOW_EXPERIMENT_NAME` says, else
            MLflow's `Default`.

    Returns:
        The id.

    Raises:
        TrackingError: The experiment has been deleted.
    """
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
