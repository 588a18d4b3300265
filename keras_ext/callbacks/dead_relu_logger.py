"""Logging how many ReLU units never fire."""

from typing import Any

import numpy as np

from keras_ext import taps
from keras_ext.callbacks.monitor import Monitor, Series


class DeadReLULogger(Monitor):
    """Logs which share of each layer's ReLU units is dead.

    A unit that outputs zero for every input receives no gradient and cannot
    come back by itself. Units are counted, not zero outputs: that half of a
    healthy layer's outputs are zero is what a ReLU is for. A unit is the
    last axis of a dense layer, the channel of a convolution.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `dead_relu/<layer>`: share of the layer's units that fired for no
      input of the window, in [0, 1]. The window is the batch in `steps`,
      and all sampled batches of the epoch in `epochs`. `<layer>` is the
      layer's path in the model.
    - `dead_relu/global`: the same over all units of the logged layers.
    - `zero_fraction/<layer>`: share of zeros among the layer's outputs, in
      [0, 1]; an epoch's value is the mean over its sampled steps.

    Found are `activation="relu"` (and `"relu6"`), `Activation("relu")`, `ReLU`
    without a negative slope, and `keras.ops.relu` in a functional model. A
    ReLU inside a loop, as in a recurrent layer, is named in one warning and
    left out. Leaky ReLU and ELU have no dead units.

    How to read it: a share that grows and does not come down again is a
    dying ReLU. A few dead units in a wide layer are harmless.

    What it costs: one pass over the ReLUs' outputs in every n-th step, and
    two numbers per layer and sampled step and one flag per unit on the
    device.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have a ReLU. The name of a nested model stands for the layers in
            it. Defaults to `None`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer without a ReLU.

    Example: a bias of −10 keeps both units silent.

    >>> import keras, keras_ext, numpy as np
    >>> hidden = keras.layers.Dense(
    ...     2, activation="relu", name="hidden",
    ...     bias_initializer=keras.initializers.Constant(-10.0),
    ... )
    >>> model = keras.Sequential([hidden, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> dead = keras_ext.callbacks.DeadReLULogger()
    >>> x, y = np.ones((32, 1)), np.zeros((32, 1))
    >>> history = model.fit(x, y, callbacks=[dead], verbose=0)
    >>> history.history["dead_relu/hidden"]
    [1.0]
    """

    def _renewed_gauge(self, model: Any) -> Any:
        sites = taps.select(taps.relu_sites(model), self.layers)
        if not sites:
            return None
        if self._can_go_on(model, sites):
            return self._gauge
        return taps.ActivityGauge(
            sites, self.every_n_steps, model.steps_per_execution
        )

    def _step_values(self, rows: np.ndarray) -> Series:
        rows = rows.astype(np.float64)
        paths = [site.path for site in self._gauge.measured]
        units = np.array(self._gauge.units)
        dead, zero = np.split(rows, 2, axis=1)
        values = {}
        for i, path in enumerate(paths):
            values[f"dead_relu/{path}"] = dead[:, i]
            values[f"zero_fraction/{path}"] = zero[:, i]
        values["dead_relu/global"] = dead @ units / units.sum()
        return values

    def _epoch_values(self, steps: Series) -> dict[str, float]:
        values = {
            key: float(series.mean())
            for key, series in steps.items()
            if key.startswith("zero_fraction/")
        }
        fired = self._gauge.fired()
        for site, flags in zip(self._gauge.measured, fired, strict=True):
            values[f"dead_relu/{site.path}"] = float(1.0 - flags.mean())
        values["dead_relu/global"] = float(1.0 - np.concatenate(fired).mean())
        return values
