"""Logging how large the gradients of each layer are."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks import clipping
from keras_ext.callbacks.alarms import GradientAlarms
from keras_ext.callbacks.series import Series
from keras_ext.callbacks.weight_monitor import WeightMonitor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GradientNormLogger(WeightMonitor):
    """Logs the norm of each layer's gradient, as the optimizer received it.

    For each layer the L2 norm over all of its trainable weights,

        ‖∂L/∂W‖₂ = √(Σ_w (∂L/∂w)²),

    taken inside the training step that `fit` runs: after mixed precision's
    loss scale was divided out, before clipping and before the optimizer's
    own transformation. There is no second pass over the data. With gradient
    accumulation it is the gradient of each micro-batch.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `grad_norm/<layer>`: one layer; `<layer>` is its path in the model. An
      epoch's value is the mean over its sampled steps.
    - `grad_norm/global`: all trainable weights of the model, whatever
      `layers` selects.
    - `clipped_fraction`, if the optimizer has a `clipnorm`,
      `global_clipnorm` or `clipvalue`: whether any gradient of the step was
      clipped, 1 or 0, and the share of such steps among the epoch's sampled
      steps. It is not there with gradient accumulation, where the sum over
      several steps is clipped.
    - `skipped_steps`, under a `keras.optimizers.LossScaleOptimizer`:
      whether the step's gradient was not finite, so that the optimizer
      skipped it, 1 or 0, and how many of the epoch's sampled steps were.
      Skipped steps take no part in the epoch's other values.

    Without loss scaling, a step whose gradient is not finite makes the
    epoch's mean NaN or infinite.

    How to read it: a norm that falls by orders of magnitude from the last
    layer to the first is a vanishing gradient, one that grows by orders of
    magnitude from step to step an exploding one.

    Three kinds of trouble are told in a warning each, once in a `fit`, when
    the norms come over from the device:

    - vanishing: in all sampled steps of an epoch (at least 2, in long
      epochs 256 in a row) the layer's norm is below `vanishing` and below
      1/1000 of the whole gradient's. The second condition keeps models
      silent whose training has come to its end;
    - exploding: the norm is above `exploding` times the layer's norm in the
      first step or, if that is less than 1, above `exploding` itself; or it
      is above 1e10;
    - not finite: the norm is NaN or infinite in a step that is not skipped.

    What it costs: one pass over the gradients in every n-th step, and one
    number per weight tensor and sampled step on the device.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have trainable weights. The name of a nested model stands for
            the layers in it. Defaults to `None`.
        vanishing: Norm below which a gradient may have vanished, `None` for
            no such warning. Defaults to `1e-4`.
        exploding: Factor by which an exploding gradient grows, `None` for
            no such warning. Defaults to `1e3`.
        nonfinite: Whether to warn of norms that are not finite. Defaults to
            `True`.
        max_points: Most values that `steps` keeps for each key, `None` for
            no limit. When they are reached, each two neighbours become one,
            at the first one's step, with the larger of the two norms (NaN
            if one is), the mean of `clipped_fraction` and the sum of
            `skipped_steps`. So the whole curve stays, and so do its peaks.
            Defaults to `4096`.

    Raises:
        ValueError: If an argument is out of range, or, at the beginning of
            `fit`, if `layers` names a layer that the model does not have.

    Example:
    >>> import keras, keras_ext, numpy as np
    >>> model = keras.Sequential(
    ...     [keras.layers.Dense(1, use_bias=False, name="line")]
    ... )
    >>> model.compile("sgd", "mse")
    >>> norms = keras_ext.callbacks.GradientNormLogger()
    >>> x, y = np.ones((32, 1)), np.zeros((32, 1))
    >>> history = model.fit(x, y, callbacks=[norms], verbose=0)
    >>> sorted(k for k in history.history if k.startswith("grad_norm"))
    ['grad_norm/global', 'grad_norm/line']
    """

    _GAUGE = taps.GradientGauge
    _TABLES = {"grad_norm/": "Gradient norm (L2)"}

    def __init__(
        self,
        every_n_steps: int = 10,
        layers: Sequence[str] | None = None,
        vanishing: float | None = 1e-4,
        exploding: float | None = 1e3,
        nonfinite: bool = True,
        max_points: int | None = 4096,
    ):
        for name, threshold in (
            ("vanishing", vanishing),
            ("exploding", exploding),
        ):
            if threshold is not None and not threshold > 0:
                raise ValueError(
                    f"`{name}` must be positive or `None`. "
                    f"Received: {name}={threshold!r}"
                )
        self.vanishing = vanishing
        self.exploding = exploding
        self.nonfinite = nonfinite
        super().__init__(every_n_steps, layers, max_points)

    def plot(self) -> "Figure":
        """Return a heat map of the norms, layers by steps.

        Returns:
            A `matplotlib.figure.Figure`, which pyplot does not know.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        return plots.gradient_heatmap(
            **self._for_figure("grad_norm/"),
            title="Gradient norm per layer and step",
        )

    def _forget(self) -> None:
        super()._forget()
        self._alarms = GradientAlarms(
            self.vanishing, self.exploding, self.nonfinite
        )
        self._skipped = 0

    def _renewed_gauge(self, model: Any) -> Any:
        gauge = super()._renewed_gauge(model)
        if gauge is not None:
            gauge.peaks = taps.any_clips_by_value(model)
        return gauge

    def _can_go_on(self, model: Any, points: Sequence[Any]) -> bool:
        return super()._can_go_on(
            model, points
        ) and self._gauge.peaks == taps.any_clips_by_value(model)

    def _merge(self, key: str) -> Callable:
        if key == "clipped_fraction":
            return np.mean
        return np.sum if key == "skipped_steps" else np.max

    def _step_values(self, rows: np.ndarray) -> Series:
        optimizers = self._gauge.optimizers
        rows, peaks = np.split(rows, [len(optimizers)], axis=1)
        squares = self._gauge.per_group(np.square(rows))
        values = self._of_layers("grad_norm/", np.sqrt(squares))
        values["grad_norm/global"] = np.sqrt(squares.sum(axis=1))
        for key, found in (
            ("clipped_fraction", clipping.clipped(rows, optimizers, peaks)),
            ("skipped_steps", clipping.skipped(rows, optimizers)),
        ):
            if found is not None:
                values[key] = found.astype(np.float64)
        return values

    def _counts(self, block: Series) -> np.ndarray:
        skipped = block.get("skipped_steps", np.zeros(len(block["step"])))
        self._skipped += int(skipped.sum())
        return skipped == 0

    def _finish_epoch(self, values: dict[str, float]) -> None:
        if "skipped_steps" in values:
            values["skipped_steps"] = float(self._skipped)
        self._skipped = 0
        self._alarms.end_epoch()

    def _examine(self, block: Series) -> None:
        taken = block.get("skipped_steps", np.zeros(len(block["step"]))) == 0
        norms = {
            key.removeprefix("grad_norm/"): values[taken]
            for key, values in block.items()
            if key.startswith("grad_norm/")
        }
        whole = norms.pop("global")
        self._alarms.see(block["step"][taken], norms, whole)

    def _notes(self, kind: str) -> dict[str, str]:
        return self._alarms.notes
