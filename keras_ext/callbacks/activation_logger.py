"""Logging the outputs of each layer's activation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ActivationLogger(Monitor):
    """Logs saturation, mean and standard deviation of activations.

    The logger measures the outputs of the layers' activations in the training
    steps of `fit`. Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `saturation/<layer>`, for sigmoid and tanh: the share of saturated
      outputs, in [0, 1]. There the activation is flat: a sigmoid's output is
      at most 0.01 or at least 0.99, a tanh's output is at most -0.99 or at
      least 0.99. `<layer>` is the layer's path in the model.
    - `saturation/global`: the mean over the logged layers with saturation.
    - `activation_mean/<layer>`: the mean over all outputs.
    - `activation_std/<layer>`: the standard deviation of all outputs around
      that mean.

    An epoch's value is the mean over its sampled steps, for the standard
    deviation too.

    How to read it: a sigmoid or tanh that is mostly saturated passes hardly
    any gradient on. In an output layer, saturation may show a confident
    model. If the standard deviation shrinks towards 0 or grows from layer to
    layer, the scale of the weights does not fit the depth.

    What it costs: in every n-th step, up to three passes over the outputs of
    the activations. On the device, three numbers per layer and sampled step.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        layers: Names or paths of the layers to log, `None` for all layers
            with an activation. The name of a nested model selects the layers
            in it. Defaults to `None`.
        saturation: Whether to log saturation. Defaults to `True`.
        moments: Whether to log mean and standard deviation. Defaults to
            `True`.
        max_points: The largest number of values that `steps` keeps for each
            key, `None` for no limit. Beyond the limit, each two neighbours
            become one value, at the step of the first: the larger
            saturation, and the average of mean and of standard deviation.
            Defaults to `4096`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer that has no activation to log.

    Example: inputs of 10 and -10 are far out on both sides.

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
        every_n_steps: int | Literal["auto"] = "auto",
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

        If no layer has a saturation, the figure is a heat map of the standard
        deviations.

        Returns:
            A `matplotlib.figure.Figure`; pyplot does not show it by itself.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        saturation = self._for_figure("saturation/")
        if saturation["epochs"] or not self.moments:
            return plots.saturation_curves(**saturation)
        return plots.activation_heatmap(**self._for_figure("activation_std/"))

    def _make_gauge(self, model: Any) -> Any:
        points = [
            point
            for point in taps.activation_points(model)
            if self.moments or point.low is not None
        ]
        points = self._selected(points)
        if not points:
            return None
        return self._reused_or_new(taps.OutputGauge, model, points)

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
