"""One attempt to send messages to an MLflow server, through its REST API."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from keras_ext.tracking.messages import (
    Artifact,
    Create,
    Model,
    Param,
    Points,
    Reopen,
    Status,
)
from keras_ext.tracking.rest_api import FILES, NoAnswer, rest_request
from keras_ext.tracking.transport import (
    ID_TAG,
    ArtifactError,
    ClientTransport,
    Seen,
    StoredModel,
    points_of,
    tags_of,
)

# The start of a place that the server itself keeps.
_SERVED = "mlflow-artifacts:/"


class RestTransport(ClientTransport):
    """Sends to an HTTP server: one attempt, in a bounded time.

    The client sends the files if the server does not store them.
    """

    timeout = 30.0  # seconds of one request

    def __init__(self, client: Any):
        super().__init__(client)
        # The run that got a file last, and where its files belong.
        self._root = ("", "")

    def batch(self, run_id: str, messages: Sequence[Any]) -> None:
        """Send points, parameters or tags (one kind at a time)."""
        body: dict[str, Any] = {"run_id": run_id}
        if isinstance(messages[0], Points):
            names = ("key", "value", "timestamp", "step")
            body["metrics"] = [
                dict(zip(names, (key, _json(value), *when), strict=True))
                for key, value, *when in points_of(messages)
            ]
        else:
            kind = "params" if isinstance(messages[0], Param) else "tags"
            body[kind] = [{"key": m.key, "value": m.value} for m in messages]
        self._post("runs/log-batch", **body)

    def status(self, message: Status) -> None:
        """End a run."""
        self._post(
            "runs/update",
            run_id=message.run_id,
            status=message.status,
            end_time=message.end_time,
        )

    def artifact(self, message: Artifact) -> None:
        """Send a file."""
        run_id, root = self._root
        if run_id != message.run_id:
            root = self._get_run(message.run_id)["info"]["artifact_uri"]
            self._root = (message.run_id, root)
        if _is_served(root):
            self._put_file(root, message.path, message.data)
        else:
            super().artifact(message)

    def see(self, run_id: str) -> Seen:
        """Return what the server knows about a run."""
        info = self._get_run(run_id)["info"]
        return Seen(info["experiment_id"], info["lifecycle_stage"] == "active")

    def create(self, creation: Create) -> str:
        """Make a run; return MLflow's id of it."""
        name = {} if creation.name is None else {"run_name": creation.name}
        answer = self._post(
            "runs/create",
            experiment_id=creation.experiment_id,
            start_time=creation.start_time,
            tags=_pairs(tags_of(creation)),
            **name,
        )
        return answer["run"]["info"]["run_id"]

    def find(self, creation: Create) -> list[str]:
        """Return MLflow's ids of the runs made so far, the oldest first."""
        answer = self._post(
            "runs/search",
            experiment_ids=[creation.experiment_id],
            filter=f"tags.`{ID_TAG}` = '{creation.run_id}'",
            max_results=10,
            order_by=["attributes.start_time ASC"],
        )
        return [run["info"]["run_id"] for run in answer.get("runs", ())]

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self._post("runs/delete", run_id=run_id)

    def reopen(self, message: Reopen) -> None:
        """Let a run that had ended go on."""
        run_id = message.run_id
        tags = self._get_run(run_id)["data"].get("tags", ())
        for key in {tag["key"] for tag in tags} & set(message.forget):
            self._post("runs/delete-tag", run_id=run_id, key=key)
        self._post("runs/update", run_id=run_id, status="RUNNING")

    def _find_model(
        self, experiment: str, message: Model
    ) -> StoredModel | None:
        answer = self._post(
            "logged-models/search",
            experiment_ids=[experiment],
            filter=f"tags.`{ID_TAG}` = '{message.model_id}'",
        )
        models = answer.get("models", ())
        return _stored(models[0]["info"]) if models else None

    def _make_model(self, experiment: str, message: Model) -> StoredModel:
        answer = self._post(
            "logged-models",
            experiment_id=experiment,
            name=message.name,
            source_run_id=message.run_id,
            tags=_pairs({ID_TAG: message.model_id}),
            params=_pairs(message.params),
        )
        return _stored(answer["model"]["info"])

    def _upload(
        self, message: Model, folder: Path, stored: StoredModel
    ) -> None:
        if not _is_served(stored.place):
            super()._upload(message, folder, stored)
            return
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                data = path.read_bytes()
                self._once(f"/{name}", self._put_file, stored.place, name, data)

    def _add_output(self, run_id: str, model_id: str) -> None:
        # MLflow's databases refuse a second one.
        outputs = self._get_run(run_id).get("outputs", {})
        known = outputs.get("model_outputs", ())
        if model_id not in {output["model_id"] for output in known}:
            models = [{"model_id": model_id, "step": 0}]
            self._post("runs/outputs", run_id=run_id, models=models)

    def _finish_model(self, model_id: str) -> None:
        body = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        self._request("PATCH", f"logged-models/{model_id}", json=body)

    def _set_tag(self, run_id: str, key: str, value: str) -> None:
        self._post("runs/set-tag", run_id=run_id, key=key, value=value)

    def _get_run(self, run_id: str) -> Any:
        params = {"run_id": run_id}
        return self._request("GET", "runs/get", params=params)["run"]

    def _put_file(self, root: str, path: str, data: bytes) -> None:
        where = quote(f"{root.removeprefix(_SERVED).strip('/')}/{path}")
        try:
            rest_request(
                self.uri, "PUT", where, self.timeout, base=FILES, data=data
            )
        except NoAnswer:
            raise
        except Exception as error:
            # The server may be unable to write to its own storage.
            raise ArtifactError(f"{path}: {error}") from error

    def _post(self, call: str, **body: Any) -> Any:
        return self._request("POST", call, json=body)

    def _request(self, method: str, call: str, **content: Any) -> Any:
        return rest_request(
            self.uri, method, call, self.timeout, **content
        ).json()


def _is_served(root: str) -> bool:
    return root.startswith(_SERVED) and not root.startswith(f"{_SERVED}/")


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _stored(info: Mapping[str, Any]) -> StoredModel:
    is_ready = info.get("status") == "LOGGED_MODEL_READY"
    return StoredModel(info["model_id"], info["artifact_uri"], is_ready)


def _json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    # JSON has no such numbers; MLflow reads the names that protobuf uses.
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
