"""Keeping credentials out of messages, logs and tags."""

import os
import re
from urllib.parse import unquote

_HIDDEN = "***"
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*://[^\s'\"<>`]+")
_FIELD = re.compile(r"([?&;#][^=&;#]*=)[^&;#]*")
# Where MLflow itself looks for credentials.
_SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def redact(uri: str) -> str:
    """Return `uri` without anything that may be a credential.

    `***` replaces the user name and password (or a token in their place) and
    the values of all query and fragment fields. In doubt, too much is hidden:
    a password may hold unescaped `/` or `@`, so a URI with an `@` in its path
    loses everything before it.

    Args:
        uri: A URI, a path or any other string.

    Returns:
        The URI, safe to log, store and show.

    Example:
        >>> from keras_ext.tracking import redact
        >>> redact("https://me:secret@mlflow.example.com:5000/a?token=b")
        'https://***@mlflow.example.com:5000/a?token=***'
        >>> redact("sqlite:///runs/mlflow.db")
        'sqlite:///runs/mlflow.db'
    """
    scheme, mark, rest = str(uri).partition("://")
    if not mark:
        return str(uri)
    if _has_user(scheme, rest):
        rest = f"{_HIDDEN}@{rest.rpartition('@')[2]}"
    return scheme + mark + _FIELD.sub(rf"\g<1>{_HIDDEN}", rest)


def scrub(text: object, uri: str | None = None, limit: int = 300) -> str:
    """Return `text` (often an exception) as one line without credentials.

    The line has at most `limit` characters, and none of the credentials that
    URIs in `text`, `uri` and MLflow's environment variables hold.
    """
    line = " ".join(str(text).split())
    if uri:
        line = line.replace(uri, redact(uri))
    line = _URI.sub(lambda match: redact(match[0]), line)
    for secret in sorted(_secrets(uri or ""), key=len, reverse=True):
        line = line.replace(secret, _HIDDEN)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _has_user(scheme: str, rest: str) -> bool:
    # `sqlite:////home/a@b/x.db` is a path.
    dialect = scheme.lower().partition("+")[0]
    is_path = dialect in ("sqlite", "file") and rest.startswith("/")
    return "@" in rest and not is_path


def _secrets(uri: str) -> set[str]:
    scheme, _, rest = uri.partition("://")
    found = {os.environ.get(name, "") for name in _SECRET_VARIABLES}
    if _has_user(scheme, rest):
        user, _, password = rest.rpartition("@")[0].partition(":")
        found.add(password or user)
    for field in re.findall(r"[?&;#][^=&;#]*=([^&;#]*)", rest):
        found.add(field)
    found |= {unquote(secret) for secret in found}
    # Shorter ones would hide letters of ordinary words.
    return {secret for secret in found if len(secret) > 3}
