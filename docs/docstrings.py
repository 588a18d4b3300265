"""Docstrings as the site shows them: an extension of Griffe, their reader."""

import ast
import importlib.util
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import griffe

_HEAD = re.compile(r"(\s*)Example:(.*)")
_ROOT = pathlib.Path(__file__).parents[1]

# By its path: importing the package would import Keras.
_spec = importlib.util.spec_from_file_location(
    "_docstrings", _ROOT / "keras_ext" / "_docstrings.py"
)
assert _spec is not None and _spec.loader is not None
_docstrings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_docstrings)


class SiteDocstrings(griffe.Extension):
    """Completes docstrings as `keras_ext._registration` does at import.

    It also puts the lines of an `Example:` into a box, as highlighted code.
    In the docstrings they stand below that word, indented or not, and with or
    without a blank line between.
    """

    def on_package(self, *, pkg: Any, **kwargs: Any) -> None:
        """Change the docstrings of a package.

        Args:
            pkg: The package as Griffe has read it.
            **kwargs: What else Griffe passes.
        """
        objects = list(_objects(pkg))
        for obj in objects:
            for decorator in getattr(obj, "decorators", ()):
                _complete(obj, decorator)
        for obj in objects:
            if obj.docstring:
                obj.docstring.value = boxed(obj.docstring.value)


def _objects(obj: Any) -> Iterator[Any]:
    """Yield an object and its members, in the order of the source."""
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from _objects(member)


def _complete(obj: Any, decorator: Any) -> None:
    """Complete the docstring of a component, which its decorator shows."""
    if decorator.callable_path == "keras_ext._registration.registered":
        shared = _docstrings.SHARED[obj.path.split(".")[1]]
    elif decorator.callable_path == "keras_ext._registration.function_of":
        owner = obj.parent[str(decorator.value.arguments[0])]
        path = f"{obj.parent.parent.path}.{owner.name}"
        shared = _docstrings.of_class(path, owner.docstring.value)
    else:
        return
    defaults = dict(map(_default, obj.parameters))
    defaults.pop("self", None)
    obj.docstring.value = _docstrings.complete(
        obj.docstring.value, shared, defaults
    )


def _default(parameter: Any) -> tuple[str, str | None]:
    """Return an argument's name and its default as text, or `None`."""
    if parameter.kind is griffe.ParameterKind.var_keyword:
        return f"**{parameter.name}", None
    if parameter.default is None:
        return parameter.name, None
    value = ast.literal_eval(str(parameter.default))
    return parameter.name, _docstrings.literal(value)


def boxed(docstring: str) -> str:
    """Return a docstring with its examples in boxes.

    Args:
        docstring: Without indentation, lines of code with `>>>`.
    """
    lines = docstring.splitlines()
    result: list[str] = []
    while lines:
        line = lines.pop(0)
        head = _HEAD.fullmatch(line)
        if head:
            result.append(f"{head[1]}Example:{head[2]}")
            while lines and not lines[0].strip():
                lines.pop(0)
        if lines and lines[0].lstrip().startswith(">>>") and head:
            result += _fenced(lines, head[1] + "    ")
        elif line.lstrip().startswith(">>>"):
            lines.insert(0, line)
            indent = line[: len(line) - len(line.lstrip())]
            result += ["", *_fenced(lines, indent)]
        elif not head:
            result.append(line)
    return "\n".join(result)


def _fenced(lines: list[str], indent: str) -> list[str]:
    """Take lines of code, up to a blank one, and return them in a fence."""
    code = []
    while lines and lines[0].strip():
        code.append(lines.pop(0))
    depth = len(code[0]) - len(code[0].lstrip())
    inside = [indent + line[depth:] for line in code]
    return [f"{indent}```pycon", *inside, f"{indent}```", ""]
