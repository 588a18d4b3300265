"""The tables of the results."""

from collections.abc import Callable, Iterable, Iterator

from benchmarks.doctor.peers import PEERS
from benchmarks.doctor.programs import scores
from benchmarks.doctor.programs.common import PROGRAMS, Program
from benchmarks.doctor.programs.rows import Row


def above_info(found: list) -> list:
    """Return the entries above info."""
    return [entry for entry in found if entry[1] != "info"]


def named(version: Row) -> str:
    """Return the problem that is named first at the end, or nothing."""
    found = above_info(version["end"])
    return found[0][0] if found else ""


def all_named(version: Row) -> set[str]:
    """Return all problems at the end, consequences included."""
    found = above_info(version["end"])
    return {p for problem, _, more in found for p in (problem, *more)}


def ever(version: Row) -> list[list]:
    """Return the findings after each epoch in which they changed."""
    return [found for _, found in version["epochs"]] + [version["end"]]


def ever_alarmed(version: Row) -> bool:
    """Return whether there was a finding above info after any epoch."""
    return any(above_info(found) for found in ever(version))


def ever_an_error(version: Row) -> bool:
    """Return whether `on_finding="stop"` would have ended the training."""
    return any(e[1] == "error" for found in ever(version) for e in found)


def counting(kept: Iterable[Row]) -> list[Row]:
    """Return the rows whose fault shows."""
    return [r for r in kept if scores.counts(r["faulty"], r["repaired"])]


def totals(kept: list[Row]) -> Iterator[str]:
    """Yield the lines of a table: the doctor's totals and the peers'."""
    yield (
        "| rules | pairs | found | named first "
        "| repaired: alarmed in any epoch | repaired: at the end |"
    )
    yield "|---|---|---|---|---|---|"
    rows = counting(kept)
    yield _line(
        "the doctor",
        rows,
        lambda r, p: bool(all_named(r["faulty"]) & set(p.truth)),
        lambda r, p: named(r["faulty"]) in p.first,
        lambda r, p: ever_alarmed(r["repaired"]),
        lambda r, p: bool(above_info(r["repaired"]["end"])),
    )
    for peer in PEERS:
        yield _line(
            peer,
            [
                r
                for r in rows
                if r["faulty"]["peers"] and r["repaired"]["peers"]
            ],
            lambda r, p, n=peer: bool(
                set(r["faulty"]["peers"][n]["any"]) & set(p.truth)
            ),
            lambda r, p, n=peer: bool(
                set(r["faulty"]["peers"][n]["first"]) & set(p.first)
            ),
            lambda r, p, n=peer: bool(r["repaired"]["peers"][n]["any"]),
            lambda r, p, n=peer: bool(r["repaired"]["peers"][n]["end"]),
        )
    stopped = sum(ever_an_error(r["repaired"]) for r in rows)
    yield f"\nRepaired versions that an error would have stopped: {stopped}."


Test = Callable[[Row, Program], bool]


def _line(name: str, rows: list[Row], *tests: Test) -> str:
    cells = []
    for test in tests:
        hits = sum(test(row, PROGRAMS[row["name"]]) for row in rows)
        share = f"{hits / len(rows):.0%}" if rows else "-"
        cells.append(f"{share} ({hits})")
    return f"| {name} | {len(rows)} | " + " | ".join(cells) + " |"


def by_truth(kept: list[Row]) -> Iterator[str]:
    """Yield the lines of a table: a line for each true problem."""
    yield "| true problem | pairs | found | named first |"
    yield "|---|---|---|---|"
    rows = counting(kept)
    for label in sorted({PROGRAMS[r["name"]].first[0] for r in rows}):
        yield _line(
            f"`{label}`",
            [r for r in rows if PROGRAMS[r["name"]].first[0] == label],
            lambda r, p: bool(all_named(r["faulty"]) & set(p.truth)),
            lambda r, p: named(r["faulty"]) in p.first,
        )


def said(row: Row) -> str:
    """Return what the doctor said of a faulty version, in a few words."""
    program = PROGRAMS[row["name"]]
    first = named(row["faulty"])
    if row["faulty"].get("raised"):
        return f"nothing: {row['backend']} refuses it"
    if not scores.counts(row["faulty"], row["repaired"]):
        return "does not count"
    if not first:
        return "nothing"
    if first in program.first:
        return f"`{first}`"
    return f"`{first}` (wrong)"


def lines_of(kept: list[Row]) -> Iterator[str]:
    """Yield a line for each row: scores, truth, and what was found."""
    for r in kept:
        program, bad, good = PROGRAMS[r["name"]], r["faulty"], r["repaired"]
        alarms = sorted(
            {e[0] for _, found in good["epochs"] for e in above_info(found)}
        )
        yield (
            f"- {r['name']} (seed {r['seed']}): score {bad['score']:.2f}, "
            f"repaired {good['score']:.2f}, chance {bad['chance']:.2f}; "
            f"truth {' '.join(program.first)}; said {said(r)}"
            f" [{' '.join(e[0] for e in above_info(bad['end']))}]"
            + (f"; REPAIRED ALARMED: {' '.join(alarms)}" if alarms else "")
            + (" at the end" if above_info(good["end"]) else "")
            + (f"; raised {bad['raised'][:60]}" if bad.get("raised") else "")
        )
