"""The objective of all trials, epoch by epoch, stored on disk."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.tuners.pruning.pruners import TrialHistory

# How a trial that was pruned ended: with a value of the objective, or without.
PRUNED, UNSCORED = "PRUNED", "UNSCORED"


class Curves:
    """The reported values of a search's trials, in the file `pruning.jsonl`.

    Each line is a JSON object: `{"trial": "3", "execution": 0, "epoch": 5,
    "value": 0.8}` for each epoch that reported the objective, with `null` for
    a value that is not finite, and `{"trial": "3", "end": "PRUNED"}`. Lines
    are appended, so a crash tears at most the last one.

    A repeated or resumed trial reports some epochs again. This replaces the
    earlier values of these and later epochs.
    """

    def __init__(self, path: Path, direction: str):
        self._path = path
        self._worst = -math.inf if direction == "max" else math.inf
        self._better = max if direction == "max" else min
        # trial -> execution -> epoch -> value
        self._values: dict[str, dict[int, dict[int, float]]] = {}
        self._ends: dict[str, str] = {}
        self._curves: dict[tuple[str, int], dict[int, float] | None] = {}
        for line in self._lines():
            self._take(line)

    def report(
        self, trial: str, execution: int, epoch: int, value: float
    ) -> None:
        """Store a value of the objective, NaN included."""
        self._add(
            {
                "trial": trial,
                "execution": execution,
                "epoch": epoch,
                "value": float(value) if math.isfinite(value) else None,
            }
        )

    def end(self, trial: str, how: str) -> None:
        """Store that a trial was pruned: `PRUNED` or `UNSCORED`."""
        self._add({"trial": trial, "end": how})

    def ended(self, how: str) -> list[str]:
        """Return the ids of the trials that ended this way."""
        return [trial for trial, end in self._ends.items() if end == how]

    def knows(self, trial: str) -> bool:
        """Return whether a trial reported anything."""
        return bool(self._values.get(trial))

    def of(self, trial: str, executions: int) -> dict[int, float] | None:
        """Return the best value up to each epoch, averaged over executions.

        The last execution defines the epochs; an earlier one that ended before
        keeps its last value. Returns `None` for a trial with fewer executions.
        """
        key = trial, executions
        if key not in self._curves:
            self._curves[key] = self._mean_of(trial, executions)
        return self._curves[key]

    def _mean_of(self, trial: str, executions: int) -> dict[int, float] | None:
        known = self._values.get(trial, {})
        curves = [
            self._best_so_far(known.get(i, {})) for i in range(executions)
        ]
        if not all(curves):
            return None
        ended = [TrialHistory(curve) for curve in curves]
        means = {}
        for epoch in curves[-1]:
            values = [curve.at(epoch) for curve in ended]
            means[epoch] = float(np.mean([v for v in values if v is not None]))
        return means

    def other_trials(
        self, trial: str, executions: int, finished: set[str]
    ) -> Iterator[TrialHistory]:
        """Yield the trials other than `trial` with enough executions.

        `finished` are the ids of the trials that the oracle completed.
        """
        for other in self._values:
            if other != trial:
                curve = self.of(other, executions)
                if curve:
                    is_finished = other in finished and other not in self._ends
                    yield TrialHistory(curve, is_finished)

    def score(self, trial: str) -> tuple[float, int] | None:
        """Return the score of a trial and its epoch.

        Both are means over the executions, of the best finite values and of
        their epochs (rounded down). Returns `None` without such a value.
        """
        bests = []
        for values in self._values.get(trial, {}).values():
            finite = {e: v for e, v in values.items() if math.isfinite(v)}
            if finite:
                epoch = self._better(finite, key=finite.__getitem__)
                bests.append((finite[epoch], epoch))
        if not bests:
            return None
        scores, epochs = zip(*bests, strict=True)
        return float(np.mean(scores)), int(np.mean(epochs))

    def _best_so_far(self, values: Mapping[int, float]) -> dict[int, float]:
        best, curve = self._worst, {}
        for epoch, value in sorted(values.items()):
            best = self._better(best, value)
            curve[epoch] = best
        return curve

    def _take(self, line: Mapping[str, Any]) -> None:
        trial = line["trial"]
        for key in [key for key in self._curves if key[0] == trial]:
            del self._curves[key]
        if "end" in line:
            self._ends[trial] = line["end"]
            return
        self._ends.pop(trial, None)
        execution, epoch = line["execution"], line["epoch"]
        known = self._values.setdefault(trial, {})
        self._values[trial] = {i: v for i, v in known.items() if i <= execution}
        before = self._values[trial].get(execution, {})
        kept = {e: v for e, v in before.items() if e < epoch}
        value = line["value"]
        kept[epoch] = self._worst if value is None else value
        self._values[trial][execution] = kept

    def _add(self, line: Mapping[str, Any]) -> None:
        self._take(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self) -> Iterator[Any]:
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8")
        whole, _, torn = text.rpartition("\n")
        if torn:
            # The next line must not continue the torn one.
            self._path.write_text(whole + "\n" if whole else "", "utf-8")
        for line in whole.splitlines():
            yield json.loads(line)
