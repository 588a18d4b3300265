"""Imports the user's own classes and functions, which a model needs."""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_ext.cli.usage import UsageError


def custom_objects(sources: Iterable[str]) -> dict[str, Any]:
    """Import modules and return their public classes and functions by name.

    Args:
        sources: Python files, or names of modules that are installed or in
            the working directory.

    Raises:
        UsageError: An import fails.
    """
    return {
        name: value
        for source in sources
        for name, value in vars(_imported(source)).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and not name.startswith("_")
    }


def _imported(source: str) -> ModuleType:
    path = Path(source)
    try:
        if path.suffix == ".py":
            return _from_file(path)
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(source)
    except Exception as error:
        raise UsageError(
            f"--import {source!r} fails: {type(error).__name__}: {error}"
        ) from error


def _from_file(path: Path) -> ModuleType:
    folder = str(path.resolve().parent)
    # The file may import other files of its folder.
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Some code looks up the module of a class by name, as an import does.
    known = sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if known is module:
            del sys.modules[path.stem]
        raise
    return module
