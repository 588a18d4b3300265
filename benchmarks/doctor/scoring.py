"""How right the doctor and the others are, on stored runs."""

import itertools
import pathlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.doctor import storage
from benchmarks.doctor.peers import PEERS, View, first_symptom
from keras_ext.doctor import PROBLEMS, Finding
from keras_ext.doctor.diagnose import diagnose
from keras_ext.doctor.run_history import RunHistory


@dataclass
class Verdict:
    """The findings about a run.

    Attributes:
        name: The run's.
        label: The run's.
        problem: What it has, `"healthy"` if nothing.
        alarm: Whether there was a finding above info at the end of any
            epoch, or of training.
        last: The first-ranked problem above info at the end of training,
            or, if none is left there, at the end of the last epoch that had
            one; empty if there was none.
        first: The first-ranked problem at the end of the first epoch with a
            finding above info.
        epoch: That epoch.
        peers: For each peer the problems that its first symptom means.
    """

    name: str
    label: dict[str, Any]
    problem: str
    alarm: bool = False
    last: str = ""
    first: str = ""
    epoch: int | None = None
    peers: dict[str, set[str]] = field(default_factory=dict)


def above_info(history: RunHistory) -> list[Finding]:
    """Return the findings above info."""
    return [f for f in diagnose(history) if f.severity != "info"]


def judge(name: str, label: dict, history: RunHistory, more: dict) -> Verdict:
    """Apply all rules to all epochs of a run."""
    verdict = Verdict(name, label, label["problem"])
    for epoch in range((history.epoch or 0) + 1):
        found = above_info(storage.truncate(history, epoch))
        if found:
            if not verdict.alarm:
                verdict.first, verdict.epoch = found[0].problem, epoch
            verdict.alarm, verdict.last = True, found[0].problem
    rows = {key.partition(":")[2]: values for key, values in more.items()}
    view = View(history, rows, label["kinds"])
    with np.errstate(all="ignore"):
        verdict.peers = {peer: first_symptom(peer, view) for peer in PEERS}
    return verdict


def judged(
    folders: Sequence[pathlib.Path], half: str, only: str = ""
) -> list[Verdict]:
    """Judge the runs of folders that belong to a half.

    Args:
        folders: Where they were kept.
        half: `"dev"` or `"report"`.
        only: Part of the problem's name; healthy runs always take part.
    """
    verdicts = []
    kept = [sorted(folder.glob(f"{half}-*.json")) for folder in folders]
    for path in itertools.chain(*kept):
        label, history, more = storage.load(path)
        if label["problem"] == "healthy" or only in label["problem"]:
            verdicts.append(judge(path.stem, label, history, more))
    return verdicts


def report(
    folders: Sequence[pathlib.Path],
    half: str,
    only: str = "",
    worst: bool = False,
) -> None:
    """Print the tables."""
    verdicts = judged(folders, half, only)
    healthy = [v for v in verdicts if v.problem == "healthy"]
    faulty = [v for v in verdicts if v.problem != "healthy"]
    print(f"\n{half}: {len(healthy)} healthy runs, {len(faulty)} faulty ones\n")
    print("| problem | runs | found | named first | at once | epoch |")
    print("|---|---|---|---|---|---|")
    for problem in PROBLEMS:
        _row(problem, [v for v in faulty if v.problem == problem])
    _row("all", faulty)
    _confusion(faulty)
    _others(healthy, faulty)
    alarms = Counter(v.last for v in healthy if v.alarm)
    print(f"\nFalse alarms: {_share(sum(alarms.values()), len(healthy))}")
    for problem, count in alarms.most_common():
        print(f"- {problem}: {count}")
    if worst:
        _mistakes(verdicts)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part}/{whole})" if whole else "-"


def _row(name: str, runs: list[Verdict]) -> None:
    if not runs:
        return
    n = len(runs)
    epochs = [v.epoch for v in runs if v.epoch is not None]
    median = f"{np.median(epochs):.0f}" if epochs else "-"
    print(
        f"| {name} | {n} | {sum(v.alarm for v in runs) / n:.0%} "
        f"| {sum(v.last == v.problem for v in runs) / n:.0%} "
        f"| {sum(v.first == v.problem for v in runs) / n:.0%} "
        f"| {median} |"
    )


def _confusion(faulty: list[Verdict]) -> None:
    named = [p for p in PROBLEMS if any(v.last == p for v in faulty)]
    print("\nTrue problem (row) and the one named first (column):\n")
    print("| | " + " | ".join(p.replace("_", " ") for p in named) + " | none |")
    print("|---" * (len(named) + 2) + "|")
    for problem in PROBLEMS:
        counts = Counter(v.last for v in faulty if v.problem == problem)
        if counts:
            cells = [str(counts[p] or "") for p in (*named, "")]
            print(f"| {problem} | " + " | ".join(cells) + " |")


def _others(healthy: list[Verdict], faulty: list[Verdict]) -> None:
    print("\n| rules | false alarms | found | named first |")
    print("|---|---|---|---|")
    alarms = sum(v.alarm for v in healthy)
    print(
        f"| the doctor | {_share(alarms, len(healthy))} "
        f"| {_share(sum(v.alarm for v in faulty), len(faulty))} "
        f"| {_share(sum(v.last == v.problem for v in faulty), len(faulty))} |"
    )
    for peer in PEERS:
        alarms = sum(bool(v.peers[peer]) for v in healthy)
        found = sum(bool(v.peers[peer]) for v in faulty)
        right = sum(v.problem in v.peers[peer] for v in faulty)
        print(
            f"| {peer} | {_share(alarms, len(healthy))} "
            f"| {_share(found, len(faulty))} | {_share(right, len(faulty))} |"
        )


def _mistakes(verdicts: list[Verdict]) -> None:
    print("\nMistakes:")
    for v in verdicts:
        right = "" if v.problem == "healthy" else v.problem
        if v.last == right:
            continue
        spec = v.label["spec"]
        print(
            f"- {v.name} {v.problem} {v.label['kind']}, {spec['task']} "
            f"{v.label['cell']} {spec['depth']}x{spec['width']} "
            f"{spec['activation']} {spec['optimizer']} "
            f"{spec['learning_rate']:.1g} {spec['head']}, score "
            f"{v.label['score']:.2f}, twin "
            f"{v.label.get('twin_score', 0):.2f}, "
            f"{spec['epochs']} epochs: {v.last or 'nothing'} "
            f"(first {v.first or '-'} in epoch {v.epoch})"
        )
