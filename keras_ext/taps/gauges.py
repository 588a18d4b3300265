"""The quantities that a training step measures, and their order in a row."""

import abc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_ext.taps._backend import Store, kernels
from keras_ext.taps.points import (
    ActivationPoint,
    WeightGroup,
    with_unique_paths,
)
from keras_ext.taps.sampling import Sampling

Tensor = Any


class Gauge(abc.ABC):
    """Turns the capture of a step into one short row of numbers.

    Attributes:
        sampling: The steps that the gauge measures.
        steps_per_execution: The steps that run without a return to the host.
        points: The activation points whose outputs the gauge measures.
        gradients: Whether the gauge measures gradients.
        weights: Whether the gauge measures weights before and after the
            update.
        store: Keeps the rows.
    """

    points: Sequence[ActivationPoint] = ()
    gradients = False
    weights = False

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self.sampling = sampling
        self.steps_per_execution = steps_per_execution
        self.store = Store(sampling, steps_per_execution)

    @abc.abstractmethod
    def measure(self, step_capture: Any) -> Tensor | None:
        """Return the row of a step, `None` if there is nothing to measure.

        The call happens inside the step, or inside its trace.
        """

    @abc.abstractmethod
    def measures(self, points: Sequence[Any]) -> bool:
        """Return whether the gauge measures exactly these points."""


class WeightGauge(Gauge):
    """Base class of the gauges of layers with trainable weights.

    Attributes:
        groups: The layers to measure: the result of `find_groups`, which the
            gauge calls in the first step. Keras builds a model without an
            input shape in that step.
    """

    def __init__(
        self,
        find_groups: Callable[[], Sequence[WeightGroup]],
        sampling: Sampling,
        steps_per_execution: int,
    ):
        super().__init__(sampling, steps_per_execution)
        self._find_groups = find_groups
        self.groups: Sequence[WeightGroup] = []

    @property
    def variables(self) -> list[Any]:
        """The variables of all groups, in the order of a row."""
        if not self.groups:
            self.groups = self._find_groups()
        return [v for group in self.groups for v in group.variables]

    def measures(self, points: Sequence[WeightGroup]) -> bool:
        """Return whether the gauge measures exactly these groups."""
        return [tuple(map(id, g.variables)) for g in self.groups] == [
            tuple(map(id, g.variables)) for g in points
        ]

    def _marked(self, step_capture: Any, row: Tensor) -> Tensor:
        """Return the row with -1 for each zero of a variable without a use."""
        unused = [step_capture.is_unused(v) for v in self.variables]
        if not any(unused):
            return row
        unused += [False] * (row.shape[0] - len(unused))
        missing = ops.logical_and(np.array(unused), row == 0)
        return ops.where(missing, ops.cast(-1.0, row.dtype), row)

    def per_group(self, columns: np.ndarray) -> np.ndarray:
        """Return the sums over the variables of each group, row by row.

        A negative entry is no value. A group without a value is masked.
        """
        lengths = [len(g.variables) for g in self.groups]
        missing = columns < 0
        sums = _sums_of_runs(np.where(missing, 0.0, columns), lengths)
        mask = np.ma.nomask
        if missing.any():
            mask = _sums_of_runs(missing.astype(int), lengths) == lengths
        return np.ma.array(sums, mask=mask)


