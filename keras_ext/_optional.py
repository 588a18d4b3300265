"""Packages that may be missing until they are needed."""

import importlib
from typing import Any


def require(module: str) -> Any:
    """Return an imported module of the `mlflow` extra.

    Raises:
        ImportError: Its package is missing. The message has the command that
            installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ImportError(
            f"This needs {package}, which is not installed. Install it with "
            '`pip install "keras-ext[mlflow]"`.'
        ) from error
