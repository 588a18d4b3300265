"""Starts Keras for a command: chooses the backend, and hides log lines."""

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_ext.cli.usage import UsageError, note

BACKENDS = ("tensorflow", "jax", "torch")
_CHOOSE = "set KERAS_BACKEND to tensorflow, jax or torch to choose"
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def start_keras() -> None:
    """Import Keras on an installed backend.

    Raises:
        UsageError: No backend is installed, or the chosen one is not.
    """
    if sys.modules.get("keras"):
        return
    _choose_backend()
    try:
        with quiet_stderr():
            import keras

            # The first operation starts the backend, which logs again.
            keras.ops.convert_to_numpy(keras.ops.zeros(1))
    except Exception as error:
        backend = os.environ["KERAS_BACKEND"]
        raise UsageError(
            f"Keras does not start on the backend {backend!r}: "
            f"{type(error).__name__}: {error} ({_CHOOSE})"
        ) from error


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what imported libraries write to stderr, unless they fail.

    Setting `TF_CPP_MIN_LOG_LEVEL` is not enough. TensorFlow logs some lines
    before it reads the variable. A user who set it below 3 sees all lines.
    """
    if os.environ.setdefault(_LOG_LEVEL, "3") < "3":
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def _choose_backend() -> None:
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        if asked in BACKENDS and asked not in installed:
            raise UsageError(
                f"KERAS_BACKEND is {asked!r}, which is not installed; "
                f"installed: {', '.join(installed) or 'no backend'}"
            )
        return
    if not installed:
        raise UsageError(
            "Keras needs a backend, and none is installed. Install one: "
            'pip install "keras-ext[torch]" (or [jax], or [tensorflow])'
        )
    backend = _configured()
    if backend not in installed:
        backend = installed[0]
        note(f"running on the backend {backend!r} ({_CHOOSE})")
    os.environ["KERAS_BACKEND"] = backend


def _configured() -> str:
    """Return the backend that Keras's configuration file names, if any."""
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        config = json.loads(Path(folder, "keras.json").read_text("utf-8"))
        return str(config.get("backend"))
    except (OSError, ValueError, AttributeError):
        return ""
