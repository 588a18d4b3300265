"""What the doctor says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

PROBLEMS = (
    "vanishing_gradient",
    "exploding_gradient",
    "dying_relu",
    "saturated_activation",
    "symmetric_units",
    "overfitting",
    "underfitting",
    "learning_rate_too_low",
    "learning_rate_too_high",
    "unscaled_input",
    "output_loss_mismatch",
    "numerical_instability",
)

# From the least severe to the most.
SEVERITIES = ("info", "warning", "error")


class Remedy(NamedTuple):
    """Something that helps against a problem.

    Attributes:
        advice: What to do, in words.
        change: The one line of code that does it.
    """

    advice: str
    change: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training run.

    Attributes:
        problem: One of `PROBLEMS`, or a name that a rule of one's own gives
            it: a Python identifier.
        layer: Path of the layer at fault, `None` for the whole model.
        epoch: The epoch in which it was found, counted from 0; `None` before
            training.
        step: The training step since the beginning of `fit` at which the
            evidence was measured; `None` if it belongs to no single step.
        severity: One of `SEVERITIES`.
        evidence: Measured numbers, and the thresholds that they passed.
        message: What is wrong, where and why, in one or two sentences.
        remedies: What helps, the best first.
        consequences: Findings that follow from this one.
    """

    problem: str
    layer: str | None
    epoch: int | None
    step: int | None
    severity: str
    evidence: Mapping[str, float | str]
    message: str
    remedies: tuple[Remedy, ...] = ()
    consequences: tuple["Finding", ...] = ()

    def __post_init__(self) -> None:
        if not self.problem.isidentifier():
            raise ValueError(
                f"`problem` must be one of {PROBLEMS}, or an identifier of "
                f"one's own. Received: problem={self.problem!r}"
            )
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"`severity` must be one of {SEVERITIES}. "
                f"Received: severity={self.severity!r}"
            )

    @property
    def chain(self) -> tuple[str, ...]:
        """The problem and those that follow from it, in that order."""
        return (self.problem, *(c.problem for c in self.consequences))
