"""Connecting to the tracking store; a store that is down is an error."""

import contextlib
import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from keras_ext._optional import require
from keras_ext.tracking.redaction import redact, scrub
from keras_ext.tracking.rest_api import NoAnswer, rest_request

if TYPE_CHECKING:
    import mlflow

_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class TrackingError(ConnectionError):
    """The tracking store cannot be reached or used.

    The message is one line. It names the store and holds no credentials.

    Example:
        >>> from keras_ext.tracking import TrackingError
        >>> issubclass(TrackingError, ConnectionError)
        True
    """


def connect(
    tracking_uri: str | os.PathLike[str] | None = None,
    timeout: float = 5.0,
) -> "mlflow.MlflowClient":
    """Return a client whose store has just answered.

    MLflow tries for minutes before it reports that a server is down. This
    function makes one attempt. MLflow's global state (tracking URI, active
    run) stays the same. No experiment is created, except `Default`, which
    MLflow puts into a new database.

    Args:
        tracking_uri: The store: `http(s)://…`, `sqlite:///…`, another
            database, a folder, or any other URI that MLflow knows. Defaults
            to `None`: MLflow's own setting (`mlflow.set_tracking_uri`,
            `MLFLOW_TRACKING_URI`, or MLflow's default).
        timeout: Seconds that the store has to answer. Making a new database
            may take longer. Defaults to `5.0`.

    Returns:
        An `mlflow.MlflowClient`.

    Raises:
        TrackingError: The store does not answer, does not exist or cannot be
            written to.
        ImportError: MLflow is not installed.

    Example:
        >>> from keras_ext.tracking import TrackingError, connect
        >>> try:
        ...     connect("sqlite:////no/such/place/mlflow.db")
        ... except TrackingError as error:
        ...     print(str(error)[-27:])
        no folder '/no/such/place'.
    """
    uri = _uri(tracking_uri)
    try:
        return _open(uri, timeout)
    except Exception as error:
        reason = _reason(error, uri)
    # Outside the handler: the original exceptions quote the URI as it is.
    raise TrackingError(f"MLflow store {redact(uri)!r} {reason}")


def connect_later(tracking_uri: str | os.PathLike[str] | None = None) -> Any:
    """Return a client for a store that does not answer now.

    It is an `mlflow.MlflowClient`, or an object that makes one when it is used
    and the store answers.
    """
    uri = _uri(tracking_uri)
    if urlsplit(uri).scheme.lower() in ("http", "https"):
        return require("mlflow").MlflowClient(tracking_uri=uri)
    return _LateClient(uri)


def _uri(tracking_uri: str | os.PathLike[str] | None) -> str:
    mlflow = require("mlflow")
    if isinstance(tracking_uri, os.PathLike):
        return Path(tracking_uri).absolute().as_uri()
    return tracking_uri or mlflow.get_tracking_uri()


def from_anywhere(uri: str) -> str:
    """Return `uri` with an absolute path, if it is one of SQLite."""
    prefix = "sqlite:///"
    path = uri.removeprefix(prefix)
    if uri.startswith(prefix) and path and not path.startswith(("/", ":")):
        return f"{prefix}{Path(path).absolute()}"
    return uri


class _LateClient:
    """Connects at its first use; a database's own client does so at once."""

    def __init__(self, uri: str):
        self.tracking_uri = uri
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._client is None:
            self._client = connect(self.tracking_uri)
        return getattr(self._client, name)


class _Refused(Exception):
    """The store cannot be used, for a reason in our own words."""


def _reason(error: Exception, uri: str) -> str:
    if isinstance(error, _Refused):
        return scrub(error, uri)
    text = str(error)
    if "unsupported URI" in text:
        return "cannot be used: MLflow knows no store of this kind."
    if "MLFLOW_ALLOW_FILE_STORE" in text:
        return (
            "cannot be used: MLflow keeps runs in a folder only if the "
            "environment variable MLFLOW_ALLOW_FILE_STORE is `true`. Use a "
            "database, such as `sqlite:///mlflow.db`."
        )
    return f"cannot be used: {type(error).__name__}: {scrub(text, uri)}"


def _open(uri: str, timeout: float) -> Any:
    import mlflow

    scheme = urlsplit(uri).scheme.lower()
    if scheme in ("http", "https"):
        _check_server(uri, timeout)
        return mlflow.MlflowClient(tracking_uri=uri)
    dialect = scheme.partition("+")[0]
    if dialect == "sqlite":
        _check_sqlite(uri, timeout)
    elif dialect in _DATABASE_PORTS:
        _check_database(uri, _DATABASE_PORTS[dialect], timeout)
    elif scheme in ("", "file") or (os.name == "nt" and len(scheme) == 1):
        _check_folder(uri)
    else:
        return _within(timeout, lambda: _answering_client(uri))
    return _answering_client(uri)


def _answering_client(uri: str) -> Any:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _check_server(uri: str, timeout: float) -> None:
    try:
        rest_request(
            uri, "POST", "experiments/search", timeout, json={"max_results": 1}
        )
    except NoAnswer as error:
        if error.status in (401, 403):
            raise _Refused(
                "does not accept the credentials. Set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN."
            ) from None
        raise _Refused(f"does not answer. ({error})") from None


def _check_sqlite(uri: str, timeout: float) -> None:
    name = unquote(uri.partition("://")[2].partition("?")[0])
    if name in ("", "/", "/:memory:"):
        return
    path = Path(name[1:])
    _check_parent(path)
    if path.is_dir():
        raise _Refused("is a folder, not a database.")
    try:
        with contextlib.closing(
            sqlite3.connect(path, timeout=timeout, isolation_level=None)
        ) as database:
            # Takes the write lock and makes a missing file; writes nothing.
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        # Another program's long transaction is no reason to stop.
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise _Refused(f"cannot be written: {error}.") from None


def _check_folder(uri: str) -> None:
    parts = urlsplit(uri)
    path = Path(url2pathname(parts.path) if parts.scheme == "file" else uri)
    if path.exists() and not path.is_dir():
        raise _Refused("is a file, not a folder.")
    _check_parent(path)
    path = path if path.exists() else path.parent
    if not os.access(path, os.W_OK):
        raise _Refused(f"cannot be written: no permission for {str(path)!r}.")


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise _Refused(
            f"cannot be made: there is no folder {str(path.parent)!r}."
        )


def _check_database(uri: str, port: int, timeout: float) -> None:
    """Try once; MLflow repeats its own first attempt for minutes."""
    import sqlalchemy

    url = sqlalchemy.engine.make_url(uri)
    if url.host:
        try:
            socket.create_connection(
                (url.host, url.port or port), timeout
            ).close()
        except OSError as error:
            raise _Refused(f"does not answer. ({error})") from None

    pool = sqlalchemy.pool.NullPool
    engine = sqlalchemy.create_engine(url, poolclass=pool)
    _within(timeout, lambda: engine.connect().close())


def _within(timeout: float, call: Callable[[], Any]) -> Any:
    """Return `call()`, or raise if it takes longer than `timeout`."""
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = call()
        except Exception as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    if "error" in outcome:
        raise outcome["error"]
    if "value" not in outcome:
        raise _Refused(f"does not answer within {timeout:g} seconds.")
    return outcome["value"]
