"""Requests to an MLflow server: one attempt each, in a bounded time.

MLflow's client repeats a failed HTTP request for minutes before it reports
the failure. It also prints the server's address, password included, when it
ends a run.
"""

from typing import Any

from keras_ext.tracking.redaction import scrub

_API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"


class NoAnswer(ConnectionError):
    """A server is down, or another program answered in its place."""

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status  # the HTTP status code, if there was one


def rest_request(
    uri: str,
    method: str,
    call: str,
    timeout: float,
    base: str = _API,
    **content: Any,
) -> Any:
    """Make one request to an MLflow server, with MLflow's own credentials.

    The two helpers of MLflow are not part of its documented API, but its
    server plugins rely on them. They know every way to authenticate, and
    their retries can be turned off; those of the documented calls cannot.
    `content` is `json=`, `params=` or `data=`.

    Raises:
        NoAnswer: Nothing answered, or not MLflow.
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
        # Three wrappers stand before the reason.
        problem = str(error).rpartition("): ")[2].strip("\"')")
        problem = scrub(problem, uri)
    # Outside the handler: the original exception quotes the URI as it is.
    if response is None:
        raise NoAnswer(problem)
    # The answer to a stored file is empty.
    is_stored = base == FILES and response.status_code == 200
    if not (is_stored or response.text.lstrip().startswith("{")):
        # A proxy's page, for example, while the server restarts.
        status = response.status_code
        raise NoAnswer(f"HTTP status {status}, not from MLflow", status)
    return verify_rest_response(response, endpoint)
