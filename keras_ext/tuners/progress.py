"""The terminal output of a search: two lines per trial.

In a terminal, a live line between the two shows the current epoch.
"""

import math
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.live import Live
from rich.text import Text

from keras_ext.callbacks.logs import numbers_in


class Progress:
    """Prints one line when a trial begins and one when it ends.

    Args:
        total: Number of trials, or `None` if it is not known.
        shown: Whether to print anything.
        live: Whether to show a live line, where the output is a terminal.
        deadline: End of the time budget, by `time.monotonic`.
        start: Begin of the search. Defaults to `None`: now.
    """

    def __init__(
        self,
        total: int | None,
        shown: bool = True,
        live: bool = False,
        deadline: float = math.inf,
        start: float | None = None,
    ):
        self.total = total
        self.shown = shown
        self.live = shown and live and sys.stdout.isatty()
        self._deadline = deadline
        self._start = time.monotonic() if start is None else start
        self._durations: list[float] = []
        self._number, self._trial = 0, ""
        self._began = self._start
        self._best: str | None = None
        # Do not wrap the lines that a trial prints itself.
        console = Console(soft_wrap=True)
        self._line = Live(console=console, auto_refresh=False, transient=True)

    def begin(
        self, number: int, trial: str, hyperparameters: Mapping[str, Any]
    ) -> None:
        """Print the number, id and hyperparameters of a trial."""
        self._number, self._trial = number, trial
        self._began = time.monotonic()
        values = [f"{k}={_short(v)}" for k, v in hyperparameters.items()]
        self._print(" ".join(values) or "no hyperparameters")

    def end(
        self,
        outcome: str,
        duration: float,
        best: str | None = None,
        min_grad_norm: float | None = None,
        dead_relu: float | None = None,
    ) -> None:
        """Print how the trial ended: `outcome` is its score or status."""
        self._durations.append(duration)
        self._best = best
        parts = [outcome]
        if best is not None:
            parts.append(f"best {best}")
        if min_grad_norm is not None:
            parts.append(f"smallest gradient norm {min_grad_norm:.1e}")
        if dead_relu is not None:
            parts.append(f"dead ReLU {dead_relu:.0%}")
        parts.append(f"took {_clock(duration)}")
        parts.append(f"elapsed {_clock(time.monotonic() - self._start)}")
        self._print(" | ".join(parts + self._left()))

    def epoch(
        self, epoch: int, epochs: int, objective: str, logs: Mapping[str, Any]
    ) -> None:
        """Update the live line after an epoch; 0 is the begin of training."""
        numbers = numbers_in(logs)
        parts = [f"  epoch {epoch}/{epochs}"]
        if objective in numbers:
            parts.append(f"{objective} {numbers[objective]:.4f}")
        if self._best is not None:
            parts.append(f"best {self._best}")
        parts += _worst_layers(numbers)
        elapsed = time.monotonic() - self._began
        expected = elapsed * epochs / epoch if epoch else None
        parts += self._left(expected, elapsed)
        line = Text(" | ".join(parts), no_wrap=True, overflow="ellipsis")
        self._line.start()
        self._line.update(line, refresh=True)

    def print_line(self, text: str) -> None:
        """Print a line in place of the live line."""
        self.close()
        if self.shown:
            print(text, flush=True)

    def close(self) -> None:
        """Remove the live line."""
        self._line.stop()

    def _left(
        self, expected: float | None = None, elapsed: float = 0.0
    ) -> list[str]:
        """Return the time left for the trials, within the time budget.

        A running trial has `expected` seconds in total and `elapsed` so far.
        """
        running = [] if expected is None else [expected]
        durations = self._durations + running
        left = math.inf
        if self.total is not None and durations:
            mean = sum(durations) / len(durations)
            left = mean * (self.total - self._number)
        until = max(0.0, self._deadline - time.monotonic())
        this = 0.0 if expected is None else expected - elapsed
        # A trial that has begun is trained to its end.
        left = max(this, min(this + left, until))
        if not math.isfinite(left) or (expected is None and left <= 0):
            return []
        return [f"left ~{_clock(left)}"]

    def _print(self, text: str) -> None:
        total = "" if self.total is None else f"/{self.total}"
        number = str(self._number).rjust(len(total) - 1)
        self.print_line(f"[{number}{total}] trial {self._trial}  {text}")


def opened_by(store: str) -> str:
    """Return how to open a store in MLflow: a command, or its address."""
    if store.startswith(("http://", "https://")):
        return store
    return f"keras-ext ui --tracking-uri {shlex.quote(store)}"


class LiveLine(keras.callbacks.Callback):
    """Shows the epochs of a trial. The last callback, so it sees all logs."""

    def __init__(self, progress: Progress, objective: str):
        super().__init__()
        self._progress = progress
        self._objective = objective

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the live line."""
        self._show(0, {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Show the values of the epoch."""
        self._show(epoch + 1, logs or {})

    def _show(self, epoch: int, logs: Mapping[str, Any]) -> None:
        epochs = self.params.get("epochs") or epoch
        self._progress.epoch(epoch, epochs, self._objective, logs)


def _worst_layers(numbers: Mapping[str, float]) -> list[str]:
    """Return the smallest gradient norm, the most dead units, their layers."""
    worst = []
    for kind, name, choose, form in (
        ("grad_norm/", "smallest gradient norm", min, ".1e"),
        ("dead_relu/", "dead ReLU", max, ".0%"),
    ):
        layers = {
            key.removeprefix(kind): value
            for key, value in numbers.items()
            if key.startswith(kind) and not key.endswith("/global")
        }
        if layers:
            layer = choose(layers, key=lambda key: layers[key])
            worst.append(f"{name} {layers[layer]:{form}} in {layer}")
    return worst


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
