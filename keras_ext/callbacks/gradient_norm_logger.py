"""Logging how large the gradients of each layer are."""

import functools
from typing import Any

import keras
import numpy as np

from keras_ext import taps
from keras_ext.callbacks.monitor import Monitor, Series


class GradientNormLogger(Monitor):
    """Logs the norm of each layer's gradient, as the optimizer received it.

    For each layer the L2 norm over all of its trainable weights,

        ‖∂L/∂W‖₂ = √(Σ_w (∂L/∂w)²),

    taken inside the training step that `fit` runs: after mixed precision's
    loss scale was divided out, before clipping and before the optimizer's
    own transformation. There is no second pass over the data.

    Keys, in `steps`, `epochs` and the epoch's `logs`:

    - `grad_norm/<layer>`: one layer; `<layer>` is its path in the model.
    - `grad_norm/global`: all trainable weights of the model, whatever
      `layers` selects.

    An epoch's value is the mean over its sampled steps. A step whose
    gradient is not finite makes it NaN or infinite, except under a
    `keras.optimizers.LossScaleOptimizer`, which skips such steps: so does
    the mean.

    How to read it: a norm that falls by orders of magnitude from the last
    layer to the first is a vanishing gradient, one that grows by orders of
    magnitude from step to step an exploding one.

    What it costs: one pass over the gradients in every n-th step, and one
    number per weight tensor and sampled step on the device.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. Defaults to `10`.
        layers: Names or paths of the layers to log, `None` for all that
            have trainable weights. The name of a nested model stands for
            the layers in it. Defaults to `None`.

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

    def _renewed_gauge(self, model: Any) -> Any:
        self._skips = isinstance(
            model.optimizer, keras.optimizers.LossScaleOptimizer
        )
        groups = taps.weight_groups(model)
        if model.built:
            taps.select(groups, self.layers)  # names a layer that is not there
            if not groups:
                return None
            if self._can_go_on(model, groups):
                return self._gauge
        return taps.GradientGauge(
            functools.partial(taps.weight_groups, model),
            self.every_n_steps,
            model.steps_per_execution,
        )

    def _step_values(self, rows: np.ndarray) -> Series:
        squares = np.square(rows.astype(np.float64))
        groups = self._gauge.groups
        ends = np.cumsum([len(group.variables) for group in groups])
        per_group = np.split(squares, ends[:-1], axis=1)
        chosen = {g.path for g in taps.select(groups, self.layers)}
        values = {
            f"grad_norm/{group.path}": np.sqrt(square.sum(axis=1))
            for group, square in zip(groups, per_group, strict=True)
            if group.path in chosen
        }
        values["grad_norm/global"] = np.sqrt(squares.sum(axis=1))
        return values

    def _epoch_values(self, steps: Series) -> dict[str, float]:
        taken = np.ones(len(steps["step"]), bool)
        if self._skips:
            finite = np.isfinite(steps["grad_norm/global"])
            taken = finite if finite.any() else taken
        return {
            key: float(values[taken].mean())
            for key, values in steps.items()
            if key != "step"
        }
