"""Warnings of the monitors: one of each kind in a `fit`."""

import collections
import dataclasses
import os
import sys
import types
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

# A gradient is small for its model if its norm is below this share of the
# whole gradient's. Layers of models that learn stay above 1/100.
_SMALL_SHARE = 1e-3
# A norm above this limit has exploded, whatever the first norm was.
_HUGE = 1e10
# After this many sampled steps in a row, the warning comes before the epoch
# ends.
_LONG = 256

_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (keras.__file__, os.path.dirname(__file__))
)


class Alarm:
    """Warns about the first layers with a problem, and remembers all layers.

    Attributes:
        name: The problem, such as `"Vanishing gradient"`.
        notes: For each layer with the problem, the note for a table.
    """

    def __init__(self, name: str):
        self.name = name
        self.notes: dict[str, str] = {}
        self._warned = False

    def sound(self, found: Mapping[str, tuple[str, str]]) -> None:
        """Warn about the first layer found, unless a warning was given.

        Args:
            found: For each layer with the problem, the text of the warning
                and the note for a table.
        """
        new = [layer for layer in found if layer not in self.notes]
        for layer in new:
            self.notes[layer] = found[layer][1]
        if not new or self._warned:
            return
        self._warned = True
        more = f" ({len(new) - 1} more layers too)" if len(new) > 1 else ""
        warn(f"{self.name} in layer '{new[0]}': {found[new[0]][0]}{more}")


class GradientAlarms:
    """Warns of gradients that vanish, explode or are not finite.

    `GradientNormLogger` documents the arguments.
    """

    def __init__(
        self, vanishing: float | None, exploding: float | None, nonfinite: bool
    ):
        self.vanishing = vanishing
        self.exploding = exploding
        self.nonfinite = nonfinite
        self._vanished = Alarm("Vanishing gradient")
        self._exploded = Alarm("Exploding gradient")
        self._broken = Alarm("Gradient that is not finite")
        self._first: dict[str, float] = {}
        self._runs: dict[str, _Run] = {}
        # For each layer, the sampled steps of the epoch that use the layer.
        self._in_epoch: collections.Counter[str] = collections.Counter()

    @property
    def notes(self) -> dict[str, str]:
        """For each layer with a problem, the note for a table."""
        alarms = (self._vanished, self._exploded, self._broken)
        layers = {layer for alarm in alarms for layer in alarm.notes}
        return {
            layer: ", ".join(a.notes[layer] for a in alarms if layer in a.notes)
            for layer in layers
        }

    def see(
        self,
        steps: np.ndarray,
        norms: Mapping[str, np.ndarray],
        whole: np.ndarray,
    ) -> None:
        """Check the norms of layers and of the whole gradient in new steps.

        A layer's norm is masked in the steps that do not use the layer.
        """
        seen = {}
        for layer, values in norms.items():
            used = ~np.ma.getmaskarray(values)
            if used.any():
                own = np.ma.getdata(values)[used]
                seen[layer] = _Norms(steps[used], own, whole[used])
        if self.nonfinite:
            self._find_nonfinite(seen)
        if self.exploding is not None:
            self._find_exploded(seen)
        if self.vanishing is not None:
            self._count_small(seen)
            if max(self._in_epoch.values(), default=0) >= _LONG:
                self._find_vanished()

    def end_epoch(self) -> None:
        """Check the epoch that ends."""
        if self.vanishing is not None:
            self._find_vanished()
        self._in_epoch.clear()

    def _find_nonfinite(self, seen: Mapping[str, "_Norms"]) -> None:
        found = {}
        for layer, (steps, values, _) in seen.items():
            where = np.flatnonzero(~np.isfinite(values))
            if len(where):
                step, value = steps[where[0]], values[where[0]]
                found[layer] = (
                    f"its norm is {value} at step {step}, the first sampled "
                    "step in which it is not finite",
                    f"{value}, step {step}",
                )
        self._broken.sound(found)

    def _find_exploded(self, seen: Mapping[str, "_Norms"]) -> None:
        assert self.exploding is not None
        found = {}
        for layer, (steps, values, _) in seen.items():
            first = self._first.setdefault(layer, float(values[0]))
            reference = max(first, 1.0) if np.isfinite(first) else 1.0
            limit = min(self.exploding * reference, _HUGE)
            where = np.flatnonzero((values > limit) & np.isfinite(values))
            if len(where):
                step, value = steps[where[0]], values[where[0]]
                found[layer] = (
                    f"its norm {value:.3g} at step {step} is above "
                    f"{limit:.3g} (`exploding={self.exploding:g}`, norm in "
                    f"the first step {first:.3g})",
                    f"exploded, step {step}",
                )
        self._exploded.sound(found)

    def _count_small(self, seen: Mapping[str, "_Norms"]) -> None:
        for layer, (steps, values, whole) in seen.items():
            self._in_epoch[layer] += len(steps)
            limits = np.where(np.isfinite(whole), _SMALL_SHARE * whole, 0.0)
            others = np.flatnonzero(
                ~((values < self.vanishing) & (values < limits))
            )
            run = self._runs.get(layer)
            if len(others) or run is None:
                begin = others[-1] + 1 if len(others) else 0
                if begin == len(steps):
                    self._runs.pop(layer, None)
                    continue
                run = _Run(int(steps[begin]), -begin)
                self._runs[layer] = run
            run.length += len(steps)
            run.step, run.norm, run.whole = steps[-1], values[-1], whole[-1]

    def _find_vanished(self) -> None:
        # One step is not enough: a branch with initial weights of zero has
        # no gradient in the first step.
        self._vanished.sound(
            {
                layer: (
                    f"its norm {run.norm:.3g} at step {run.step} is below "
                    f"`vanishing={self.vanishing:g}` and {_SMALL_SHARE:g} of "
                    f"the whole gradient's {run.whole:.3g}, as in all sampled "
                    f"steps since step {run.since}",
                    f"vanished, step {run.since}",
                )
                for layer, run in self._runs.items()
                if run.length >= max(2, min(self._in_epoch[layer], _LONG))
            }
        )


class _Norms(NamedTuple):
    """Norms of a layer and of the whole gradient in some sampled steps."""

    steps: np.ndarray
    layer: np.ndarray
    whole: np.ndarray


@dataclasses.dataclass
class _Run:
    """Sampled steps in a row in which a layer's norm is too small."""

    since: int
    length: int
    step: int = 0
    norm: float = 0.0
    whole: float = 0.0


def warn(message: str) -> None:
    """Warn with the line of the person's code, such as the call of `fit`."""
    level = 1
    frame: types.FrameType | None = sys._getframe(0)
    while frame is not None:
        path = os.path.abspath(frame.f_code.co_filename)
        if not path.startswith(_LIBRARIES):
            break
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level if frame is not None else 2)
