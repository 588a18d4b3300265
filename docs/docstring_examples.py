"""A Griffe extension: shows the examples of docstrings as code."""

import re
from typing import Any

import griffe

_HEAD = re.compile(r"(\s*)Example:(.*)")


class DocstringExamples(griffe.Extension):
    """Puts the lines of an `Example:` into a fence, as highlighted code.

    In a docstring these lines may be indented or not, with or without a blank
    line after `Example:`.
    """

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute.

        Args:
            obj: The module, class, function or attribute.
            **kwargs: Other arguments of Griffe.
        """
        if not obj.is_alias and obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """Return a docstring with its examples in fences.

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
    """Remove the lines up to a blank one, and return them in a fence."""
    code = []
    while lines and lines[0].strip():
        code.append(lines.pop(0))
    depth = len(code[0]) - len(code[0].lstrip())
    inside = [indent + line[depth:] for line in code]
    return [f"{indent}```pycon", *inside, f"{indent}```", ""]
