"""The page of the documentation that holds the results."""

import pathlib
from collections.abc import Iterator

from benchmarks.doctor.programs import tables
from benchmarks.doctor.programs.common import HALVES, PROGRAMS, Program
from benchmarks.doctor.programs.rows import ROOT, load

PAGE = ROOT / "docs" / "doctor-programs.md"
COMMAND = "KERAS_BACKEND=torch python -m benchmarks.doctor.programs"

_INTRODUCTION = """\
# The doctor on published programs

This bench holds {programs} faulty programs that others have published, each
beside its accepted repair: posts of Stack Overflow, commits and issues of
GitHub, and the mutants of DeepCrime and TheDeepChecker. Most of them are in
the benches of DeepLocalize, DeepFD, NeuraLint, DEFault, TheDeepChecker, UMLAUT,
AUTOTRAINER or dl-fl-repair. The programs are rebuilt small, in our own words,
on generated data or scikit-learn's. The right labels were written down before
the first run and stayed. The sizes of some programs changed after it, so that
the fault shows and the repaired version is healthy.

    {command} --half dev
    {command} --half report
    {jax} --half dev --refused
    {jax} --half report --refused

These commands train the faulty and the repaired version of each program under
[the doctor](doctor.md). A hash of a program's name decides its half. The rules
are developed on `dev`. The other half is for reports: its command prints
totals alone. `--refused` trains on JAX what PyTorch raises at: binary
cross-entropy of numbers outside [0, 1]. `--page` writes this page.

## Results

- *A pair counts* if its fault shows on unseen data. The repaired version is
  better than the best constant answer by {good}. The faulty version has lost at
  least {lost:.0%} of that improvement. A version that the backend raises at was
  not trained, and does not count on that backend.
- *The score* is accuracy, balanced accuracy for rare classes, and the explained
  variance for numbers. For overfitting it is the explained part of the classes'
  entropy. For a leak it is 1 less the accuracy by which validation flatters.
- *Found* means that a right label is among the findings at the end,
  consequences included.
- *Named first* means that the first finding at the end has a right label.
- *Alarmed* means a finding above info on a repaired version.
- *A peer's symptom* stands for all problems that it could mean. "Found" takes
  any symptom, "named first" the first one. Pairs without a peer's measurements
  are left out of its row.
"""
_ROWS = """\
The last column is the finding that the doctor names first. "Wrong" marks a
label that is not among the right ones. "Does not count" marks a fault that does
not show at this size. The outcomes of the report half are left out, so that
nobody develops on them.
"""


def write(with_report: bool) -> pathlib.Path:
    """Write the page.

    Args:
        with_report: Whether the outcomes of the report half are shown, too.
    """
    text = [
        _INTRODUCTION.format(
            command=COMMAND,
            jax=COMMAND.replace("torch", "jax"),
            programs=len(PROGRAMS),
            good=tables.scores.GOOD,
            lost=tables.scores.LOST,
        )
    ]
    for half in HALVES:
        kept = load(half)
        if kept:
            text += [f"### Totals of the {half} half\n"]
            text += [*tables.totals(kept), ""]
    text += ["## The programs\n", _ROWS]
    for half in HALVES:
        outcomes = {}
        if half == "dev" or with_report:
            # Of several rows, the first that counts.
            kept = sorted(load(half), key=lambda r: not tables.counting([r]))
            outcomes = {r["name"]: tables.said(r) for r in reversed(kept)}
        text += [
            f"### Programs of the {half} half\n",
            *_programs(half, outcomes),
        ]
        text.append("")
    PAGE.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return PAGE


def _programs(half: str, outcomes: dict[str, str]) -> Iterator[str]:
    yield "| source | bench | fault | truth | the doctor |"
    yield "|---|---|---|---|---|"
    for program in PROGRAMS.values():
        if program.half == half:
            truth = ", ".join(f"`{label}`" for label in program.first)
            yield (
                f"| {_source(program)} | {program.listed or '-'} "
                f"| {program.fault} | {truth} "
                f"| {outcomes.get(program.name, '-')} |"
            )


def _source(program: Program) -> str:
    """Return the source with its licence, and a link to a post."""
    site, _, number = program.source.rpartition(" ")
    address = {
        "Stack Overflow": "https://stackoverflow.com/questions/",
        "Data Science": "https://datascience.stackexchange.com/questions/",
    }.get(site)
    name = program.source
    if address:
        name = f"[{name}]({address}{number})"
    return f"{name} ({program.licence})"
