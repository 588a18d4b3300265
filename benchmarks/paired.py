"""Ratios of two costs, measured so that a few per cent mean something.

The candidate and the baseline run in turns, in random order, in one process.
The cost is CPU time of the process, so other work on the machine affects both
alike. A second baseline runs beside them: its ratio to the first is the noise
floor. Two identical models can differ for as long as they live, by where their
memory lies, so everything is built anew several times.
"""

import argparse
import functools
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras

import keras_ext

Step = Callable[[], object]
Case = tuple[str, float, Callable[..., Step], tuple[Any, ...]]
NEVER_SLOWER = 1.02


@dataclass
class Comparison:
    """Medians over all pairs of all builds."""

    ratio: float
    spread: tuple[float, float]
    noise: float
    noise_spread: tuple[float, float]
    baseline_ms: float
    same_program: bool


def compare(
    candidate: Callable[[], Step],
    baseline: Callable[[], Step],
    builds: int = 4,
    pairs: int = 20,
    seed: int = 0,
    clock: Callable[[], float] = time.process_time,
) -> Comparison:
    """Compares the time of two steps.

    Args:
        candidate: Builds the measured thing and returns its step.
        baseline: Builds the baseline and returns its step.
        builds: How often everything is built anew.
        pairs: Pairs of steps per build.
        seed: Seed of the order.
        clock: Returns the time in seconds. Defaults to CPU time.

    Returns:
        The ratio candidate / baseline and baseline / baseline: medians over
        all pairs, and the lowest and highest median of one build.
    """
    order = random.Random(seed)
    ratios, noises, times = [], [], []
    same_program = False
    for _ in range(builds):
        makers = {"new": candidate, "old": baseline, "old2": baseline}
        names = list(makers)
        order.shuffle(names)
        steps = {name: makers[name]() for name in names}
        for step in steps.values():  # Tracing and compiling do not count.
            step()
            step()
        build_ratios, build_noises = [], []
        for _ in range(pairs):
            order.shuffle(names)
            spent = {name: _time(steps[name], clock) for name in names}
            build_ratios.append(spent["new"] / spent["old"])
            build_noises.append(spent["old2"] / spent["old"])
            times.append(spent["old"])
        ratios.append(build_ratios)
        noises.append(build_noises)
        if program := getattr(steps["new"], "program", None):
            same_program = program() == steps["old"].program()
            del program
        del steps
        gc.collect()
    return Comparison(
        *_median(ratios),
        *_median(noises),
        1000 * statistics.median(times),
        same_program,
    )


def _time(step: Step, clock: Callable[[], float]) -> float:
    start = clock()
    step()
    return clock() - start


def _median(builds: list[list[float]]) -> tuple[float, tuple[float, float]]:
    medians = [statistics.median(build) for build in builds]
    everything = [ratio for build in builds for ratio in build]
    return statistics.median(everything), (min(medians), max(medians))


def report(description: str, cases: Callable[[bool], Iterable[Case]]) -> None:
    """Reads the command line and prints a Markdown table of all cases.

    Args:
        description: What `--help` prints.
        cases: Takes whether XLA compiles on TensorFlow, returns the name of
            each case, the ratio that it may have, what builds its step, and
            the builder's arguments after the module, `keras_ext` or `keras`.
    """
    backend = keras.config.backend()
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument(
        "--xla", action="store_true", help="also with jit_compile=True"
    )
    parser.add_argument("--only", default="", help="part of a row's name")
    args = parser.parse_args()
    if args.xla and backend != "tensorflow":
        parser.error("--xla is for TensorFlow; JAX always compiles")

    print(
        f"| {backend} | ratio to the built-in | built-in to itself "
        "| built-in, CPU ms | limit | |"
    )
    print("|---|---|---|---|---|---|")
    for name, limit, build, arguments in [
        *cases(False),
        *(cases(True) if args.xla else []),
    ]:
        if args.only.lower() not in name.lower():
            continue
        c = compare(
            functools.partial(build, keras_ext, *arguments),
            functools.partial(build, keras, *arguments),
            builds=args.builds,
            pairs=args.pairs,
        )
        # Rounded as it is shown.
        met = "met" if round(c.ratio, 2) <= limit else "missed"
        if c.same_program:
            met = "same program"
        print(f"{row(name, c)} {limit:.2f} | {met} |", flush=True)


def row(name: str, c: Comparison, digits: int = 2) -> str:
    """Returns one row of the table, ratios with so many decimals."""
    ratio, low, high, noise, noise_low, noise_high = (
        f"{number:.{digits}f}"
        for number in (c.ratio, *c.spread, c.noise, *c.noise_spread)
    )
    return (
        f"| {name} "
        f"| {ratio} ({low} to {high}) "
        f"| {noise} ({noise_low} to {noise_high}) "
        f"| {c.baseline_ms:.1f} |"
    )
