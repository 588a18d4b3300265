"""Logging what the activations of each layer put out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ActivationLogger(Monitor):
    """Logs saturation, mean and standard deviation of activations.

    Taken from the outputs of the layers' activations in the training step
    that `fit` runs. Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `saturation/<layer>`, for sigmoid and tanh: share of outputs, in
      [0, 1], where the activation is flat: at most 0.01 or at least 0.99
      for a sigmoid, at least 0.99 in size for a tanh. `<layer>` is the
      layer's path in the model.
    - `saturation/global`: the mean over the logged layers that have it.
    - `activation_mean/<layer>`: mean over all outputs.
    - `activation_std/<layer>`: standard deviation of all outputs around
      that mean.

    An epoch's value is the mean over its sampled steps, for the standard
    deviation too.

    How to read it: a sigmoid or tanh that is mostly saturated passes hardly
    any gradient on, unless it is an output layer that is sure of itself. A
    standard deviation that shrinks towards 0 or grows from layer to layer
    is a scale of weights that does not fit the depth.

    What it costs: up to three passes over the activations' outputs in every
    n-th step, and three numbers per layer and sampled step on the device.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have an activation. The name of a nested model stands for the
            layers in it. Defaults to `None`.
        saturation: Whether to log saturation. Defaults to `True`.
        moments: Whether to log mean and standard deviation. Defaults to
            `True`.
        max_points: Most values that `steps` keeps for each key, `None` for
            no limit. When they are reached, each two neighbours become one,
            at the first one's step: the larger saturation, and the means of
            mean and standard deviation. Defaults to `4096`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer that has no activation to log.

    Example: inputs of 10 and -10 are far out on either side.

    >>> import keras, keras_ext, numpy as np
    >>> gate = keras.layers.Activation("sigmoid", name="gate")
    >>> model = keras.Sequential([gate, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> outputs = keras_ext.callbacks.ActivationLogger()
    >>> x, y = np.array([[10.0, -10.0, 0.0, 0.0]]), np.zeros((1, 1))
    >>> history = model.fit(x, y, callbacks=[outputs], verbose=0)
    >>> history.history["saturation/gate"]
    [0.5]
    """

    def __init__(
        self,
        every_n_steps: int = 10,
        layers: Sequence[str] | None = None,
        saturation: bool = True,
        moments: bool = True,
        max_points: int | None = 4096,
    ):
        if not (saturation or moments):
            raise ValueError(
                "`saturation` or `moments` must be `True`. Received: "
                f"saturation={saturation!r}, moments={moments!r}"
            )
        self.saturation = saturation
        self.moments = moments
        super().__init__(every_n_steps, layers, max_points)

    @property
    def _TABLES(self) -> dict[str, str]:  # type: ignore[override]
        tables = {}
        if self.saturation:
            tables["saturation/"] = "Saturated share of outputs"
        if self.moments:
            tables["activation_mean/"] = "Mean of outputs"
            tables["activation_std/"] = "Standard deviation of outputs"
        return tables

    def plot(self) -> "Figure":
        """Return curves of each layer's saturation over the steps.

        Without saturation to show, it is a heat map of the standard
        deviations.

        Returns:
            A `matplotlib.figure.Figure`, which pyplot does not know.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        saturation = self._for_figure("saturation/")
        if saturation["epochs"] or not self.moments:
            return plots.saturation_curves(**saturation)
        return plots.activation_heatmap(**self._for_figure("activation_std/"))

    def _renewed_gauge(self, model: Any) -> Any:
        points = [
            point
            for point in taps.activation_points(model)
            if self.moments or point.low is not None
        ]
        points = taps.select(points, self.layers)
        if not points:
            return None
        if self._can_go_on(model, points):
            return self._gauge
        return taps.OutputGauge(
            points, self.sampling, model.steps_per_execution
        )

    def _merge(self, key: str) -> Callable:
        return np.max if key.startswith("saturation/") else np.mean

    def _step_values(self, rows: np.ndarray) -> Series:
        means, deviations, shares = np.split(rows, 3, axis=1)
        saturating = []
        values = {}
        for i, point in enumerate(self._gauge.measured):
            if self.saturation and point.low is not None:
                values[f"saturation/{point.path}"] = shares[:, i]
                saturating.append(shares[:, i])
            if self.moments:
                values[f"activation_mean/{point.path}"] = means[:, i]
                values[f"activation_std/{point.path}"] = deviations[:, i]
        if saturating:
            values["saturation/global"] = np.mean(saturating, axis=0)
        return values
