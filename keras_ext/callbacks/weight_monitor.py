"""Base class of the monitors of trainable weights."""

import functools
from typing import Any

import numpy as np

from keras_ext import taps
from keras_ext.callbacks.monitor import Monitor
from keras_ext.callbacks.series import Series


class WeightMonitor(Monitor):
    """Base class of the monitors that measure layers with weights."""

    _GAUGE: type[taps.WeightGauge]

    def _make_gauge(self, model: Any) -> Any:
        groups = taps.weight_groups(model)
        if model.built:
            self._selected(groups)  # raises an error for an unknown name
            if not groups:
                return None
            if self._can_reuse_gauge(model, groups):
                return self._gauge
        return self._GAUGE(
            functools.partial(taps.weight_groups, model),
            self.sampling,
            model.steps_per_execution,
        )

    def _of_layers(self, kind: str, per_group: np.ndarray) -> Series:
        """Return the columns of the selected layers under their keys.

        A layer that has no value in any of the steps has no key.
        """
        groups = self._gauge.groups
        chosen = {group.path for group in self._selected(groups)}
        columns = zip(groups, per_group.T, strict=True)
        values = {g.path: column for g, column in columns if g.path in chosen}
        return {
            f"{kind}{path}": column if column.mask.any() else column.data
            for path, column in values.items()
            if not column.mask.all()
        }