class GradientGauge(WeightGauge):
    """Measures the L2 norm of each variable's gradient.

    A row holds one norm for each variable, in the order of the groups. The
    host adds the squares of the norms in float64. A variable without a
    gradient has a norm of -1. With `peaks` the largest absolute entries follow
    the norms.

    Attributes:
        optimizers: For each variable the optimizer that received its
            gradient, or `None`; empty before the first step.
        peaks: Whether the gauge measures the largest entries, which show
            what clipping by value does.
    """

    gradients = True
    optimizers: Sequence[Any] = ()
    peaks = False

    def measure(self, step_capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        ids = [id(variable) for variable in self.variables]
        self.optimizers = [step_capture.optimizers.get(i) for i in ids]
        gradients = [step_capture.gradients.get(i, (None, None)) for i in ids]
        if not gradients:
            return None
        row = self._marked(step_capture, kernels.norms(gradients))
        if self.peaks:
            peaks = ops.cast(kernels.peaks(gradients), row.dtype)
            row = ops.concatenate([row, peaks])
        return row


class UpdateGauge(WeightGauge):
    """Measures the step size and the length of each variable.

    A row holds the L2 norm of each variable's change, then the L2 norm of
    each variable before the change. A variable that does not move because it
    has no gradient has a change of -1.
    """

    weights = True

    def measure(self, step_capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        weights = [step_capture.update_of(v) for v in self.variables]
        if not weights:
            return None
        return self._marked(step_capture, kernels.update_norms(weights))


class PointGauge(Gauge):
    """Base class of the gauges of activation outputs.

    Attributes:
        measured: The activations that can be measured, known after the first
            step.
        warns: Whether a warning names the points that cannot be measured.
    """

    def __init__(
        self,
        points: Sequence[ActivationPoint],
        sampling: Sampling,
        steps_per_execution: int,
    ):
        super().__init__(sampling, steps_per_execution)
        self.points = list(points)
        self.measured: list[ActivationPoint] = []
        self.warns = True
        self._is_first_step = True

    def measures(self, points: Sequence[ActivationPoint]) -> bool:
        """Return whether the gauge measures exactly these points."""
        return [p.key for p in self.points] == [p.key for p in points]

    def _outputs(
        self, step_capture: Any
    ) -> list[tuple[ActivationPoint, Sequence[Tensor]]]:
        """Return each measured activation with the outputs of its uses.

        The list is empty if one activation has no output: in an eager step a
        model may leave out a layer that it used before.
        """
        if self._is_first_step:
            self._is_first_step = False
            self._find_measured(step_capture)
        found = [(p, step_capture.outputs.get(p.key)) for p in self.measured]
        return [] if any(not outputs for _, outputs in found) else found

    def _can_measure(self, point: ActivationPoint) -> bool:
        return True

    def _find_measured(self, step_capture: Any) -> None:
        left_out = []
        for point in self.points:
            parts = [
                part
                for part in step_capture.parts(point)
                if self._can_measure(part)
            ]
            self.measured += parts
            # Code without a ReLU, and a layer that the step does not use, are
            # no reason for a warning.
            if not parts and not step_capture.is_silent(point):
                left_out.append(point.path)
        self.measured = with_unique_paths(self.measured)
        if left_out and self.warns:
            warnings.warn(
                "Not measured, because they run inside a loop or their "
                f"number of units is unknown: the activations of {left_out}",
                stacklevel=2,
            )


class ActivityGauge(PointGauge):
    """Measures how often each unit of each ReLU fires.

    A row holds the units of all measured points, point after point: the
    share of the unit's outputs that are not zero.

    Attributes:
        units: The number of units of each measured point.
    """

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.units: list[int] = []

    def per_point(self, units: np.ndarray) -> np.ndarray:
        """Return the means over the units of each point, row by row."""
        return _sums_of_runs(units, self.units) / self.units

    def measure(self, step_capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        found = [
            (outputs, point.part.axis)
            for point, outputs in self._outputs(step_capture)
            if point.part is not None
        ]
        return kernels.activity(found) if found else None

    def _can_measure(self, point: ActivationPoint) -> bool:
        units = point.part.units if point.part is not None else None
        if units:
            self.units.append(int(units))
        return bool(units)


class OutputGauge(PointGauge):
    """Measures mean, standard deviation and saturation of outputs.

    A row holds the means of all measured points, then the standard
    deviations, then the shares of saturated entries.
    """

    def measure(self, step_capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        found = [
            (outputs, point.low, point.high)
            for point, outputs in self._outputs(step_capture)
        ]
        return kernels.moments(found) if found else None


def _sums_of_runs(columns: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return the sums over runs of neighbouring columns."""
    starts = np.cumsum([0, *lengths[:-1]])
    return np.add.reduceat(columns, starts, axis=1)
