"""The parts of a finding in words, for text and pages."""

import math
import unicodedata
from collections.abc import Sequence

from keras_ext.doctor.finding import SEVERITIES, Finding

NOTHING = "The doctor found nothing wrong."

_PROBLEMS = {
    "dying_relu": "dying ReLU",
    "output_loss_mismatch": "output does not fit the loss",
}


def problem_in_words(problem: str) -> str:
    """Return the readable name of a problem."""
    return _PROBLEMS.get(problem, problem.replace("_", " "))


def chain_in_words(finding: Finding, arrow: str = "->") -> str:
    """Return the problem and its consequences, or `""` without any."""
    if len(finding.chain) == 1:
        return ""
    return f" {arrow} ".join(map(problem_in_words, finding.chain))


def place_in_words(finding: Finding) -> str:
    """Return layer, epoch and step, counted from 0."""
    parts = []
    if finding.layer is not None:
        parts.append(f"layer {clean(finding.layer)}")
    if finding.epoch is not None:
        parts.append(f"epoch {finding.epoch}")
    if finding.step is not None:
        parts.append(f"step {finding.step}")
    if finding.epoch is None and finding.step is None:
        parts.append("before training")
    return ", ".join(parts)


def label(key: str) -> str:
    """Return the readable name of a piece of evidence."""
    return clean(key).replace("_", " ")


def number(value: float | str) -> str:
    """Return a number with three significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    try:
        value = float(value)
    except (TypeError, ValueError):
        return clean(str(value))
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == round(value) and abs(value) < 1e6:
        return str(round(value))
    return f"{value:.3g}"


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of findings of each severity, the worst first."""
    if not findings:
        return NOTHING
    parts = []
    for severity in reversed(SEVERITIES):
        count = sum(f.severity == severity for f in findings)
        if count:
            plural = "s" * (count != 1 and severity != "info")
            parts.append(f"{count} {severity}{plural}")
    return ", ".join(parts)


def clean(text: str) -> str:
    """Return text without characters that control a terminal.

    Layer names may come from a stranger's file.
    """
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char)[0] != "C"
        else f"\\u{ord(char):04x}"
        for char in str(text)
    )
