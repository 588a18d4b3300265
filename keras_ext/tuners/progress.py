"""What a person sees of a search in the terminal: two lines per trial."""

import time
from collections.abc import Mapping
from typing import Any


class Progress:
    """Prints one line when a trial begins and one when it ends.

    Args:
        total: Number of trials, or `None` if it is not known.
        shown: False prints nothing.
    """

    def __init__(self, total: int | None, shown: bool = True):
        self.total = total
        self.shown = shown
        self._start = time.monotonic()
        self._durations: list[float] = []

    def begin(
        self, number: int, trial: str, hyperparameters: Mapping[str, Any]
    ) -> None:
        """Say what a trial tries.

        Args:
            number: Number of the trial, counted from 1.
            trial: Its id.
            hyperparameters: Its values, by name.
        """
        values = [f"{k}={_short(v)}" for k, v in hyperparameters.items()]
        self._print(number, trial, " ".join(values) or "no hyperparameters")

    def end(
        self,
        number: int,
        trial: str,
        outcome: str,
        duration: float,
        best: str | None = None,
        worst_grad_norm: float | None = None,
        dead_relu: float | None = None,
    ) -> None:
        """Say what came of it.

        Args:
            number: Number of the trial.
            trial: Its id.
            outcome: The score, or why there is none.
            duration: Seconds that it took.
            best: The best score so far.
            worst_grad_norm: Smallest gradient norm among the layers.
            dead_relu: Share of dead ReLU units.
        """
        self._durations.append(duration)
        parts = [outcome]
        if best is not None:
            parts.append(f"best {best}")
        if worst_grad_norm is not None:
            parts.append(f"weakest gradient {worst_grad_norm:.1e}")
        if dead_relu is not None:
            parts.append(f"dead ReLU {dead_relu:.0%}")
        parts.append(f"took {_clock(duration)}")
        parts.append(f"elapsed {_clock(time.monotonic() - self._start)}")
        if self.total is not None and number < self.total:
            mean = sum(self._durations) / len(self._durations)
            parts.append(f"left ~{_clock(mean * (self.total - number))}")
        self._print(number, trial, " | ".join(parts))

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if self.shown:
            print(text, flush=True)

    def _print(self, number: int, trial: str, text: str) -> None:
        total = "" if self.total is None else f"/{self.total}"
        width = len(str(self.total or number))
        self.say(f"[{number:>{width}}{total}] trial {trial}  {text}")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
