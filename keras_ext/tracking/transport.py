"""One attempt to hand records to a store, without waiting for it to recover.

MLflow's client repeats a failed HTTP request for minutes before it reports
anything, and prints the server's address, password included, when it ends a
run. So HTTP servers are spoken to through their REST API, one attempt at a
time; every other store goes through the client.
"""

import math
import posixpath
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ext.tracking.records import Artifact, Param, Points, Status, Tag
from keras_ext.tracking.redaction import scrub

# Error codes with which a store says no, and would say no again.
_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
}


class ArtifactError(Exception):
    """The store answers, but did not take a file."""


class NoAnswer(ConnectionError):
    """A server is down, or something else answered in its place.

    Args:
        message: What happened, without credentials.
        status: The HTTP status code, if there was one.
    """

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


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

    def batch(self, run_id: str, records: Sequence[Any]) -> None:
        """Send points, parameters or tags (one kind at a time)."""
        from mlflow.entities import Metric, Param, RunTag

        if isinstance(records[0], Points):
            points = [Metric(*point) for point in _points(records)]
            self.client.log_batch(run_id, metrics=points)
        elif isinstance(records[0], Tag):
            tags = [RunTag(r.key, r.value) for r in records]
            self.client.log_batch(run_id, tags=tags)
        else:
            params = [Param(r.key, r.value) for r in records]
            self.client.log_batch(run_id, params=params)

    def artifact(self, record: Artifact) -> None:
        """Send a file."""
        self.check(record.run_id)
        folder, name = posixpath.split(record.path)
        with tempfile.TemporaryDirectory(prefix="keras_ext-") as temporary:
            path = Path(temporary, name)
            path.write_bytes(record.data)
            try:
                self.client.log_artifact(
                    record.run_id, str(path), folder or None
                )
            except Exception as error:
                raise ArtifactError(f"{record.path}: {error}") from error

    def status(self, record: Status) -> None:
        """End a run."""
        self.client.set_terminated(
            record.run_id, record.status, record.end_time
        )

    def check(self, run_id: str) -> None:
        """Raise if the store does not answer or does not know the run."""
        self.client.get_run(run_id)


class RestTransport(ClientTransport):
    """Sends to an HTTP server: one attempt, a bounded time.

    Args:
        client: The client whose server it is; it still sends files.
        timeout: Seconds that one request may take.
    """

    def __init__(self, client: Any, timeout: float = 30.0):
        super().__init__(client)
        self.timeout = timeout

    def batch(self, run_id: str, records: Sequence[Any]) -> None:
        """Send points, parameters or tags (one kind at a time)."""
        body: dict[str, Any] = {"run_id": run_id}
        if isinstance(records[0], Points):
            names = ("key", "value", "timestamp", "step")
            body["metrics"] = [
                dict(zip(names, (key, _json(value), *when), strict=True))
                for key, value, *when in _points(records)
            ]
        else:
            kind = "params" if isinstance(records[0], Param) else "tags"
            body[kind] = [{"key": r.key, "value": r.value} for r in records]
        self._request("POST", "runs/log-batch", json=body)

    def status(self, record: Status) -> None:
        """End a run."""
        body = {
            "run_id": record.run_id,
            "status": record.status,
            "end_time": record.end_time,
        }
        self._request("POST", "runs/update", json=body)

    def check(self, run_id: str) -> None:
        """Raise if the server does not answer or does not know the run."""
        self._request("GET", "runs/get", params={"run_id": run_id})

    def _request(self, method: str, call: str, **content: Any) -> None:
        rest_request(self.uri, method, call, self.timeout, **content)


def rest_request(
    uri: str, method: str, call: str, timeout: float, **content: Any
) -> Any:
    """Make one request to an MLflow server, with MLflow's own credentials.

    These two helpers of MLflow are not part of its documented API, but its
    server plugins rely on them; they know every way to authenticate, and the
    documented calls have no way to turn their retries off.

    Args:
        uri: Address of the server.
        method: HTTP method.
        call: Path below `/api/2.0/mlflow/`.
        timeout: Seconds to wait for the connection, and for the answer.
        **content: `json=` or `params=`.

    Returns:
        The response.

    Raises:
        NoAnswer: Nobody answered, or not MLflow.
        mlflow.exceptions.RestException: MLflow's answer is an error.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    endpoint = f"/api/2.0/mlflow/{call}"
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
    if not response.text.lstrip().startswith("{"):
        # A proxy's page, for example, while the server restarts.
        status = response.status_code
        raise NoAnswer(f"HTTP status {status}, not from MLflow", status)
    return verify_rest_response(response, endpoint)


def _points(records: Sequence[Points]) -> list[tuple[str, float, int, int]]:
    return [
        (record.key, float(value), record.timestamp, int(step))
        for record in records
        for step, value in zip(record.steps, record.values, strict=True)
    ]


def _json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    # JSON has no such numbers; MLflow reads the names that protobuf gives.
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
