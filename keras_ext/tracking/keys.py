"""Names that MLflow accepts as keys of metrics, parameters and tags."""

import functools
import hashlib
import os
import re
import unicodedata

# MLflow's limit.
_MAX_LENGTH = 250
# MLflow refuses colons on Windows.
_REFUSED = re.compile(
    r"[^A-Za-z0-9_\-. /]" if os.name == "nt" else r"[^A-Za-z0-9_\-. /:]"
)


@functools.lru_cache(maxsize=4096)
def metric_key(name: str) -> str:
    """Return `name` in a form that every MLflow store accepts as a key.

    A name that MLflow accepts stays as it is. Any other name loses its
    accents, gets `_` for what MLflow refuses (other characters, `//`, `..`, a
    slash, dot or blank at either end) and is cut to 250 characters. It ends
    in a short hash of the whole name: different names have different keys,
    and a name has the same key in every run.

    `RunWriter` does this for all names; use the function to read them.

    Args:
        name: Name of a metric, a parameter or a tag.

    Returns:
        The key.

    Example:
        >>> from keras_ext.tracking import metric_key
        >>> metric_key("grad_norm/encoder/dense_1")
        'grad_norm/encoder/dense_1'
        >>> metric_key("précision (%)")
        'precision ___-45baeab8'
    """
    name = str(name)
    key = unicodedata.normalize("NFKD", name)
    key = "".join(c for c in key if not unicodedata.combining(c))
    key = _REFUSED.sub("_", key)
    key = re.sub(r"//+", "/", re.sub(r"\.\.+", "_", key)).strip("/ ")
    # A segment `.` would vanish in a path.
    key = re.sub(r"(?<![^/])\.(?![^/])", "_", key) or "_"
    if key == name and len(key) <= _MAX_LENGTH:
        return key
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    key = key[: _MAX_LENGTH - 9].rstrip("/ .")
    return f"{key or '_'}-{digest[:8]}"
