"""One attempt to hand messages to an MLflow server.

MLflow's client repeats a failed HTTP request for minutes before it reports
anything, and prints the server's address, password included, when it ends a
run. So servers are spoken to through their REST API.
"""

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
from keras_ext.tracking.redaction import scrub
from keras_ext.tracking.transport import (
    ID_TAG,
    ArtifactError,
    ClientTransport,
    Seen,
    name_model,
    points_of,
    tags_of,
)

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts/"
# What the server itself keeps, not a storage that clients write to.
_SERVED = "mlflow-artifacts:/"


class NoAnswer(ConnectionError):
    """A server is down, or something else answered in its place.

    Args:
        message: What happened, without credentials.
        status: The HTTP status code, if there was one.
    """

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


class RestTransport(ClientTransport):
    """Sends to an HTTP server: one attempt, a bounded time.

    Args:
        client: The client whose server it is; it sends the files of servers
            that leave storing them to their clients.
        timeout: Seconds that one request may take.
    """

    def __init__(self, client: Any, timeout: float = 30.0):
        super().__init__(client)
        self.timeout = timeout
        # Of the model that is being sent: an attempt that fails half-way
        # leaves less to the next one.
        self._experiment = ("", "")
        self._model: tuple[str, Any] = ("", None)
        self._done: set[str] = set()
        # Where the files of the run belong that got one last.
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
            body[kind] = [{"key": r.key, "value": r.value} for r in messages]
        self._request("POST", "runs/log-batch", json=body)

    def status(self, message: Status) -> None:
        """End a run."""
        body = {
            "run_id": message.run_id,
            "status": message.status,
            "end_time": message.end_time,
        }
        self._request("POST", "runs/update", json=body)

    def artifact(self, message: Artifact) -> None:
        """Send a file."""
        run_id, root = self._root
        if run_id != message.run_id:
            root = self._get_run(message.run_id)["info"]["artifact_uri"]
            self._root = (message.run_id, root)
        if not _is_served(root):
            super().artifact(message)
            return
        self._put_file(root, message.path, message.data)

    def check(self, run_id: str) -> None:
        """Raise if the server does not answer or does not know the run."""
        self._get_run(run_id)

    def see(self, run_id: str) -> Seen:
        """Return what the server knows of a run."""
        info = self._get_run(run_id)["info"]
        return Seen(info["experiment_id"], info["lifecycle_stage"] == "active")

    def create(self, creation: Create) -> str:
        """Make a run; return MLflow's id of it."""
        body = {
            "experiment_id": creation.experiment_id,
            "start_time": creation.start_time,
            "tags": _pairs(tags_of(creation)),
        }
        if creation.name is not None:
            body["run_name"] = creation.name
        answer = self._request("POST", "runs/create", json=body)
        return answer["run"]["info"]["run_id"]

    def find(self, creation: Create) -> list[str]:
        """Return MLflow's ids of what was made so far, the oldest first."""
        body = {
            "experiment_ids": [creation.experiment_id],
            "filter": f"tags.`{ID_TAG}` = '{creation.run_id}'",
            "max_results": 10,
            "order_by": ["attributes.start_time ASC"],
        }
        answer = self._request("POST", "runs/search", json=body)
        return [run["info"]["run_id"] for run in answer.get("runs", ())]

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self._request("POST", "runs/delete", json={"run_id": run_id})

    def reopen(self, message: Reopen) -> None:
        """Let a run go on that had ended."""
        tags = self._get_run(message.run_id)["data"].get("tags", ())
        for key in {tag["key"] for tag in tags} & set(message.forget):
            body = {"run_id": message.run_id, "key": key}
            self._request("POST", "runs/delete-tag", json=body)
        body = {"run_id": message.run_id, "status": "RUNNING"}
        self._request("POST", "runs/update", json=body)

    def model(self, message: Model, folder: Path, again: bool) -> None:
        """Send a model, and tag its run with MLflow's id of it."""
        if self._model[0] != message.model_id:
            info = self._make_model(message, again)
            self._model, self._done = (message.model_id, info), set()
        info = self._model[1]
        model_id = info["model_id"]
        if info.get("status") != "LOGGED_MODEL_READY":
            self._upload(message, folder, model_id, info["artifact_uri"])
            self._once("outputs", self._log_output, message.run_id, model_id)
            body = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
            where = f"logged-models/{model_id}"
            self._once("ready", self._request, "PATCH", where, json=body)
        body = {
            "run_id": message.run_id,
            "key": message.name,
            "value": model_id,
        }
        self._request("POST", "runs/set-tag", json=body)

    def _once(self, step: str, call: Any, *args: Any, **options: Any) -> None:
        """Do one step of sending a model that no attempt has done so far."""
        if step not in self._done:
            call(*args, **options)
            self._done.add(step)

    def _log_output(self, run_id: str, model_id: str) -> None:
        # MLflow's databases refuse a second one.
        outputs = self._get_run(run_id).get("outputs", {})
        known = outputs.get("model_outputs", ())
        if model_id not in {output["model_id"] for output in known}:
            models = [{"model_id": model_id, "step": 0}]
            body = {"run_id": run_id, "models": models}
            self._request("POST", "runs/outputs", json=body)

    def _make_model(self, message: Model, again: bool) -> Any:
        if self._experiment[0] != message.run_id:
            seen = self.see(message.run_id)
            self._experiment = (message.run_id, seen.experiment_id)
        experiment = self._experiment[1]
        info = self._find_model(experiment, message) if again else None
        if info is not None:
            return info
        body = {
            "experiment_id": experiment,
            "name": message.name,
            "source_run_id": message.run_id,
            "tags": _pairs({ID_TAG: message.model_id}),
            "params": _pairs(message.params),
        }
        answer = self._request("POST", "logged-models", json=body)
        return answer["model"]["info"]

    def _find_model(self, experiment: str, message: Model) -> Any:
        body = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{ID_TAG}` = '{message.model_id}'",
        }
        answer = self._request("POST", "logged-models/search", json=body)
        models = answer.get("models", ())
        return models[0]["info"] if models else None

    def _upload(
        self, message: Model, folder: Path, model_id: str, root: str
    ) -> None:
        name_model(folder, message, model_id, root)
        if not _is_served(root):
            try:
                self.client.log_model_artifacts(model_id, str(folder))
            except Exception as error:
                raise ArtifactError(f"{message.name}: {error}") from error
            return
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.is_file():
                data = path.read_bytes()
                self._once(f"/{relative}", self._put_file, root, relative, data)

    def _get_run(self, run_id: str) -> Any:
        params = {"run_id": run_id}
        return self._request("GET", "runs/get", params=params)["run"]

    def _put_file(self, root: str, path: str, data: bytes) -> None:
        where = quote(f"{root.removeprefix(_SERVED).strip('/')}/{path}")
        try:
            rest_request(
                self.uri, "PUT", where, self.timeout, base=_FILES, data=data
            )
        except NoAnswer:
            raise
        except Exception as error:
            # Files may be stored where nothing can be written.
            raise ArtifactError(f"{path}: {error}") from error

    def _request(self, method: str, call: str, **content: Any) -> Any:
        return rest_request(
            self.uri, method, call, self.timeout, **content
        ).json()


def _is_served(root: str) -> bool:
    return root.startswith(_SERVED) and not root.startswith(f"{_SERVED}/")


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def rest_request(
    uri: str,
    method: str,
    call: str,
    timeout: float,
    base: str = _API,
    **content: Any,
) -> Any:
    """Make one request to an MLflow server, with MLflow's own credentials.

    These two helpers of MLflow are not part of its documented API, but its
    server plugins rely on them; they know every way to authenticate, and the
    documented calls have no way to turn their retries off.

    Args:
        uri: Address of the server.
        method: HTTP method.
        call: Path below `base`.
        timeout: Seconds to wait for the connection, and for the answer.
        base: Path of the API.
        **content: `json=`, `params=` or `data=`.

    Returns:
        The response.

    Raises:
        NoAnswer: Nobody answered, or not MLflow.
        mlflow.exceptions.RestException: MLflow's answer is an error.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    endpoint = f"{base}{call}"
    response, problem = None, ""
    try:
        response = http_request(
            get_default_host_creds(uri),
            endpoint,
            method,
            max_retries=0,
            timeout=timeout,
            raise_on_status=False,
            **content,
        )
    except Exception as error:
        # The end tells why; before it stand three wrappers.
        problem = str(error).rpartition("): ")[2].strip("\"')")
        problem = scrub(problem, uri)
    # Outside the handler: the original exception quotes the URI as it is.
    if response is None:
        raise NoAnswer(problem)
    # What stores a file answers with nothing.
    is_stored = base == _FILES and response.status_code == 200
    if not (is_stored or response.text.lstrip().startswith("{")):
        # A proxy's page, for example, while the server restarts.
        status = response.status_code
        raise NoAnswer(f"HTTP status {status}, not from MLflow", status)
    return verify_rest_response(response, endpoint)


def _json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    # JSON has no such numbers; MLflow reads the names that protobuf gives.
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
