"""Findings as text."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TextIO

from keras_ext.doctor.finding import Finding
from keras_ext.doctor.report import wording

Paint = Callable[..., str]

_BOLD, _DIM, _RESET = "\033[1m", "\033[2m", "\033[0m"
_GREEN = "\033[32m"
_COLORS = {"error": "\033[31m", "warning": "\033[33m", "info": "\033[36m"}
_WIDEST, _NARROWEST = 88, 40


def text(
    findings: Sequence[Finding], color: bool = False, width: int | None = None
) -> str:
    """Return findings as text, one block each.

    Args:
        findings: The doctor's findings, the most severe first.
        color: Whether to use ANSI colours. Defaults to `False`.
        width: Characters per line, at least 40; long words are not cut.
            Defaults to `None`: the terminal's width, at most 88.

    Returns:
        Lines, without a line break at the end.

    Example:
        >>> from keras_ext.doctor import Finding
        >>> from keras_ext.doctor.report import text
        >>> finding = Finding(
        ...     "dying_relu", "model/relu", 2, None, "warning",
        ...     {"dead_share": 0.875, "threshold": 0.5},
        ...     "88% of the units never fire.",
        ... )
        >>> print(text([finding], width=60))
        WARNING: dying ReLU (layer model/relu, epoch 2)
          88% of the units never fire.
          evidence:
            dead share  0.875
            threshold   0.5
    """
    paint = _paint if color else _plain
    if not findings:
        return paint(wording.NOTHING, _GREEN)
    if width is None:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
    width = max(width, _NARROWEST)
    return "\n\n".join(_block(f, paint, width) for f in findings)


def write(findings: Sequence[Finding], stream: TextIO | None = None) -> None:
    """Write findings as text, in colour if the stream is a terminal.

    The environment variable `NO_COLOR` turns colours off.

    Args:
        findings: The doctor's findings, the most severe first.
        stream: Where to write. Defaults to `None`: standard error.
    """
    stream = sys.stderr if stream is None else stream
    shown = text(findings, color=is_colored(stream))
    # A name that the terminal cannot show must not end the training.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = shown.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{shown}\n")
    stream.flush()


def is_colored(stream: TextIO) -> bool:
    """Return whether to use colours on a stream."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(stream, "isatty", lambda: False)())


def _paint(shown: str, *codes: str) -> str:
    return f"{''.join(codes)}{shown}{_RESET}"


def _plain(shown: str, *codes: str) -> str:
    return shown


def _block(finding: Finding, paint: Paint, width: int) -> str:
    severity = finding.severity.upper()
    problem = wording.problem_in_words(finding.problem)
    title = f"{severity}: {problem} ({wording.place_in_words(finding)})"
    first, *rest = _wrapped(title, "", "  ", width)
    head = len(severity)
    first = (
        paint(first[:head], _BOLD, _COLORS[finding.severity])
        + ":"
        + paint(first[head + 1 :], _BOLD)
    )
    lines = [first, *(paint(line, _BOLD) for line in rest)]
    lines += _wrapped(finding.message, "  ", "  ", width)
    chain = wording.chain_in_words(finding)
    if chain:
        lines += _wrapped(f"chain: {chain}", "  ", "    ", width)
    for consequence in finding.consequences:
        place = wording.place_in_words(consequence)
        name = wording.problem_in_words(consequence.problem)
        what = f"{name} ({place}): {consequence.message}"
        lines += [
            paint(line, _DIM) for line in _wrapped(what, "  - ", "    ", width)
        ]
    if finding.evidence:
        lines.append("  evidence:")
        names = {key: wording.label(key) for key in finding.evidence}
        column = min(max(map(len, names.values())), width - 16)
        for key, value in finding.evidence.items():
            start = f"    {names[key]:<{column}}  "
            lines += _wrapped(wording.number(value), start, " " * 8, width)
    if finding.remedies:
        lines.append("  what helps:")
    for i, (advice, change) in enumerate(finding.remedies, 1):
        start = f"    {i}. "
        lines += _wrapped(advice, start, " " * len(start), width)
        indent = " " * (len(start) + 2)
        lines += [
            paint(line, _COLORS["info"])
            for line in _code_lines(change, indent, width)
        ]
    return "\n".join(lines)


def _wrapped(words: str, first: str, others: str, width: int) -> list[str]:
    return textwrap.wrap(
        wording.clean(words),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _code_lines(code: str, indent: str, width: int) -> list[str]:
    """Wrap code inside brackets, where it stays valid Python."""
    lines: list[str] = []
    start = cut = depth = 0
    code = " ".join(wording.clean(code).split())
    for place, char in enumerate(code):
        depth += (char in "([{") - (char in ")]}")
        is_long = len(indent) + 4 * bool(lines) + place - start >= width
        if is_long and cut > start:
            lines.append(code[start:cut].rstrip())
            start = cut
        if char in "(," and depth > 0 and code[place + 1 : place + 2] != ")":
            cut = place + 1
    lines.append(code[start:])
    first, *rest = lines
    return [indent + first, *(f"{indent}    {x.strip()}" for x in rest)]
