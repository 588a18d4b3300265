"""How often the training doctor is right, and how often it is wrong.

    KERAS_BACKEND=jax python -m benchmarks.doctor_bench --cache DIR --runs 400
    python -m benchmarks.doctor_bench --replay DIR --half dev

The first command trains small models under `TrainingDoctor`, healthy ones and
ones with a single injected fault, and stores what was measured. With
`--shard 0/2` and `--shard 1/2` two processes share the work. The second
command applies the rules to the histories as they were after each epoch. It
prints how right the rules are, beside the rules of others.

Even seeds are for development. Odd seeds, `--half report`, are for reports
only.

A healthy run reaches the score of its data set. A faulty run is a healthy run
with a single change. It has lost at least 15 % of its healthy twin's
improvement over the best constant prediction and, where it can be measured,
has the fault (`runs.accepted`).

In a healthy run, a finding above info at the end of any epoch is a false
alarm. In a faulty run, "named first" is the first finding at the end of
training. For the peers it is the first symptom, which counts as right if it
can mean the problem at all.
"""

import argparse
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# So that two shards do not fight for the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS",
    # Models this small take longer to compile than to train.
    "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)

from keras_ext.doctor import PROBLEMS

HALVES = {"dev": 0, "report": 1}


def share_compiled(folder: str) -> None:
    """Keep what XLA compiles: twins are mostly the same program."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def forget_compiled() -> None:
    """Keep the programs of hundreds of models from piling up in memory."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        jax.clear_caches()


def generate(args: argparse.Namespace) -> None:
    """Train, and keep the history."""
    from benchmarks.doctor import runs

    args.cache.mkdir(parents=True, exist_ok=True)
    shard, shards = map(int, args.shard.split("/"))
    problems = [p for p in PROBLEMS if args.only in p]
    start, kept, tried = time.perf_counter(), 0, 0
    index = args.first + shard
    while kept * shards < args.runs:
        seed = 2 * index + HALVES[args.half]
        index += shards
        family = enumerate(_until_it_raises(runs.family_of(seed, problems)))
        for i, (run, problem, kind, more) in family:
            tried += 1
            if tried % 25 == 0:
                forget_compiled()
            rejected = more.get("rejected", "")
            name = f"{args.half}-{seed:05d}-{i}"
            if not rejected:
                kept += 1
                label = {"problem": problem, "kind": kind, "half": args.half}
                runs.store(run, args.cache, name, label | {"seed": seed} | more)
            spec = run.spec
            print(
                f"{name} {problem} {kind} {spec.task} {spec.family} "
                f"{spec.depth}x{spec.width} {spec.activation} "
                f"{spec.optimizer} {spec.learning_rate:.1g} "
                f"score {run.score:.3f}"
                + (f" REJECTED: {rejected}" if rejected else "")
                + f" [{kept}/{tried}, {time.perf_counter() - start:.0f} s]",
                flush=True,
            )


def _until_it_raises(family: Iterator) -> Iterator:
    """Yield the runs of a family until the backend raises.

    PyTorch raises where other backends continue with NaN.
    """
    try:
        yield from family
    except RuntimeError as error:
        print(f"the backend raised: {error}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=pathlib.Path, help="where to keep runs")
    parser.add_argument(
        "--replay",
        type=pathlib.Path,
        nargs="+",
        help="score runs that were kept",
    )
    parser.add_argument("--half", choices=list(HALVES), default="dev")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="part of a problem's name")
    parser.add_argument("--shard", default="0/1", help="i/n")
    parser.add_argument("--worst", action="store_true", help="list mistakes")
    args = parser.parse_args()
    if not args.cache and not args.replay:
        parser.error("one of --cache and --replay is needed")
    start = time.perf_counter()
    if args.cache:
        with tempfile.TemporaryDirectory() as folder:
            share_compiled(folder)
            generate(args)
    if args.replay or args.cache:
        from benchmarks.doctor import scoring

        scoring.report(
            args.replay or [args.cache], args.half, args.only, args.worst
        )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
