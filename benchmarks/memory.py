"""Peak memory of training, against Keras's built-ins.

    KERAS_BACKEND=tensorflow python -m benchmarks.memory

Each number is that of a fresh process: its highest resident size while it
trains, minus its size before its first step, in MB. It is the median of some
runs, in brackets the lowest and highest. Linux only.

With `--only monitors` the number is that of a fifth `fit`, minus the size
before this `fit`: 30 layers, each with an output of 1 MB, with monitors and
bare. There freed memory goes back to the system at once.
"""

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

OPTIMIZERS = {
    "Adam": ("Adam", {}),
    "RMSprop": ("RMSprop", {}),
    "Adagrad": ("Adagrad", {}),
    "SGD": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
}
COMPONENTS = [*OPTIMIZERS, "BatchNormalization"]
LOGGERS, EVERY_STEP = "both loggers, every 10", "both loggers, every 1"
MONITORS = [LOGGERS, EVERY_STEP, "TrainingDoctor"]
CASES = [*COMPONENTS, *MONITORS]


def peak(case, ours):
    """Trains in this process and returns the peak in MB."""
    if case in MONITORS:
        return peak_of_monitored(case, ours)
    import keras
    import numpy as np

    if ours:
        import keras_ext as library
    else:
        library = keras

    rng = np.random.default_rng(0)
    if case == "BatchNormalization":
        hidden = []
        for _ in range(3):
            hidden.append(keras.layers.Conv2D(32, 3, padding="same"))
            hidden.append(library.layers.BatchNormalization())
        shape, batch_size = (64, 64, 16), 32
        layers = [*hidden, keras.layers.GlobalAveragePooling2D()]
        optimizer = keras.optimizers.SGD()
    else:
        layers = [keras.layers.Dense(1900) for _ in range(4)]
        shape, batch_size = (784,), 32
        class_name, options = OPTIMIZERS[case]
        optimizer = getattr(library.optimizers, class_name)(**options)
    model = keras.Sequential(
        [keras.Input(shape), *layers, keras.layers.Dense(10)]
    )
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    x = rng.random((4 * batch_size, *shape), dtype="float32")
    y = rng.random((len(x), 10), dtype="float32")

    return _rise(
        lambda: model.fit(x, y, batch_size=batch_size, epochs=3, verbose=0)
    )


def peak_of_monitored(case, ours):
    """Trains in this process and returns the fifth fit's peak in MB."""
    trim_threshold, mmap_threshold = -1, -3
    library = ctypes.CDLL(None)
    library.mallopt(trim_threshold, 1 << 16)
    library.mallopt(mmap_threshold, 1 << 16)

    from benchmarks import monitors

    def of():
        if not ours:
            return []
        if case == "TrainingDoctor":
            return monitors.doctor()
        return monitors.both(10 if case == LOGGERS else 1)

    def deep():
        shape, _, hidden = monitors.deep()
        return shape, 4096, hidden

    fit = monitors.fit_of(deep, of, epochs=1, steps=20)
    with monitors.steady_state():
        for _ in range(4):
            fit()
            gc.collect()
        return _rise(fit)


def _rise(train):
    """Return how far the resident size rises during training, in MB."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # Sets the highest size back to the present one.
    before = _status("VmRSS")
    train()
    return (_status("VmHWM") - before) / 1024


def _status(key):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1])
    raise KeyError(key)


def measure(case, ours):
    command = [sys.executable, "-m", "benchmarks.memory"]
    done = subprocess.run(
        [*command, "--case", case, *(["--ours"] if ours else [])],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def cell(values):
    return (
        f"{statistics.median(values):.0f} "
        f"({min(values):.0f} to {max(values):.0f})"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--only", choices=["components", "monitors"], help="part of the rows"
    )
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(peak(args.case, args.ours))
        return
    names = {"components": COMPONENTS, "monitors": MONITORS}
    backend = os.environ["KERAS_BACKEND"]
    columns = (
        "monitored | bare" if args.only == "monitors" else "ours | built-in"
    )
    print(f"| {backend}, MB | {columns} | ratio |")
    print("|---|---|---|---|")
    for case in names.get(args.only, CASES):
        # In turns, so that the machine's state affects both alike.
        pairs = [
            (measure(case, True), measure(case, False))
            for _ in range(args.runs)
        ]
        new, old = zip(*pairs, strict=True)
        ratio = statistics.median(new) / statistics.median(old)
        print(
            f"| {case} | {cell(new)} | {cell(old)} | {ratio:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
