"""What is measured in a training step, and in which order it is written."""

import abc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_ext.taps._backend import Store, kernels
from keras_ext.taps.points import ReluSite, WeightGroup

Tensor = Any


class Gauge(abc.ABC):
    """Turns what a step shows into one short row of numbers.

    Args:
        every_n_steps: Every how many steps it measures. The first step of
            each epoch is always measured.
        steps_per_execution: Steps that run without coming back to the host.

    Attributes:
        sites: The places whose outputs it wants to hear.
        weights: Whether it wants weights before and after the update.
        store: Keeps the rows.
    """

    sites: Sequence[ReluSite] = ()
    weights = False

    def __init__(self, every_n_steps: int, steps_per_execution: int):
        self.every_n_steps = every_n_steps
        self.steps_per_execution = steps_per_execution
        self.store = Store(every_n_steps, steps_per_execution)

    @abc.abstractmethod
    def measure(self, record: Any) -> tuple[Tensor, Tensor | None] | None:
        """Return the row of a step, and flags, of which an epoch keeps `or`.

        It is called inside the step, or while that is traced. `None` stands
        for nothing to measure.
        """

    @abc.abstractmethod
    def measures(self, points: Sequence[Any]) -> bool:
        """Return whether just these points are measured."""


class GradientGauge(Gauge):
    """Measures the L2 norm of each variable's gradient.

    A row holds one norm per variable, in the order of the groups; the host
    adds up their squares in float64. No gradient counts as a norm of zero.

    Args:
        find_groups: Returns the layers to measure. Called in the first
            step, which is when Keras builds a model that was given no input
            shape.
        every_n_steps: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        groups: What `find_groups` returned; empty before the first step.
    """

    def __init__(
        self,
        find_groups: Callable[[], Sequence[WeightGroup]],
        every_n_steps: int,
        steps_per_execution: int,
    ):
        super().__init__(every_n_steps, steps_per_execution)
        self._find_groups = find_groups
        self.groups: Sequence[WeightGroup] = []

    def measures(self, points: Sequence[WeightGroup]) -> bool:
        """See `Gauge.measures`."""
        return [tuple(map(id, g.variables)) for g in self.groups] == [
            tuple(map(id, g.variables)) for g in points
        ]

    def measure(self, record: Any) -> tuple[Tensor, None] | None:
        """See `Gauge.measure`."""
        if not self.groups:
            self.groups = self._find_groups()
        variables = [v for group in self.groups for v in group.variables]
        gradients = [
            record.gradients.get(id(v), (None, None)) for v in variables
        ]
        if not gradients:
            return None
        return kernels.norms(gradients, record.compiled), None


class ActivityGauge(Gauge):
    """Measures which units of each ReLU fire, and how many outputs are zero.

    A row holds, per measured site, the share of units that fired for no
    input of the batch, then, per measured site, the share of zero outputs.
    One flag per unit says whether it fired.

    Args:
        sites: ReLUs to measure.
        every_n_steps: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        measured: The sites that can be measured, known after the first step.
        units: Their numbers of units.
    """

    def __init__(
        self,
        sites: Sequence[ReluSite],
        every_n_steps: int,
        steps_per_execution: int,
    ):
        super().__init__(every_n_steps, steps_per_execution)
        self.sites = list(sites)
        self.measured: list[ReluSite] = []
        self.units: list[int] = []
        self._looked = False

    def measures(self, points: Sequence[ReluSite]) -> bool:
        """See `Gauge.measures`."""
        return [s.key for s in self.sites] == [s.key for s in points]

    def fired(self) -> list[np.ndarray]:
        """Return, per measured site, which units fired in this epoch."""
        return np.split(self.store.flags(), np.cumsum(self.units)[:-1])

    def measure(self, record: Any) -> tuple[Tensor, Tensor] | None:
        """See `Gauge.measure`."""
        if not self._looked:
            self._find_units(record)
            self._looked = True
        heard = []
        for site in self.measured:
            outputs = record.outputs[site.key]
            heard.append((outputs, site.unit_axis(len(outputs[0].shape))))
        if not heard:
            return None
        return kernels.activity(heard, record.compiled)

    def _find_units(self, record: Any) -> None:
        left_out = []
        for site in self.sites:
            outputs = record.outputs.get(site.key)
            units = outputs and _units(site, outputs[0])
            if units:
                self.measured.append(site)
                self.units.append(units)
            else:
                left_out.append(site.path)
        if left_out:
            warnings.warn(
                "Not measured, because they run inside a loop or their "
                f"number of units is unknown: the ReLUs of {left_out}",
                stacklevel=2,
            )


def _units(site: ReluSite, output: Tensor) -> int | None:
    return output.shape[site.unit_axis(len(output.shape))]
