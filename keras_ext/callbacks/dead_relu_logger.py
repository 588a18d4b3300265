"""Logging the share of ReLU units that never fire."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks.alarms import Alarm
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series, of_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DeadReLULogger(Monitor):
    """Logs the share of dead ReLU units of each layer.

    A dead unit outputs zero for every input. It receives no gradient and
    cannot recover by itself. The logger counts units, not zero outputs: in a
    healthy layer about half of the outputs are zero. A unit is an entry of
    the last axis of a dense layer, or a channel of a convolution. The layer
    before the ReLU decides, whatever its `data_format` is.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `dead_relu/<layer>`: the share of the layer's units that fired for no
      input of the window, in [0, 1]. The window is the batch in `steps`, and
      all sampled batches of the epoch in `epochs`. `<layer>` is the layer's
      path in the model.
    - `dead_relu/global`: the same over all units of the logged layers.
    - `zero_fraction/<layer>`: the share of zeros among the layer's outputs,
      in [0, 1]. An epoch's value is the mean over its sampled steps.

    The logger finds `activation="relu"` (and `"relu6"`), `Activation("relu")`,
    `ReLU` without a negative slope, and `keras.ops.relu` in a functional
    model or in a person's own `call`. It cannot measure a ReLU inside a loop,
    as in a recurrent layer; one warning names such layers. Leaky ReLU and ELU
    have no dead units.

    How to read it: if the share grows and does not fall again, the layer is
    dying. A few dead units in a wide layer are harmless.

    The first layer that is mostly dead causes one warning in a `fit`.

    What it costs: in every n-th step, one pass over the outputs of the ReLUs.
    On the device, one number per unit and sampled step. At most half a
    megabyte of them waits there, or the numbers of one step (of one execution
    with `steps_per_execution`) if these are more.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        layers: Names or paths of the layers to log, `None` for all layers
            with a ReLU. The name of a nested model selects the layers in it.
            Defaults to `None`.
        mostly_dead: A layer causes a warning if its share of dead units in
            an epoch is above this value. `None` turns the warning off.
            Defaults to `0.9`.
        max_points: The largest number of values that `steps` keeps for each
            key, `None` for no limit. Beyond the limit, each two neighbours
            become one value: the larger value, at the step of the first. So
            the whole curve stays, with its peaks. Defaults to `4096`.

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
        every_n_steps: int | Literal["auto"] = "auto",
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

        The horizontal axis is the epoch. Before the second epoch ends, it is
        the step.

        Returns:
            A `matplotlib.figure.Figure`; pyplot does not show it by itself.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        epochs = of_kind(self.epochs, "dead_relu/")
        if len(epochs.get("global", ())) > 1:
            return plots.dead_unit_curves(epochs)
        return plots.dead_unit_curves(**self._for_figure("dead_relu/"))

    def _reset(self) -> None:
        super()._reset()
        self._alarm = Alarm("Dead ReLU units")
        self._cannot_die: dict[str, str] = {}
        # For each point, whether each of its units was silent in all sampled
        # steps of the epoch.
        self._silent: dict[str, np.ndarray] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the steps of the epoch, and the units that fire, anew."""
        super().on_epoch_begin(epoch, logs)
        self._silent = {}

    def _make_gauge(self, model: Any) -> Any:
        points = taps.activation_points(model)
        self._cannot_die = {
            p.path: "cannot die" for p in points if p.kind == "leaky"
        }
        points = [point for point in points if point.kind == "relu"]
        if self.layers is not None:
            points = self._selected(points)
            self._cannot_die = {}
        if not points:
            return None
        return self._reused_or_new(taps.ActivityGauge, model, points)

    def _step_values(self, rows: np.ndarray) -> Series:
        silent = rows == 0
        ends = np.cumsum(self._gauge.units)
        for point, units in zip(
            self._gauge.measured,
            np.split(silent.all(axis=0), ends[:-1]),
            strict=True,
        ):
            before = self._silent.get(point.path)
            if before is not None and before.shape == units.shape:
                units = units & before
            self._silent[point.path] = units
        dead = self._gauge.per_point(silent)
        # The mean of ones may exceed one by a rounding error.
        zero = np.maximum(1.0 - self._gauge.per_point(rows), 0.0)
        values = {}
        for i, point in enumerate(self._gauge.measured):
            values[f"dead_relu/{point.path}"] = dead[:, i]
            values[f"zero_fraction/{point.path}"] = zero[:, i]
        values["dead_relu/global"] = silent.mean(axis=1)
        return values

    def _finish_epoch(self, values: dict[str, float]) -> None:
        found = {}
        for path, units in self._silent.items():
            share = float(units.mean())
            values[f"dead_relu/{path}"] = share
            if self.mostly_dead is not None and share > self.mostly_dead:
                found[path] = (
                    f"{share:.0%} of its units ({units.sum()} of "
                    f"{len(units)}) fired in no sampled step of the epoch "
                    f"that ended at step {self._last_step}, more than "
                    f"`mostly_dead={self.mostly_dead:g}`",
                    f"mostly dead, step {self._last_step}",
                )
        every_unit = np.concatenate([*self._silent.values()])
        values["dead_relu/global"] = float(every_unit.mean())
        self._alarm.sound(found)

    def _notes(self, kind: str) -> dict[str, str]:
        return self._alarm.notes | self._cannot_die
