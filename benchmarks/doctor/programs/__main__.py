"""How right the doctor is on faulty programs that others have published.

    KERAS_BACKEND=torch python -m benchmarks.doctor.programs --half dev

trains the faulty and the repaired version of each program of a half, and
prints the doctor's totals beside those of its peers. Results are kept in
`results/`. A run that was interrupted goes on; a row is made anew when the
code behind it has changed. For the report half only totals are printed.

PyTorch raises at some faulty programs, where other backends train them:

    KERAS_BACKEND=jax python -m benchmarks.doctor.programs --refused
"""

import argparse
import os
import time

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras

from benchmarks.doctor.programs import (
    PROGRAMS,
    page,
    rows,
    running,
    scores,
    tables,
)
from benchmarks.doctor.programs.common import HALVES, Program


def refused(program: Program) -> bool:
    """Return whether another backend raised at the faulty version."""
    return any(
        row["name"] == program.name
        and row["backend"] != keras.config.backend()
        and row["faulty"].get("raised")
        for row in rows.load(program.half)
    )


def make(programs: list[Program], seeds: int, stale: bool) -> None:
    """Train what has no row yet, and keep a row for each pair."""
    start = time.perf_counter()
    for i, program in enumerate(programs):
        code = rows.digest(program)
        for seed in range(1, seeds + 1):
            wanted = rows.key(program, seed)
            kept = rows.load(program.half)
            row = rows.find(kept, wanted)
            if row and (stale or row["digest"] == code):
                continue
            kept = [r for r in kept if r is not row]
            row = wanted | {"digest": code} | running.pair(program, seed)
            rows.save(program.half, [*kept, row])
            seconds = time.perf_counter() - start
            print(
                f"{program.name}, seed {seed} "
                f"[{i + 1}/{len(programs)}, {seconds:.0f} s]",
                flush=True,
            )


def print_scores(kept: list[rows.Row]) -> None:
    """Print scores and seconds, and nothing of what was found."""
    for row in kept:
        bad, good = row["faulty"], row["repaired"]
        print(
            f"{row['name']} (seed {row['seed']}): {bad['score']:.3f}, "
            f"repaired {good['score']:.3f}, chance {bad['chance']:.3f}, "
            f"{bad['seconds']:.1f} and {good['seconds']:.1f} s"
            + ("" if scores.counts(bad, good) else " DOES NOT COUNT"),
            *(x["raised"][:80] for x in (bad, good) if x.get("raised")),
        )


def show(program: Program, seed: int = 1) -> None:
    """Print the doctor's reports on both versions."""
    for repaired in (False, True):
        with running.quietly():
            row, doctor = running.trained(program, repaired, seed)
        print(f"\n{program.name}, {'repaired' if repaired else 'faulty'}")
        print({k: v for k, v in row.items() if k != "peers"})
        for key, values in doctor.history.logs.items():
            print(
                key,
                [float(f"{v:.3g}") for v in values[:: len(values) // 8 or 1]],
            )
        print(doctor.report())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--half", choices=HALVES, default="dev")
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", action="store_true", help="list programs")
    parser.add_argument("--page", action="store_true", help="write the page")
    parser.add_argument(
        "--scores", action="store_true", help="list scores, of either half"
    )
    parser.add_argument(
        "--show", action="store_true", help="the doctor's reports"
    )
    parser.add_argument(
        "--refused",
        action="store_true",
        help="only what another backend raises at",
    )
    parser.add_argument(
        "--kept", action="store_true", help="keep rows of older code"
    )
    args = parser.parse_args()
    programs = [
        p
        for p in PROGRAMS.values()
        if p.half == args.half and args.only in p.name
    ]
    if args.show:
        if args.half != "dev" and not args.rows:
            parser.error("--show of the report half needs --rows")
        for program in programs:
            show(program)
        return
    chosen = [p for p in programs if refused(p)] if args.refused else programs
    make(chosen, args.seeds, args.kept)
    names = {p.name for p in programs}
    kept = [r for r in rows.load(args.half) if r["name"] in names]
    if args.scores:
        print_scores(kept)
    counting = len(tables.counting(kept))
    print(f"\n{args.half}: {len(kept)} pairs, {counting} of them count\n")
    print(*tables.totals(kept), sep="\n")
    print()
    if args.half == "dev" or args.rows:
        print(*tables.by_truth(kept), sep="\n")
        print()
        print(*tables.lines_of(kept), sep="\n")
    if args.page:
        print(page.write(args.rows))


if __name__ == "__main__":
    main()
