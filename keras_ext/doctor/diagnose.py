"""From history to findings: the rules, their order and consequences."""

import dataclasses
from collections.abc import Callable, Iterable

from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.rules import (
    capacity,
    frozen,
    gradients,
    outputs,
    overfitting,
    progress,
    static,
    units,
)
from keras_ext.doctor.rules.learning_summary import (
    PLATEAU_SHARE,
    LearningSummary,
)
from keras_ext.doctor.run_history import RunHistory

# Root causes first. Of two problems in one run, the upper one is reported, and
# the other as its consequence where `CONSEQUENCES` allows it.
STATIC_RULES: tuple[Callable[[RunHistory], list[Finding]], ...] = (
    static.numerical_instability_in_data,
    outputs.output_loss_mismatch,
    static.symmetric_units,
    static.unscaled_input,
    static.unscaled_target,
)
RULES: tuple[Callable[[LearningSummary], Finding | None], ...] = (
    frozen.frozen_weights,
    capacity.over_regularized,
    capacity.too_simple,
    units.dead_at_start,
    gradients.exploding_at_start,
    units.saturated_at_start,
    progress.learning_rate_too_high,
    gradients.exploding_gradient,
    gradients.vanishing_gradient,
    units.dying_relu,
    units.saturated_activation,
    gradients.numerical_instability,
    progress.learning_rate_too_low,
    capacity.class_imbalance,
    progress.too_few_epochs,
    overfitting.overfitting,
    capacity.underfitting,
)

_STUCK = (
    "vanishing_gradient",
    "learning_rate_too_low",
    "too_few_epochs",
    "underfitting",
)
_UNSTABLE = (
    "exploding_gradient",
    "dying_relu",
    "saturated_activation",
    "numerical_instability",
    "learning_rate_too_high",
)
CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "numerical_instability": (
        *_UNSTABLE,
        *_STUCK,
        "unscaled_input",
        "unscaled_target",
    ),
    "output_loss_mismatch": (*_UNSTABLE, *_STUCK, "overfitting"),
    "symmetric_units": (
        *_STUCK,
        "dying_relu",
        "saturated_activation",
        "learning_rate_too_high",
    ),
    "unscaled_input": (*_UNSTABLE, *_STUCK, "overfitting"),
    "unscaled_target": (*_UNSTABLE, *_STUCK, "overfitting"),
    "frozen_weights": (*_STUCK, "dying_relu", "saturated_activation"),
    "dying_relu": _STUCK,
    "exploding_gradient": (*_UNSTABLE, *_STUCK),
    "saturated_activation": (*_STUCK, "learning_rate_too_high"),
    "learning_rate_too_high": (*_UNSTABLE, *_STUCK),
    "vanishing_gradient": _STUCK,
    "learning_rate_too_low": ("too_few_epochs", "underfitting"),
    "too_few_epochs": ("underfitting",),
    "class_imbalance": ("too_few_epochs", "underfitting"),
    "underfitting": (*_UNSTABLE, *_STUCK[:-1]),
}


Rule = Callable[[RunHistory], Iterable[Finding]]


def diagnose(history: RunHistory, rules: Iterable[Rule] = ()) -> list[Finding]:
    """Return what is wrong with a training run.

    Args:
        history: What was measured up to now.
        rules: Further rules. Their findings come after the doctor's own.
            Defaults to none.

    Returns:
        Root causes, the most severe first, each with its consequences. Each
        problem appears at most once.
    """
    summary = LearningSummary(history)
    findings = [
        _reweighed(f, summary) for r in STATIC_RULES for f in r(history)
    ]
    findings += [_softened(f, summary) for r in RULES if (f := r(summary))]
    findings += [f for rule in rules for f in rule(history)]
    found: dict[str, Finding] = {}
    for finding in findings:
        found.setdefault(finding.problem, finding)
    return ranked(list(found.values()))


def _reweighed(finding: Finding, summary: LearningSummary) -> Finding:
    """Return a static finding with the severity that the run suggests.

    The rules' `CONDITIONS` list the cases.
    """
    if finding.problem == "symmetric_units" and summary.learns:
        if finding.severity == "error":
            return dataclasses.replace(finding, severity="warning")
    if finding.problem == "output_loss_mismatch" and summary.fails:
        linear = finding.evidence.get("activation") == "linear"
        if finding.severity == "info" and linear:
            return dataclasses.replace(finding, severity="warning")
    if not finding.problem.startswith("unscaled") or not summary.epochs:
        return finding
    late = summary.share_done >= PLATEAU_SHARE
    lags = static.outruns_batch_normalization(summary.history)
    if summary.fails_on_validation or (
        lags and late and summary.validates_like_baseline
    ):
        return dataclasses.replace(finding, severity="warning")
    if summary.is_half_learned:
        return finding
    if summary.learns:
        return dataclasses.replace(finding, severity="info")
    far = late and finding.problem == "unscaled_target"
    if finding.severity == "info" and (summary.fails or far):
        return dataclasses.replace(finding, severity="warning")
    return finding


def _softened(finding: Finding, summary: LearningSummary) -> Finding:
    """Return a warning instead of an error if the loss falls steadily."""
    if finding.severity != "error" or not summary.falls_steadily:
        return finding
    return dataclasses.replace(finding, severity="warning")


def ranked(found: list[Finding]) -> list[Finding]:
    """Return root causes with their consequences, sorted by severity."""
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
    """Return whether a finding is pointless as a consequence.

    Without a gradient, weights stay where they are at any learning rate. A
    higher learning rate would contradict the remedy of the cause.
    """
    return finding.problem == "learning_rate_too_low"


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)
