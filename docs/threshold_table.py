"""Writes the doctor's thresholds into docs/doctor.md.

    python docs/threshold_table.py

The rules describe their thresholds in `CONDITIONS`, one condition a line.
Lines that begin with two blanks belong to the line above.
"""

import pathlib
import re
from collections.abc import Iterable, Mapping
from types import ModuleType

from keras_ext.doctor import PROBLEMS
from keras_ext.doctor.report.wording import problem_in_words
from keras_ext.doctor.rules import (
    capacity,
    gradients,
    initial,
    learning_summary,
    outputs,
    overfitting,
    progress,
    static,
    units,
)

PAGE = pathlib.Path(__file__).parent / "doctor.md"
RULES = (
    *(static, outputs, gradients, units),
    *(progress, overfitting, capacity),
)


def conditions(modules: Iterable[ModuleType]) -> dict[str, list[str]]:
    """Return the conditions of each problem, in the order of `PROBLEMS`."""
    found: dict[str, list[str]] = {problem: [] for problem in PROBLEMS}
    for module in modules:
        for problem, lines in module.CONDITIONS.items():
            found[problem] += lines.strip("\n").splitlines()
    return {problem: lines for problem, lines in found.items() if lines}


def blocks() -> dict[str, str]:
    """Return the text of each block that the page marks by its name."""
    problems = [
        f"### {problem}\n\n[An example](problems.md#{_anchor(problem)}).\n\n"
        + _list(lines)
        for problem, lines in conditions(RULES).items()
    ]
    definitions = {
        name: lines.strip("\n").splitlines()
        for name, lines in learning_summary.DEFINITIONS.items()
    }
    return {
        "definitions": _lists(definitions),
        "thresholds": "\n\n".join(problems),
        "check": _lists(conditions([initial])),
    }


def written(page: str) -> str:
    """Return the page with its blocks written anew.

    Raises:
        ValueError: If the page lacks the marks of a block.
    """
    for name, text in blocks().items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if page.count(start) != 1 or page.count(end) != 1:
            raise ValueError(f"{start.strip()} must stand once in the page.")
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def _anchor(problem: str) -> str:
    return problem_in_words(problem).lower().replace(" ", "-")


def _lists(groups: Mapping[str, Iterable[str]]) -> str:
    return "\n\n".join(
        f"{f'`{name}`' if name in PROBLEMS else name}:\n\n{_list(lines)}"
        for name, lines in groups.items()
    )


def _list(lines: Iterable[str]) -> str:
    nested = (re.sub("^  ", "    - ", line) for line in lines)
    return "\n".join(x if x[0] == " " else f"- {x}" for x in nested)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
