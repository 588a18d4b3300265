"""Importing the components as soon as Keras is there, and not before."""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def after_keras(action: Callable[[], None]) -> None:
    """Call `action` once Keras is imported: now, if it already is.

    Args:
        action: Called without arguments, before `import keras` returns.
    """
    if sys.modules.get("keras"):
        action()
    else:
        sys.meta_path.insert(0, _KerasFinder(action))


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as other finders do, and lets its loader call an action."""

    def __init__(self, action: Callable[[], None]):
        self._action = action

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            # Whoever only asks where Keras is does not import it.
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)
                self._action()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
