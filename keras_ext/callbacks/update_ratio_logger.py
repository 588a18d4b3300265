"""Logging how large the optimizer's steps are."""

from typing import TYPE_CHECKING

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.series import Series
from keras_ext.callbacks.weight_monitor import WeightMonitor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class UpdateRatioLogger(WeightMonitor):
    """Logs how far each layer's weights move, relative to their size.

    For each layer, over all of its trainable weights together,

        ‖Δw‖₂ / ‖w‖₂,

    where w is what the weights were before the training step that `fit`
    runs, and Δw what the optimizer made of the gradient: learning rate,
    momentum, clipping, weight decay and constraints included.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `update_ratio/<layer>`: one layer; `<layer>` is its path in the model.
    - `update_ratio/global`: all trainable weights of the model, whatever
      `layers` selects.

    An epoch's value is the mean over its sampled steps in which anything
    moved: with gradient accumulation only every k-th step updates the
    weights (choose `every_n_steps` so that it meets those), and loss scaling
    skips steps. The ratio of weights that are all zero is infinite if they
    move; such steps do not count either.

    How to read it: around 1e-3 is a usual step. Ratios that stay far below
    1e-4 are a crawling training, those above 1e-1 replace the weights faster
    than they can be learned. A layer whose ratio differs from that of the
    others by orders of magnitude needs another learning rate or another
    initialization.

    What it costs: a copy of the weights and two passes over them in every
    n-th step, and two numbers per weight tensor and sampled step on the
    device.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have trainable weights. The name of a nested model stands for
            the layers in it. Defaults to `None`.
        max_points: Most values that `steps` keeps for each key, `None` for
            no limit. When they are reached, each two neighbours become one,
            at the first one's step, with the larger of the two values. So
            the whole curve stays, and so do its peaks. Defaults to `4096`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer that the model does not have.

    Example: the gradient is 2, the rate 0.05, and the weight was 1.

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
            A `matplotlib.figure.Figure`, which pyplot does not know.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        return plots.update_ratio_heatmap(**self._for_figure("update_ratio/"))

    def _step_values(self, rows: np.ndarray) -> Series:
        moved, size = (
            self._gauge.per_group(squares)
            for squares in np.split(np.square(rows), 2, axis=1)
        )
        values = self._of_layers("update_ratio/", _ratio(moved, size))
        values["update_ratio/global"] = _ratio(
            moved.sum(axis=1), size.sum(axis=1)
        )
        return values

    def _counts(self, block: Series) -> np.ndarray:
        return (block["update_ratio/global"] != 0) & np.all(
            [~np.isinf(values) for values in block.values()], axis=0
        )


def _ratio(moved: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the root of a quotient of squares; 0/0 did not move."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(moved == 0, 0.0, np.sqrt(moved / size))
