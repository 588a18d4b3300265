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

# Letters that no accent separates from Latin ones.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ı": "i"}
)


@functools.lru_cache(maxsize=4096)
def metric_key(name: str) -> str:
    """Return `name` in a form that every MLflow store accepts as a key.

    A name that MLflow accepts stays as it is. Any other name changes:

    - Letters lose their accents (`é` becomes `e`, `ö` becomes `o`). `ß`, `æ`
      and the like become two letters. A Greek letter becomes its name.
    - What MLflow refuses becomes `_`: other characters, `..`, a dot that
      stands alone. Several in a row become one, and none at either end.
      `//` becomes `/`.
    - It is cut to 250 characters and ends in a short hash of the whole name.
      So different names have different keys, and a name has the same key in
      every run.

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
        'precision-45baeab8'
        >>> metric_key("größe[0]/β")
        'grosse_0/beta-be7e9810'
    """
    name = str(name)
    accepted = _as_path(name) == name and not _REFUSED.search(name)
    if accepted and len(name) <= _MAX_LENGTH:
        return name
    key = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    key = "".join(map(_letter, key))
    parts = _REFUSED.sub("\0", key).split("/")
    key = "/".join(part.strip("\0 ") or "_" * bool(part) for part in parts)
    key = _as_path(re.sub(r"[_ ]*\0[\0_ ]*", "_", key))
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    key = key[: _MAX_LENGTH - 9].rstrip("/ .")
    return f"{key or '_'}-{digest[:8]}"


def _letter(character: str) -> str:
    """Return a letter of the Latin alphabet, or what the character was."""
    if unicodedata.combining(character):
        return ""
    kind, _, greek = unicodedata.name(character, "").rpartition(" LETTER ")
    # "GREEK SMALL LETTER LAMDA": that is how Unicode spells it.
    if kind.startswith("GREEK") and greek.isalpha():
        return greek.lower().replace("lamda", "lambda")
    return character


def _as_path(key: str) -> str:
    """Return a key without the parts that change a path."""
    key = re.sub(r"//+", "/", re.sub(r"\.\.+", "_", key)).strip("/ ")
    # A segment `.` would vanish in a path.
    return re.sub(r"(?<![^/])\.(?![^/])", "_", key) or "_"
