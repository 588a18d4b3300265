"""The environment of a run, as tags."""

import getpass
import importlib.metadata
import platform
import subprocess
import sys

from keras_ext.version import __version__

# Distributions of the one backend that has several.
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tf-nightly")


def environment_tags() -> dict[str, str]:
    """Return tags that help to understand and repeat a run.

    They are versions (`keras_ext.version`, `keras.version`, `keras.backend`,
    `keras.backend.version`, `python.version`, `keras_tuner.version`,
    `mlflow.version`), `platform`, and MLflow's standard tags for the program,
    the user and, in a git repository, the commit and branch of the working
    directory. The function imports nothing and costs some milliseconds, for
    git.

    Returns:
        Tags for `RunWriter.tags`. `create_run` sets them by itself.

    Example:
        >>> import keras
        >>> from keras_ext.tracking import environment_tags
        >>> environment_tags()["keras.version"] == keras.version()
        True
    """
    # The rest of the package works without Keras.
    import keras

    backend = keras.config.backend()
    names = _TENSORFLOW if backend == "tensorflow" else (backend,)
    tags = {
        "keras_ext.version": __version__,
        "keras.version": keras.version(),
        "keras.backend": backend,
        "keras.backend.version": _version(*names),
        "python.version": platform.python_version(),
        "keras_tuner.version": _version("keras-tuner"),
        "mlflow.version": _version("mlflow", "mlflow-skinny"),
        "platform": platform.platform(),
        "mlflow.source.name": (sys.argv[0] if sys.argv else "") or "<console>",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **_git(),
    }
    return {key: value for key, value in tags.items() if value}


def _version(*distributions: str) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        # A container may have no name for its user.
        return ""


def _git() -> dict[str, str]:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD", "--abbrev-ref", "HEAD"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.split()
    if done.returncode or len(lines) != 2:
        return {}
    commit, branch = lines
    tags = {"mlflow.source.git.commit": commit}
    if branch != "HEAD":
        tags["mlflow.source.git.branch"] = branch
    return tags
