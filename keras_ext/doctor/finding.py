"""Findings and remedies."""

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
    "too_few_epochs",
    "unscaled_input",
    "unscaled_target",
    "output_loss_mismatch",
    "class_imbalance",
    "frozen_weights",
    "numerical_instability",
)

# From the least severe to the most.
SEVERITIES = ("info", "warning", "error")


class Remedy(NamedTuple):
    """A remedy of a problem.

    Attributes:
        advice: What to do, in words.
        change: One line of code that does it.
    """

    advice: str
    change: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training run.

    Attributes:
        problem: One of `PROBLEMS`, or the name that a custom rule gives: a
            Python identifier.
        layer: Path of the layer at fault, `None` for the whole model.
        epoch: The epoch of the finding, counted from 0; `None` before
            training.
        step: The training step of the evidence, counted from 0 at the start
            of `fit`; `None` if it belongs to no single step.
        severity: One of `SEVERITIES`.
        evidence: Measured numbers and thresholds.
        message: What is wrong, where and why, in a few sentences.
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
                f"`problem` must be one of {PROBLEMS}, or another identifier. "
                f"Received: problem={self.problem!r}"
            )
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"`severity` must be one of {SEVERITIES}. "
                f"Received: severity={self.severity!r}"
            )

    @property
    def chain(self) -> tuple[str, ...]:
        """The problem, then the problems that follow from it."""
        return (self.problem, *(c.problem for c in self.consequences))
