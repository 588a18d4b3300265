"""Logging how many ReLU units never fire."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.alarms import Alarm
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series, of_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

    One warning in a `fit` tells of the first layer that is mostly dead.

    What it costs: one pass over the ReLUs' outputs in every n-th step, and
    one number per unit and sampled step, of which half a megabyte waits on
    the device, or one step's, or those of one execution with
    `steps_per_execution`, if that is more.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have a ReLU. The name of a nested model stands for the layers in
            it. Defaults to `None`.
        mostly_dead: Share of dead units in an epoch above which a layer is
            warned of, `None` for no such warning. Defaults to `0.9`.
        max_points: Most values that `steps` keeps for each key, `None` for
            no limit. When they are reached, each two neighbours become one,
            at the first one's step, with the larger of the two values. So
            the whole curve stays, and so do its peaks. Defaults to `4096`.

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
    >>> dead = keras_ext.callbacks.DeadReLULogger(mostly_dead=None)
    >>> x, y = np.ones((32, 1)), np.zeros((32, 1))
    >>> history = model.fit(x, y, callbacks=[dead], verbose=0)
    >>> history.history["dead_relu/hidden"]
    [1.0]
    """

    _TABLES = {"dead_relu/": "Dead share of ReLU units"}
    _MEASURED = "ReLU"
    _BY_EPOCH = True

    def __init__(
        self,
        every_n_steps: int = 10,
        layers: Sequence[str] | None = None,
        mostly_dead: float | None = 0.9,
        max_points: int | None = 4096,
    ):
        if mostly_dead is not None and not 0 <= mostly_dead < 1:
            raise ValueError(
                "`mostly_dead` must be in [0, 1) or `None`. "
                f"Received: mostly_dead={mostly_dead!r}"
            )
        self.mostly_dead = mostly_dead
        super().__init__(every_n_steps, layers, max_points)

    def plot(self) -> "Figure":
        """Return curves of each layer's share of dead units.

        Over the epochs, or over the steps as long as there are less than
        two epochs.

        Returns:
            A `matplotlib.figure.Figure`, which pyplot does not know.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        epochs = of_kind(self.epochs, "dead_relu/")
        if len(epochs.get("global", ())) > 1:
            return plots.dead_unit_curves(epochs)
        return plots.dead_unit_curves(**self._for_figure("dead_relu/"))

    def _forget(self) -> None:
        super()._forget()
        self._alarm = Alarm("Dead ReLU units")
        self._cannot_die: dict[str, str] = {}
        self._silent = np.array(True)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count the steps of the epoch, and the units that fire."""
        super().on_epoch_begin(epoch, logs)
        # Which units have fired in no sampled step of the epoch.
        self._silent = np.array(True)

    def _renewed_gauge(self, model: Any) -> Any:
        points = taps.activation_points(model)
        self._cannot_die = {
            s.path: "cannot die" for s in points if s.kind == "leaky"
        }
        points = [point for point in points if point.kind == "relu"]
        if self.layers is not None:
            points = taps.select(points, self.layers)
            self._cannot_die = {}
        if not points:
            return None
        if self._can_go_on(model, points):
            return self._gauge
        return taps.ActivityGauge(
            points, self.sampling, model.steps_per_execution
        )

    def _step_values(self, rows: np.ndarray) -> Series:
        silent = rows == 0
        self._silent = self._silent & silent.all(axis=0)
        dead = self._gauge.per_point(silent)
        # The mean of ones may be a rounding error more than one.
        zero = np.maximum(1.0 - self._gauge.per_point(rows), 0.0)
        values = {}
        for i, point in enumerate(self._gauge.measured):
            values[f"dead_relu/{point.path}"] = dead[:, i]
            values[f"zero_fraction/{point.path}"] = zero[:, i]
        values["dead_relu/global"] = silent.mean(axis=1)
        return values

    def _finish_epoch(self, values: dict[str, float]) -> None:
        ends = np.cumsum(self._gauge.units)
        silent = np.split(self._silent, ends[:-1])
        found = {}
        for point, units in zip(self._gauge.measured, silent, strict=True):
            share = float(units.mean())
            values[f"dead_relu/{point.path}"] = share
            if self.mostly_dead is not None and share > self.mostly_dead:
                found[point.path] = (
                    f"{share:.0%} of its units ({units.sum()} of "
                    f"{len(units)}) fired in no sampled step of the epoch "
                    f"that ended at step {self._last_step}, more than "
                    f"`mostly_dead={self.mostly_dead:g}`",
                    f"mostly dead, step {self._last_step}",
                )
        values["dead_relu/global"] = float(self._silent.mean())
        self._alarm.sound(found)

    def _notes(self, kind: str) -> dict[str, str]:
        return self._alarm.notes | self._cannot_die
