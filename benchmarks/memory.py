"""Peak memory of training with what is here against Keras's built-ins.

    KERAS_BACKEND=tensorflow python -m benchmarks.memory

Each number is that of a fresh process: how far the highest resident size
while it trains is above that of the same process before its first step, in
MB; the median of some runs, in brackets the lowest and highest. Linux only.
"""

import argparse
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
CASES = [*OPTIMIZERS, "BatchNormalization"]


def peak(case, ours):
    """Trains in this process and returns the peak in MB."""
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

    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # Sets the highest size back to the present one.
    before = _status("VmRSS")
    model.fit(x, y, batch_size=batch_size, epochs=3, verbose=0)
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
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(peak(args.case, args.ours))
        return
    print(f"| {os.environ['KERAS_BACKEND']}, MB | ours | built-in | ratio |")
    print("|---|---|---|---|")
    for case in CASES:
        # In turns, so that the machine's state weighs on both alike.
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
