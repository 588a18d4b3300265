"""Logging the size of the optimizer's updates."""

from typing import TYPE_CHECKING

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.series import Series
from keras_ext.callbacks.weight_monitor import WeightMonitor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class UpdateRatioLogger(WeightMonitor):
    """Logs the size of each layer's updates, relative to its weights.

    For each layer, over all of its trainable weights together,

        ‖Δw‖₂ / ‖w‖₂,

    where w are the weights before a training step of `fit`, and Δw is their
    change in that step. Δw includes learning rate, momentum, clipping, weight
    decay and constraints.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `update_ratio/<layer>`: one layer. `<layer>` is the layer's path in the
      model.
    - `update_ratio/global`: all trainable weights of the model, also those
      that `layers` does not select.

    An epoch's value is the mean over its sampled steps with an update. Steps
    without an update are common: with gradient accumulation only every k-th
    step updates the weights (choose an `every_n_steps` that meets these
    steps), and loss scaling skips steps. If the weights are all zero and
    move, the ratio is infinite; such steps do not enter the mean either.

    How to read it: a ratio around 1e-3 is usual. If ratios stay far below
    1e-4, the training hardly moves. If they stay above 1e-1, the optimizer
    replaces the weights faster than they can be learned. If the ratio of one
    layer differs from the others by orders of magnitude, the layer needs
    another learning rate or another initialization.

    What it costs: in every n-th step, a copy of the weights and two passes
    over them. On the device, two numbers per weight tensor and sampled step.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        layers: Names or paths of the layers to log, `None` for all layers
            with trainable weights. The name of a nested model selects the
            layers in it. Defaults to `None`.
        max_points: The largest number of values that `steps` keeps for each
            key, `None` for no limit. Beyond the limit, each two neighbours
            become one value: the larger value, at the step of the first. So
            the whole curve stays, with its peaks. Defaults to `4096`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer that the model does not have.

    Example: the gradient is 2, the learning rate 0.05, and the weight was 1.

    >>> import keras, keras_ext, numpy as np
    >>> line = keras.layers.Dense(
    ...     1, use_bias=False, kernel_initializer="ones", name="line"
    ... )
    >>> model = keras.Sequential([line])
    >>> model.compile(keras.optimizers.SGD(0.05), "mse")
    >>> ratios = keras_ext.callbacks.UpdateRatioLogger()
    >>> x, y = np.ones((32, 1)), np.zeros((32, 1))
    >>> history = model.fit(x, y, callbacks=[ratios], verbose=0)
    >>> round(history.history["update_ratio/line"][0], 6)
    0.1
    """

    _GAUGE = taps.UpdateGauge
    _TABLES = {"update_ratio/": "Update ratio |change of w| / |w|"}

    def plot(self) -> "Figure":
        """Return a heat map of the ratios, layers by steps.

        Returns:
            A `matplotlib.figure.Figure`; pyplot does not show it by itself.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        return plots.update_ratio_heatmap(**self._for_figure("update_ratio/"))

    def _step_values(self, rows: np.ndarray) -> Series:
        moved, size = (
            self._gauge.per_group(squares)
            for squares in np.split(rows * np.abs(rows), 2, axis=1)
        )
        ratios = np.ma.array(_ratio(moved.data, size.data), mask=moved.mask)
        values = self._of_layers("update_ratio/", ratios)
        values["update_ratio/global"] = _ratio(
            moved.data.sum(axis=1), size.data.sum(axis=1)
        )
        return values

    def _counts(self, block: Series) -> np.ndarray:
        return (block["update_ratio/global"] != 0) & np.all(
            [~np.isinf(values) for values in block.values()], axis=0
        )


def _ratio(moved: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the root of a quotient of squares, 0 for 0/0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(moved == 0, 0.0, np.sqrt(moved / size))
