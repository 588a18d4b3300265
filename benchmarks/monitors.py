"""The cost of monitors, in training and when training begins.

    KERAS_BACKEND=jax python -m benchmarks.monitors

Both loggers together, and `TrainingDoctor` alone, against a bare model. The
time is that of one `fit` of two epochs of 200 steps (more with `--epochs` and
`--steps`): mostly training steps, with a small part of work once per epoch or
per `fit`. Tracing and compiling are not in it. The first `fit` of a fresh
model, 12 steps long, measures them.

JAX needs a second program for the steps that are not measured, see
`keras_ext/taps/README.md`. The rows before "first fit" run both programs from
the beginning. The rows "fresh model" time all steps of a new model's first
`fit` (5 epochs of 400 steps) but the first step; they leave out compilation.

On a CPU the time is CPU time of the process, which other work on the machine
hardly changes. With a GPU it is wall time: there the processor only waits.

On Linux the process keeps freed memory, in both cases. Otherwise chance
decides, also for bare models, whether the C library gives the temporary memory
of a step back to the system and gets it again page by page in the next step.
This makes a step of `cnn` on JAX a third slower.

Two equal models may differ by a few per cent for as long as they live, on
PyTorch by more than what is measured here. With `--one-model` a `fit` with
monitors and one without train the same model in turns.
"""

import argparse
import contextlib
import ctypes
import functools
import os
import statistics
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_ext
from benchmarks.paired import compare, row
from keras_ext import callbacks

LAYERS = keras.layers
EPOCHS, STEPS = 2, 200

Model = tuple[tuple[int, ...], int, list[Any]]
Monitors = Callable[[], list[Any]]


def mlp() -> Model:
    hidden = [LAYERS.Dense(512, activation="relu") for _ in range(4)]
    return (784,), 128, hidden


def cnn() -> Model:
    hidden = [
        LAYERS.Conv2D(16, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.Conv2D(32, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.Flatten(),
    ]
    return (28, 28, 1), 64, hidden


def deep(layers: int = 30) -> Model:
    # Keras goes through a network from layer to layer by recursion.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * layers))
    # With Glorot's weights the gradient of a deeper network would vanish.
    hidden = [
        LAYERS.Dense(64, activation="relu", kernel_initializer="he_normal")
        for _ in range(layers)
    ]
    return (64,), 64, hidden


def lstm() -> Model:
    return (50, 16), 32, [LAYERS.LSTM(64)]


def application(name: str) -> Model:
    """A network of more than 100 layers, for small images."""
    shape = (32, 32, 3)
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=shape, pooling="avg"
    )
    return shape, 16, [network]


def nothing() -> list[Any]:
    return []


def both(every_n_steps: int | str = "auto") -> list[Any]:
    return [
        callbacks.GradientNormLogger(every_n_steps),
        callbacks.DeadReLULogger(every_n_steps),
    ]


def doctor() -> list[Any]:
    return [callbacks.TrainingDoctor(lambda finding: None)]


def fit_of(
    make: Callable[[], Model],
    monitors: Monitors = nothing,
    adam: Any = keras.optimizers.Adam,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    model_class: type[keras.Sequential] = keras.Sequential,
) -> Callable[[], Any]:
    """Build a model and its data; return what trains it."""
    shape, batch_size, hidden = make()
    head = LAYERS.Dense(10, activation="softmax")
    model = model_class([keras.Input(shape), *hidden, head])
    model.compile(adam(), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size * steps, *shape)).astype("float32")
    y = rng.integers(0, 10, len(x))
    return functools.partial(
        model.fit,
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        callbacks=monitors(),
        verbose=0,
    )


def of_one_model() -> Callable[..., Any]:
    """Return a `fit_of` that builds no second model while its first lives."""
    models: weakref.WeakValueDictionary[Any, Any]
    models = weakref.WeakValueDictionary()

    def fit_of_the_model(
        make: Callable[[], Model], monitors: Monitors, **lengths: int
    ) -> Callable[[], Any]:
        fit = models.get(make) or fit_of(make, **lengths)
        models[make] = fit
        chain = monitors()
        return lambda: fit(callbacks=chain)

    return fit_of_the_model


Seconds = Callable[[Callable[[], Model], Monitors], float]


def fresh_ratio(
    seconds: Seconds,
    make: Callable[[], Model],
    monitors: Monitors = both,
    repeats: int = 5,
) -> tuple[float, float, float]:
    """Return the median ratio of fits of new models, lowest and highest."""
    seconds(make, monitors)  # What is compiled once per process.
    ratios = [
        seconds(make, monitors) / seconds(make, nothing) for _ in range(repeats)
    ]
    return statistics.median(ratios), min(ratios), max(ratios)


def fresh_fit(
    clock: Callable[[], float], epochs: int = 1, steps: int = 12
) -> Seconds:
    """Return what measures the first `fit` of a new model."""

    def seconds(make: Callable[[], Model], monitors: Monitors) -> float:
        fit = fit_of(make, monitors, epochs=epochs, steps=steps)
        start = clock()
        fit()
        return clock() - start

    return seconds


