"""The parts of a monitored `fit`, and their time.

    KERAS_BACKEND=torch python -m benchmarks.steps

Measured steps and other steps alternate in one `fit` of one model. So the
extra time of a measured step is known to a tenth of a millisecond, whereas
two fits differ by per cents. The columns are

- the median of the steps that are not measured;
- the extra time of the median measured step and of the step after it;
- the monitors' work on the host when a `fit` begins and ends;
- the monitors' work on the host when an epoch ends;
- the share of all this in a `fit` of 2 epochs (or `--epochs`) of 200 steps.

The share assumes that a step that is not measured is a bare one;
`benchmarks.monitors` checks this. All is CPU time of the process. Not for
JAX, where a step may run while the host is at the next one.
"""

import argparse
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.monitors import (
    EPOCHS,
    STEPS,
    application,
    both,
    cnn,
    deep,
    doctor,
    fit_of,
    keep_freed_memory,
    lstm,
    mlp,
)

Spans = dict[str, list[float]]


class Watch(keras.callbacks.Callback):
    """Notes the time of each hook, before or after other callbacks.

    Args:
        last: The `Watch` after the other callbacks; `None` for that one.
    """

    def __init__(self, last: "Watch | None" = None):
        super().__init__()
        self.last = last
        self.forget()

    def forget(self) -> None:
        """Forget the last `fit`."""
        self.called: Spans = {"begin": [], "epoch": [], "end": [], "step": []}

    def spans(self, hook: str) -> list[float]:
        """Return the time of the callbacks in between, in seconds."""
        assert self.last is not None
        pairs = zip(self.called[hook], self.last.called[hook], strict=True)
        return [end - start for start, end in pairs]

    def _note(self, hook: str) -> None:
        self.called[hook].append(time.process_time())

    def on_train_begin(self, logs: Any = None) -> None:
        """Note the time."""
        self._note("begin")

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        self._note("step")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self._note("epoch")

    def on_train_end(self, logs: Any = None) -> None:
        """Note the time."""
        self._note("end")


def measured_steps(monitors: Sequence[Any]) -> list[int]:
    return monitors[0].monitors[0].steps["step"].tolist()


def one_fit(
    fit: Callable[[], Any], watch: Watch, monitors: Sequence[Any], steps: int
) -> dict[str, float]:
    """Return milliseconds of the parts of a `fit`, and how many samples."""
    watch.forget()
    watch.last.forget()
    fit()
    lengths = np.diff(watch.called["step"])
    measured = np.array(measured_steps(monitors))
    # The last of an epoch holds the epoch's end, in itself or as the next.
    whole = np.arange(len(lengths)) % steps < steps - 2
    due = np.isin(np.arange(len(lengths)), measured)
    after = np.append(False, due[:-1])
    usual = np.median(lengths[whole & ~due & ~after])
    pairs = np.flatnonzero(whole & due)
    more = np.median(lengths[pairs] + lengths[pairs + 1]) - 2 * usual
    seconds = {
        "step": usual,
        "more": more,
        "begin": watch.spans("begin")[0] + watch.spans("end")[0],
        "epoch": statistics.mean(watch.spans("epoch")),
    }
    parts = {name: 1e3 * float(value) for name, value in seconds.items()}
    return parts | {"samples": float(len(measured))}


def row(
    make: Callable[[], Any],
    kind: Callable[[], list[Any]],
    builds: int,
    epochs: int,
    steps: int,
) -> dict[str, float]:
    """Return the medians over fits of several models.

    Args:
        make: Makes a model.
        kind: Makes the monitors.
        builds: Models.
        epochs: Epochs of a `fit`.
        steps: Steps of an epoch.
    """
    found = []
    for _ in range(builds):
        monitors, last = kind(), Watch()
        watch = Watch(last)
        chain = [watch, *monitors, last]
        fit = fit_of(
            make, lambda chain=chain: chain, epochs=epochs, steps=steps
        )
        fit()  # traces
        found += [one_fit(fit, watch, monitors, steps) for _ in range(3)]
    parts = {
        key: statistics.median(parts[key] for parts in found)
        for key in found[0]
    }
    host = parts["begin"] + epochs * parts["epoch"]
    more = parts["samples"] * parts["more"] + host
    return parts | {"share": more / (epochs * steps * parts["step"])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a fit")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch")
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        help="measure networks of this many layers of 64 units",
    )
    parser.add_argument(
        "--applications",
        nargs="+",
        metavar="NAME",
        help="measure networks of keras.applications",
    )
    args = parser.parse_args()
    backend = keras.config.backend()
    if backend == "jax":
        parser.error("KERAS_BACKEND must not be jax, whose steps overlap")
    keep_freed_memory()
    print(
        f"| {backend}, ms | step | extra, measured step "
        "| begin and end of `fit` | end of epoch | measured steps "
        "| share of `fit` |"
    )
    print("|---|---|---|---|---|---|---|")
    models = {make.__name__: make for make in (mlp, cnn, deep, lstm)}
    if args.layers:
        models = {
            f"{n} layers": functools.partial(deep, n) for n in args.layers
        }
    if args.applications:
        models = {
            name: functools.partial(application, name)
            for name in args.applications
        }
    kinds = {"loggers": both, "doctor": doctor}
    for (model, make), (name, kind) in itertools.product(
        models.items(), kinds.items()
    ):
        title = f"{model}, {name}"
        if args.only not in title:
            continue
        parts = row(make, kind, args.builds, args.epochs, args.steps)
        print(
            f"| {title} | {parts['step']:.2f} | {parts['more']:.2f} "
            f"| {parts['begin']:.1f} | {parts['epoch']:.1f} "
            f"| {parts['samples']:.0f} | {parts['share']:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
