"""Logging the norms of each layer's gradient."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_ext import plots, taps
from keras_ext.callbacks import clipping
from keras_ext.callbacks.alarms import GradientAlarms
from keras_ext.callbacks.series import Series
from keras_ext.callbacks.weight_monitor import WeightMonitor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GradientNormLogger(WeightMonitor):
    """Logs the norm of each layer's gradient, as the optimizer receives it.

    For each layer, the L2 norm over all of its trainable weights,

        ‖∂L/∂W‖₂ = √(Σ_w (∂L/∂w)²).

    The logger measures inside the training step of `fit`, without a second
    pass over the data: after mixed precision's loss scale is divided out,
    before clipping, and before the optimizer's own transformation. With
    gradient accumulation it measures the gradient of each micro-batch.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `grad_norm/<layer>`: one layer. `<layer>` is the layer's path in the
      model. An epoch's value is the mean over its sampled steps.
    - `grad_norm/global`: all trainable weights of the model, also those that
      `layers` does not select.
    - `clipped_fraction`, if the optimizer has a `clipnorm`,
      `global_clipnorm` or `clipvalue`: 1 if the step clipped a gradient,
      else 0. An epoch's value is the share of such steps among its sampled
      steps. With gradient accumulation there is no such key, because the
      optimizer clips the sum over several steps.
    - `skipped_steps`, under a `keras.optimizers.LossScaleOptimizer`: 1 if
      the gradient was not finite, so that the optimizer skipped the step,
      else 0. An epoch's value is the number of such steps among its sampled
      steps. Skipped steps do not enter the epoch's other values.

    Without loss scaling, a step whose gradient is not finite makes the
    epoch's mean NaN or infinite.

    How to read it: a gradient vanishes if its norm falls by orders of
    magnitude from the last layer to the first. It explodes if its norm grows
    by orders of magnitude from step to step.

    Three kinds of problems cause a warning each, once in a `fit`, when the
    host fetches the norms:

    - vanishing: in all sampled steps of an epoch (at least 2; in long epochs
      256 in a row), the layer's norm is below `vanishing` and below 1/1000 of
      the whole gradient's norm. Because of the second condition, a training
      that has converged causes no warning;
    - exploding: the norm is above `exploding` times the layer's norm in the
      first step (above `exploding` itself if that norm is less than 1), or it
      is above 1e10;
    - not finite: the norm is NaN or infinite in a step that is not skipped.

    What it costs: in every n-th step, one pass over the gradients. On the
    device, one number per weight tensor and sampled step.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        layers: Names or paths of the layers to log, `None` for all layers
            with trainable weights. The name of a nested model selects the
            layers in it. Defaults to `None`.
        vanishing: The norm below which a gradient may have vanished, `None`
            for no such warning. Defaults to `1e-4`.
        exploding: The factor by which an exploding gradient grows, `None`
            for no such warning. Defaults to `1e3`.
        nonfinite: Whether to warn of norms that are not finite. Defaults to
            `True`.
        max_points: The largest number of values that `steps` keeps for each
            key, `None` for no limit. Beyond the limit, each two neighbours
            become one value, at the step of the first: the larger norm (NaN
            if one norm is NaN), the mean of `clipped_fraction`, and the sum
            of `skipped_steps`. So the whole curve stays, with its peaks.
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
        every_n_steps: int | Literal["auto"] = "auto",
        layers: Sequence[str] | None = None,
        vanishing: float | None = 1e-4,
        exploding: float | None = 1e3,
        nonfinite: bool = True,
        max_points: int | None = 4096,
    ):
        thresholds = {"vanishing": vanishing, "exploding": exploding}
        for name, threshold in thresholds.items():
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
            A `matplotlib.figure.Figure`; pyplot does not show it by itself.

        Raises:
            ValueError: If nothing was measured.
            ImportError: If Matplotlib is missing.
        """
        return plots.gradient_heatmap(
            **self._for_figure("grad_norm/"),
            title="Gradient norm per layer and step",
        )

    def _reset(self) -> None:
        super()._reset()
        self._alarms = GradientAlarms(
            self.vanishing, self.exploding, self.nonfinite
        )
        self._skipped = 0

    def _make_gauge(self, model: Any) -> Any:
        gauge = super()._make_gauge(model)
        if gauge is not None:
            gauge.peaks = taps.any_clips_by_value(model)
        return gauge

    def _can_reuse_gauge(self, model: Any, points: Any) -> bool:
        return super()._can_reuse_gauge(
            model, points
        ) and self._gauge.peaks == taps.any_clips_by_value(model)

    def _merge(self, key: str) -> Callable:
        if key == "clipped_fraction":
            return np.mean
        return np.sum if key == "skipped_steps" else np.max

    def _step_values(self, rows: np.ndarray) -> Series:
        optimizers = self._gauge.optimizers
        rows, peaks = np.split(rows, [len(optimizers)], axis=1)
        squares = self._gauge.per_group(rows * np.abs(rows))
        values = self._of_layers("grad_norm/", np.sqrt(squares))
        values["grad_norm/global"] = np.sqrt(squares.data.sum(axis=1))
        rows = np.maximum(rows, 0.0)
        for key, found in (
            ("clipped_fraction", clipping.clipped(rows, optimizers, peaks)),
            ("skipped_steps", clipping.skipped(rows, optimizers)),
        ):
            if found is not None:
                values[key] = found.astype(np.float64)
        return values

    def _counts(self, block: Series) -> np.ndarray:
        counts = _is_taken(block)
        self._skipped += int((~counts).sum())
        return counts

    def _finish_epoch(self, values: dict[str, float]) -> None:
        if "skipped_steps" in values:
            values["skipped_steps"] = float(self._skipped)
        self._skipped = 0
        self._alarms.end_epoch()

    def _examine(self, block: Series) -> None:
        taken = _is_taken(block)
        norms = {
            key.removeprefix("grad_norm/"): values[taken]
            for key, values in block.items()
            if key.startswith("grad_norm/")
        }
        whole = norms.pop("global")
        self._alarms.see(block["step"][taken], norms, whole)

    def _notes(self, kind: str) -> dict[str, str]:
        return self._alarms.notes


def _is_taken(block: Series) -> np.ndarray:
    """Return which steps the optimizer took, and did not skip."""
    return block.get("skipped_steps", np.zeros(len(block["step"]))) == 0
