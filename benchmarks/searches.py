"""The cost of tracking a search: time, fixed cost per trial, memory.

    KERAS_BACKEND=torch python -m benchmarks.searches

*time*: the wall time of a search with `keras_ext.tuners.RandomSearch` against
`keras_tuner.RandomSearch`, in turns, with trials of some seconds each. Each
search has its own process. The extra time of the first tracked search of a
process is printed on its own. *fixed*: what tracking adds to a trial whose
`fit` does nothing, in searches of few and of many trials. *memory*: how much
memory of the process a trial leaves behind, over 40 trials with models of
different sizes.
"""

import argparse
import contextlib
import io
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import keras
import keras_tuner
import numpy as np

from keras_ext import tuners


def build(hp: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((64,))])
    for i in range(hp.Int("depth", 1, 4)):
        model.add(keras.layers.Dense(hp.Int("width", 32, 256), "relu"))
        hp.Float(f"unused_{i}", 0.0, 1.0)
    model.add(keras.layers.Dense(10, "softmax"))
    model.compile(
        keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log")),
        "sparse_categorical_crossentropy",
    )
    return model


class Bare(keras_tuner.RandomSearch):
    """keras-tuner's own, which also runs without TensorBoard."""

    def _configure_tensorboard_dir(self, *args: Any, **kwargs: Any) -> None:
        pass


class Nothing(keras_tuner.HyperModel):
    """A trial that is over at once."""

    def build(self, hp: Any) -> keras.Model:
        """Return a small model."""
        hp.Float("x", 0.0, 1.0)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any):
        """Return a score without training."""
        return hp.get("x")


def search(
    folder: str, tracked: bool, hypermodel: Any, trials: int, **fit: Any
) -> Any:
    """Make a tuner and return it with what runs its search."""
    options = {
        "objective": "val_loss",
        "max_trials": trials,
        "seed": 1,
        "directory": tempfile.mkdtemp(dir=folder),
    }
    if not tracked:
        return Bare(hypermodel, **options)
    return tuners.RandomSearch(
        hypermodel,
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        log_models=None if isinstance(hypermodel, Nothing) else "best",
        **options,
    )


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, 64)).astype("float32")
    return x, rng.integers(0, 10, samples)


def seconds(tuner: Any, *args: Any, **fit: Any) -> float:
    start = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.search(*args, verbose=0, **fit)
    return time.monotonic() - start


def time_search(tracked: bool, trials: int, epochs: int) -> None:
    """Print how long the first search of this process took, and another."""
    x, y = data(6000)
    fit = {"validation_split": 0.2}
    with tempfile.TemporaryDirectory() as folder:
        # The database is made before anything is timed.
        seconds(search(folder, True, Nothing(), 1), *data(32))
        first, again = (
            seconds(search(folder, tracked, build, 3), x, y, epochs=1, **fit)
            for _ in range(2)
        )
        tuner = search(folder, tracked, build, trials)
        print(first - again, seconds(tuner, x, y, epochs=epochs, **fit))


def measure_time(trials: int, repeats: int, epochs: int) -> None:
    """Compare searches, each in a process of its own.

    Objects that earlier searches leave in a process slow keras-tuner down,
    which would make ours look better.
    """
    command = [sys.executable, "-m", "benchmarks.searches"]
    command += ["--trials", str(trials), "--epochs", str(epochs), "--time-of"]
    ratios, noise, each, once = [], [], [], []
    for repeat in range(repeats):
        spent = {}
        order = ["alone", "tracked", "alone again"]
        for name in order[repeat % 3 :] + order[: repeat % 3]:
            run = subprocess.run(
                [*command, name.split()[0]],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            first, spent[name] = map(float, run.stdout.split()[-2:])
            if name == "tracked":
                once.append(first)
        ratios.append(spent["tracked"] / spent["alone"])
        noise.append(spent["alone again"] / spent["alone"])
        each.append(spent["alone"] / trials)
    print(
        f"time: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}) of keras-tuner alone; "
        f"keras-tuner against itself {statistics.median(noise):.3f}; "
        f"{repeats} pairs of {trials} trials of "
        f"{statistics.median(each):.1f} s; limit 1.02; "
        f"once per process {statistics.median(once):.1f} s more",
        flush=True,
    )


def measure_fixed(folder: str, trials: int) -> None:
    x, y = data(32)
    spent = {
        tracked: seconds(search(folder, tracked, Nothing(), trials), x, y)
        for tracked in (False, True)
    }
    added = (spent[True] - spent[False]) / trials * 1000
    print(
        f"fixed: {added:.1f} ms a trial in a search of {trials} (keras-tuner "
        f"alone: {spent[False] / trials * 1000:.1f} ms); limit 30",
        flush=True,
    )


def resident() -> float:
    """Return the memory of this process in MB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_memory(folder: str, tracked: bool, trials: int = 40) -> None:
    x, y = data(256)
    tuner = search(folder, tracked, build, trials)
    used: list[float] = []
    ended = tuner.on_trial_end

    def on_trial_end(trial: Any) -> None:
        ended(trial)
        used.append(resident())

    tuner.on_trial_end = on_trial_end
    seconds(tuner, x, y, validation_split=0.2, epochs=2)
    first = len(used) // 4
    growth = np.polyfit(range(len(used) - first), used[first:], 1)[0]
    name = "tracked" if tracked else "keras-tuner alone"
    print(
        f"memory: {growth:+.2f} MB a trial, {name}; {trials} trials, "
        f"{used[0]:.0f} MB after the first, {used[-1]:.0f} MB at the end"
        + ("; limit 1" if tracked else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=["time", "fixed", "memory"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--memory-of", choices=["alone", "tracked"])
    parser.add_argument("--time-of", choices=["alone", "tracked"])
    args = parser.parse_args()
    if args.memory_of:
        with tempfile.TemporaryDirectory() as folder:
            measure_memory(folder, args.memory_of == "tracked")
        return
    if args.time_of:
        time_search(args.time_of == "tracked", args.trials, args.epochs)
        return
    print(f"searches on {keras.config.backend()}")
    if args.only in (None, "time"):
        measure_time(args.trials, args.repeats, args.epochs)
    with tempfile.TemporaryDirectory() as folder:
        # The database is made before anything is timed.
        warm = search(folder, True, Nothing(), 1)
        seconds(warm, *data(32))
        if args.only in (None, "fixed"):
            for trials in (10, args.many):
                measure_fixed(folder, trials)
        if args.only in (None, "memory"):
            # Memory that one of them freed would hide what the other takes.
            for what in ("alone", "tracked"):
                command = [sys.executable, "-m", "benchmarks.searches"]
                subprocess.run([*command, "--memory-of", what], check=True)


if __name__ == "__main__":
    main()
