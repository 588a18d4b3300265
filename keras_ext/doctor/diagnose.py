"""From history to findings: rules, their order, and what follows from what."""

import dataclasses
from collections.abc import Callable, Iterable

from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.rules import (
    capacity,
    gradients,
    outputs,
    overfitting,
    progress,
    static,
    units,
)
from keras_ext.doctor.rules.learning_summary import LearningSummary
from keras_ext.doctor.run_history import RunHistory

# Root causes first: of two problems in one run, the one that stands above
# is told, and the other as its consequence if it can be one.
STATIC_RULES: tuple[Callable[[RunHistory], list[Finding]], ...] = (
    static.numerical_instability_in_data,
    outputs.output_loss_mismatch,
    static.symmetric_units,
    static.unscaled_input,
)
RULES: tuple[Callable[[LearningSummary], list[Finding]], ...] = (
    capacity.smothered,
    capacity.held_back,
    units.dead_from_the_beginning,
    gradients.exploding_from_the_beginning,
    units.saturated_from_the_beginning,
    progress.learning_rate_too_high,
    gradients.exploding_gradient,
    gradients.vanishing_gradient,
    units.dying_relu,
    units.saturated_activation,
    gradients.numerical_instability,
    progress.learning_rate_too_low,
    overfitting.overfitting,
    capacity.underfitting,
)

_STUCK = ("vanishing_gradient", "learning_rate_too_low", "underfitting")
_WILD = (
    "exploding_gradient",
    "dying_relu",
    "saturated_activation",
    "numerical_instability",
    "learning_rate_too_high",
)
CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "numerical_instability": (*_WILD, *_STUCK, "unscaled_input"),
    "output_loss_mismatch": (*_WILD, *_STUCK, "overfitting"),
    "symmetric_units": (
        *_STUCK,
        "dying_relu",
        "saturated_activation",
        "learning_rate_too_high",
    ),
    "unscaled_input": (*_WILD, *_STUCK, "overfitting"),
    "dying_relu": _STUCK,
    "exploding_gradient": (*_WILD, *_STUCK),
    "saturated_activation": (*_STUCK, "learning_rate_too_high"),
    "learning_rate_too_high": (*_WILD, *_STUCK),
    "vanishing_gradient": _STUCK,
    "learning_rate_too_low": ("underfitting",),
    "underfitting": (*_WILD, "vanishing_gradient", "learning_rate_too_low"),
}


Rule = Callable[[RunHistory], Iterable[Finding]]


def diagnose(history: RunHistory, rules: Iterable[Rule] = ()) -> list[Finding]:
    """Return what is wrong with a training run.

    Args:
        history: What was recorded of it up to now.
        rules: Further rules; what they find is told after what the doctor's
            own find. Defaults to none.

    Returns:
        Root causes, the most severe first, each with what follows from it;
        each problem at most once.
    """
    summary = LearningSummary(history)
    known = [f for rule in STATIC_RULES for f in rule(history)]
    findings = [weighed(f, summary) for f in known]
    findings += [f for rule in RULES for f in rule(summary)]
    found: dict[str, Finding] = {}
    findings += [f for rule in rules for f in rule(history)]
    for finding in findings:
        found.setdefault(finding.problem, finding)
    return ranked(list(found.values()))


def weighed(finding: Finding, summary: LearningSummary) -> Finding:
    """Return what was said before training, in the light of the training.

    An input of unusual scale is worth a remark if the run learns, and a
    warning if it does not; or if it has learned nothing that holds for
    validation data, as when batch normalization keeps up with large inputs
    in training alone: of inputs far from zero that is known before its means
    have settled. Numbers that may be classes are worth a warning if the run
    fails on them. Units that are alike cost a run that learns no more than
    units.
    """
    if finding.problem == "symmetric_units" and summary.learns:
        if finding.severity == "error":
            return dataclasses.replace(finding, severity="warning")
    if finding.problem == "output_loss_mismatch" and summary.fails:
        linear = finding.evidence.get("activation") == "linear"
        if finding.severity == "info" and linear:
            return dataclasses.replace(finding, severity="warning")
    if finding.problem != "unscaled_input" or not summary.epochs:
        return finding
    lags = static.is_ahead_of_batch_normalization(summary.history)
    late = lags and summary.share_done >= 0.6 and summary.guesses_on_new_data
    if late or summary.is_lost_on_new_data:
        return dataclasses.replace(finding, severity="warning")
    if summary.learns:
        return dataclasses.replace(finding, severity="info")
    if finding.severity == "info" and summary.fails:
        return dataclasses.replace(finding, severity="warning")
    return finding


def ranked(found: list[Finding]) -> list[Finding]:
    """Fold consequences under their causes, and sort by severity."""
    roots: list[Finding] = []
    rest = list(found)
    while rest:
        root = rest.pop(0)
        if root.severity != "info":
            following = CONSEQUENCES.get(root.problem, ())
            consequences = [
                f for f in rest if f.problem in following and not _moot(f)
            ]
            rest = [f for f in rest if f.problem not in following]
            worst = max(map(_rank, [root, *consequences]))
            root = dataclasses.replace(
                root,
                consequences=tuple(consequences),
                severity=SEVERITIES[worst],
            )
        roots.append(root)
    return sorted(roots, key=_rank, reverse=True)


def _moot(finding: Finding) -> bool:
    """Return whether it says nothing as the consequence of something else.

    Weights that get no gradient stay where they are at any rate; to call the
    rate too low would contradict what helps against the cause.
    """
    return finding.problem == "learning_rate_too_low"


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)
