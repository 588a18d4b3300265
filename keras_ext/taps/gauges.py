"""What is measured in a training step, and in which order it is written."""

import abc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_ext.taps._backend import Store, kernels
from keras_ext.taps.points import ActivationPoint, WeightGroup
from keras_ext.taps.sampling import Sampling

Tensor = Any


class Gauge(abc.ABC):
    """Turns what a step shows into one short row of numbers.

    Args:
        sampling: Which steps it measures.
        steps_per_execution: Steps that run without coming back to the host.

    Attributes:
        points: The places whose outputs it wants to capture.
        gradients: Whether it wants gradients.
        weights: Whether it wants weights before and after the update.
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
    def measure(self, capture: Any) -> Tensor | None:
        """Return the row of a step.

        It is called inside the step, or while that is traced. `None` stands
        for nothing to measure.
        """

    @abc.abstractmethod
    def measures(self, points: Sequence[Any]) -> bool:
        """Return whether just these points are measured."""


class WeightGauge(Gauge):
    """What measures layers with trainable weights.

    Args:
        find_groups: Returns the layers to measure. Called in the first
            step, which is when Keras builds a model that was given no input
            shape.
        sampling: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        groups: What `find_groups` returned; empty before the first step.
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
        """See `Gauge.measures`."""
        return [tuple(map(id, g.variables)) for g in self.groups] == [
            tuple(map(id, g.variables)) for g in points
        ]

    def per_group(self, squares: np.ndarray) -> np.ndarray:
        """Add up what belongs to one group.

        Args:
            squares: Array of shape `(rows, variables)`.

        Returns:
            Array of shape `(rows, groups)`.
        """
        sizes = [len(group.variables) for group in self.groups]
        starts = np.cumsum([0, *sizes[:-1]])
        return np.add.reduceat(squares, starts, axis=1)


class GradientGauge(WeightGauge):
    """Measures the L2 norm of each variable's gradient.

    A row holds one norm per variable, in the order of the groups; the host
    adds up their squares in float64. No gradient counts as a norm of zero.
    With `peaks` it goes on with the largest absolute entry of each.

    Args:
        find_groups: See `WeightGauge`.
        sampling: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        optimizers: For each variable the optimizer that received its
            gradient, or `None`; empty before the first step.
        peaks: Whether largest entries are wanted, which tell what clipping
            by value does. Defaults to `False`.
    """

    gradients = True
    optimizers: Sequence[Any] = ()
    peaks = False

    def measure(self, capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        variables = self.variables
        self.optimizers = [capture.optimizers.get(id(v)) for v in variables]
        gradients = [
            capture.gradients.get(id(v), (None, None)) for v in variables
        ]
        if not gradients:
            return None
        row = kernels.norms(gradients, capture.compiled)
        if self.peaks:
            peaks = kernels.peaks(gradients, capture.compiled)
            row = keras.ops.concatenate([row, keras.ops.cast(peaks, row.dtype)])
        return row


class UpdateGauge(WeightGauge):
    """Measures how far each variable moves, and how large it was before.

    A row holds the L2 norm of each variable's change, then of each variable
    before it. A variable that no optimizer touches has not moved.
    """

    weights = True

    def measure(self, capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        weights = [capture.update_of(variable) for variable in self.variables]
        return (
            kernels.update_norms(weights, capture.compiled) if weights else None
        )


class PointGauge(Gauge):
    """What measures outputs of activations.

    Args:
        points: Activations to measure.
        sampling: See `Gauge`.
        steps_per_execution: See `Gauge`.

    Attributes:
        measured: What of the points can be measured, known after the first
            step.
        warns: Whether it names those that cannot be.
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
        self._looked = False

    def measures(self, points: Sequence[ActivationPoint]) -> bool:
        """See `Gauge.measures`."""
        return [s.key for s in self.points] == [s.key for s in points]

    def _captured(
        self, capture: Any
    ) -> list[tuple[ActivationPoint, Sequence[Tensor]]]:
        """Return each measured point and its outputs.

        It is empty if one of them has none: in a step that runs eagerly, a
        model may leave out a layer that it used before.
        """
        if not self._looked:
            self._look(capture)
            self._looked = True
        captured = [(s, capture.outputs.get(s.key)) for s in self.measured]
        return [] if any(not xs for _, xs in captured) else captured

    def _can_measure(self, point: ActivationPoint, output: Tensor) -> bool:
        return True

    def _look(self, capture: Any) -> None:
        left_out = []
        for point in self.points:
            parts = [
                part
                for part in capture.parts(point)
                if self._can_measure(part, capture.outputs[part.key][0])
            ]
            self.measured += parts
            if not parts and not (point.inside and capture.is_silent(point)):
                left_out.append(point.path)
        if left_out and self.warns:
            warnings.warn(
                "Not measured, because they run inside a loop or their "
                f"number of units is unknown: the activations of {left_out}",
                stacklevel=2,
            )


class ActivityGauge(PointGauge):
    """Measures how often each unit of each ReLU fires.

    A row holds the measured points' units, one point after the other: the
    share of a unit's outputs that are not zero.

    Attributes:
        units: The measured points' numbers of units.
    """

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.units: list[int] = []

    def per_point(self, units: np.ndarray) -> np.ndarray:
        """Return the mean over the units of each point.

        Args:
            units: Array of shape `(rows, units of all points)`.

        Returns:
            Array of shape `(rows, points)`.
        """
        starts = np.cumsum([0, *self.units[:-1]])
        return np.add.reduceat(units, starts, axis=1) / self.units

    def measure(self, capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        captured = [
            (outputs, point.unit_axis(len(outputs[0].shape)))
            for point, outputs in self._captured(capture)
        ]
        return (
            kernels.activity(captured, capture.compiled) if captured else None
        )

    def _can_measure(self, point: ActivationPoint, output: Tensor) -> bool:
        units = output.shape[point.unit_axis(len(output.shape))]
        if units:
            self.units.append(int(units))
        return bool(units)


class OutputGauge(PointGauge):
    """Measures mean, standard deviation and saturation of outputs.

    A row holds, per measured point, the mean over all entries, then the
    standard deviations, then the shares of saturated entries.
    """

    def measure(self, capture: Any) -> Tensor | None:
        """See `Gauge.measure`."""
        captured = [
            (outputs, point.low, point.high)
            for point, outputs in self._captured(capture)
        ]
        if not captured:
            return None
        return kernels.moments(captured, capture.compiled)