def steps_of_fresh_fit(clock: Callable[[], float]) -> Seconds:
    """Return what measures all steps of a new model but the first.

    The first step traces and compiles. A cache on disk holds what JAX
    compiles later.
    """
    whole, first = fresh_fit(clock, 5, 400), fresh_fit(clock, 1, 1)

    def seconds(make: Callable[[], Model], monitors: Monitors) -> float:
        return whole(make, monitors) - first(make, monitors)

    return seconds


@contextlib.contextmanager
def compilation_cache() -> Iterator[None]:
    """Keep what JAX compiles in a temporary folder."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        yield
        jax.config.update("jax_compilation_cache_dir", None)


def keep_freed_memory() -> None:
    """Keep the C library from trimming its heap and from mapping blocks."""
    if sys.platform == "linux":
        trim_threshold, mmap_threshold = -1, -3
        library = ctypes.CDLL(None)
        library.mallopt(trim_threshold, 1 << 30)
        library.mallopt(mmap_threshold, 32 << 20)


@contextlib.contextmanager
def steady_state() -> Iterator[None]:
    """Let JAX compile the second program at once."""
    if keras.config.backend() != "jax":
        yield
        return
    from keras_ext.taps import jax as taps

    patience, taps.PATIENCE = taps.PATIENCE, 1
    try:
        yield
    finally:
        taps.PATIENCE = patience


def has_gpu() -> bool:
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def cases(
    epochs: int, steps: int, one_model: bool
) -> list[tuple[str, float, Any, Any, dict[str, int]]]:
    """Return name, limit, candidate, baseline and options of each row."""
    fit = of_one_model() if one_model else fit_of

    def of(*model: Any, **options: Any) -> Callable[[], Callable[[], Any]]:
        lengths = {"epochs": epochs, "steps": steps} | options
        return functools.partial(fit, *model, **lengths)

    every_step = 1.05 if keras.config.backend() == "torch" else 1.03
    all_steps = functools.partial(both, 1)
    rows = []
    for make in (mlp, cnn, deep, lstm):
        for which, limit, monitors in (
            ("loggers", 1.01, both),
            ("loggers, every step", every_step, all_steps),
        ):
            rows.append(
                (
                    f"{make.__name__}, {which}",
                    limit,
                    of(make, monitors),
                    of(make, nothing),
                    {},
                )
            )
        rows.append(
            (
                f"{make.__name__}, doctor",
                1.01,
                of(make, doctor),
                of(make, nothing),
                {},
            )
        )
    if not one_model:
        rows.append(
            (
                "mlp, loggers, with keras_ext's Adam",
                0.95,
                of(mlp, both, keras_ext.optimizers.Adam),
                of(mlp, nothing),
                {},
            )
        )
    for layers, fewer, pairs in ((10, 200, 10), (100, 100, 10), (1000, 40, 5)):
        make = functools.partial(deep, layers)
        few = {"steps": fewer}
        rows.append(
            (
                f"{layers} layers, loggers",
                1.01,
                of(make, both, **few),
                of(make, nothing, **few),
                {"builds": 1, "pairs": pairs},
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=10, help="per build")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a fit")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch")
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument(
        "--one-model",
        action="store_true",
        help="let all `fit`s of a build train the same model",
    )
    args = parser.parse_args()
    keep_freed_memory()
    clock = time.perf_counter if has_gpu() else time.process_time
    kind = "wall" if has_gpu() else "CPU"
    print(
        f"| {keras.config.backend()} | monitored / bare | bare / bare ", end=""
    )
    print(f"| bare, {kind} ms per `fit` | limit | |\n|---|---|---|---|---|---|")
    with steady_state():
        for name, limit, candidate, baseline, options in cases(
            args.epochs, args.steps, args.one_model
        ):
            if args.only.lower() in name.lower():
                counts = {"builds": args.builds, "pairs": args.pairs} | options
                c = compare(candidate, baseline, clock=clock, **counts)
                result = verdict(c.ratio, limit)
                print(f"{row(name, c, 3)} {result}", flush=True)
    for make in (mlp, cnn, deep):
        name = f"{make.__name__}, first fit"
        if args.only.lower() in name.lower():
            print_fresh(name, 1.2, fresh_ratio(fresh_fit(clock), make))
    if keras.config.backend() != "jax":
        return
    with compilation_cache():
        for make in (mlp, cnn, deep, lstm):
            for which, monitors in (("loggers", both), ("doctor", doctor)):
                name = f"{make.__name__}, {which}, fresh model"
                if args.only.lower() in name.lower():
                    seconds = steps_of_fresh_fit(clock)
                    ratios = fresh_ratio(seconds, make, monitors)
                    print_fresh(name, 1.01, ratios)


def print_fresh(
    name: str, limit: float, ratios: tuple[float, float, float]
) -> None:
    ratio, low, high = ratios
    print(f"| {name} | {ratio:.3f} ({low:.3f} to {high:.3f}) | | ", end="")
    print(f"| {verdict(ratio, limit)}", flush=True)


def verdict(ratio: float, limit: float) -> str:
    """Return the last columns of a row."""
    met = "met" if round(ratio, 3) <= limit else "missed"
    return f"{limit:g} | {met} |"


if __name__ == "__main__":
    main()
