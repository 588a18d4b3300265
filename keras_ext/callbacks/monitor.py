"""Base classes of the monitors and of their owners."""

import abc
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from keras_ext import taps
from keras_ext.callbacks import fit_scope
from keras_ext.callbacks.alarms import warn
from keras_ext.callbacks.layer_table import table
from keras_ext.callbacks.series import (
    Means,
    Series,
    StepSeries,
    filled,
    of_kind,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The progress bar shows at most `<kind>global` of the keys of these kinds.
KEY_KINDS = (
    "grad_norm/",
    "dead_relu/",
    "zero_fraction/",
    "update_ratio/",
    "saturation/",
    "activation_mean/",
    "activation_std/",
)

# `explain` shows the trend of these kinds as a factor, of others as a
# difference.
_BY_FACTOR = ("grad_norm/", "update_ratio/", "activation_std/")


class MonitorOwner(keras.callbacks.Callback):
    """Base class of callbacks that have monitors of their own.

    Attributes:
        monitors: The owner's monitors. They share the tap of all monitors of
            the same `fit`. The owner calls their hooks.
    """

    monitors: Sequence["Monitor"] = ()


class Monitor(keras.callbacks.Callback):
    """Base class of the callbacks that measure inside the training step.

    The monitors of one `fit` share one tap (see `keras_ext/taps/README.md`),
    which the first monitor drives. The measured values stay on the device.
    The host fetches them in blocks, at the latest when an epoch ends.

    A `fit` may have several monitors of one class, such as one for all layers
    and one for a single layer in every step. Each has values of its own. If
    two monitors have the same key, the logs hold the value of the first one.

    Args:
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        layers: Names or paths of the layers to measure, `None` for all. The
            name of a nested model selects the layers in it. Defaults to
            `None`.
        max_points: The largest number of values that `steps` keeps for each
            key, `None` for no limit. Defaults to `4096`.
    """

    # Attributes of one `fit`, which are not copied with the callback.
    _OF_THIS_FIT: tuple[str, ...] = (
        "_model",
        "_gauge",
        "_function",
        "_tap",
        "_team",
        "_driven",
    )

    # For each kind of key that `explain` shows: the title of its table.
    _TABLES: Mapping[str, str]
    # The name of the measured thing, if a model may lack it.
    _MEASURED = ""
    # Whether `explain` shows epochs instead of steps.
    _BY_EPOCH = False

    def __init__(
        self,
        every_n_steps: int | Literal["auto"] = "auto",
        layers: Sequence[str] | None = None,
        max_points: int | None = 4096,
    ):
        super().__init__()
        if every_n_steps != "auto" and not _is_at_least(1, every_n_steps):
            raise ValueError(
                '`every_n_steps` must be a positive integer or "auto". '
                f"Received: every_n_steps={every_n_steps!r}"
            )
        if max_points is not None and not _is_at_least(2, max_points):
            raise ValueError(
                "`max_points` must be an integer of at least 2 or `None`. "
                f"Received: max_points={max_points!r}"
            )
        self.sampling = taps.Sampling(every_n_steps)
        self.layers = None if layers is None else _names(layers)
        self.max_points = max_points
        self._gauge: Any = None
        # The model's train function for which the gauge was made.
        self._function: Any = None
        self._warns = True
        self._tap: taps.Tap | None = None
        self._team: list[Monitor] | None = None
        self._driven: taps.Tap | None = None
        self._reset()

    @property
    def every_n_steps(self) -> int | str:
        """The distance between measured steps, or `"auto"`."""
        return self.sampling.every_n_steps

    @property
    def drives(self) -> bool:
        """Whether this monitor drives the tap of the `fit`."""
        return self._driven is not None

    def _reset(self) -> None:
        """Discard the values of the last `fit`."""
        self._series = StepSeries(self.max_points, self._merge)
        self._means, self._all_means = Means(), Means()
        self._epoch_series = StepSeries(None, self._merge)
        self._followers: list[Callable[[Series], None]] = []
        self._first_step = 0
        self._steps_done = 0
        self._last_step = 0
        self._planned_steps = 0
        self._why_nothing = ""
        self._names_are_known = False
        self._has_hook = False

    @abc.abstractmethod
    def _make_gauge(self, model: Any) -> Any:
        """Return a gauge for the model, or `None` if nothing can be measured.

        The gauge of the last `fit` serves again if it measures the same with
        the same train function: then its trace serves again, too.
        """

    @abc.abstractmethod
    def _step_values(self, rows: np.ndarray) -> Series:
        """Return for each key one value per row of the gauge."""

    @abc.abstractmethod
    def plot(self) -> "Figure":
        """Return a figure of the measured values."""

    def _complete(self, block: Series, index: np.ndarray) -> None:
        """Change values that depend on the steps' places in the epoch."""

    def _merge(self, key: str) -> Callable:
        """Return the function that merges neighbours, see `max_points`."""
        return np.max

    def _counts(self, block: Series) -> np.ndarray:
        """Return which sampled steps enter the epoch's means."""
        return np.ones(len(block["step"]), bool)

    def _examine(self, block: Series) -> None:
        """Warn about new step values."""

    def _finish_epoch(self, values: dict[str, float]) -> None:
        """Complete the values of an epoch, and warn about them."""

    def _notes(self, kind: str) -> dict[str, str]:
        """Return the notes of `explain` about single layers."""
        return {}

    @property
    def monitors(self) -> list["Monitor"]:
        """The monitor itself; see `MonitorOwner`."""
        return [self]

    @property
    def steps(self) -> Series:
        """For each key, one value per sampled step.

        `steps["step"]` holds the indices of the steps, counted from 0 at the
        beginning of `fit`. A layer that has no value in a step, because it is
        frozen or the step does not use it, has NaN there. In the middle of an
        epoch, the property waits for the device. In a long run one value
        stands for several sampled steps, see `max_points`.
        """
        return filled(self._masked_steps())

    @property
    def epochs(self) -> Series:
        """For each key, one value per epoch; NaN if the layer has none."""
        return filled(self._masked_epochs())

    def _masked_steps(self) -> Series:
        self._fetch()
        return self._series.values()

    def _masked_epochs(self) -> Series:
        values = self._epoch_series.values()
        return {key: v for key, v in values.items() if key != "step"}

    def explain(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of each layer's values, their trend, and notes.

        `first` and `last` are the medians of the first and the last fifth of
        the values. `trend` compares these two: as a factor, or as a
        difference for shares and means.

        Args:
            print_fn: Receives the text. Defaults to `print`.
        """
        steps, epochs = self._masked_steps(), self._masked_epochs()
        series = epochs if self._BY_EPOCH else steps
        texts = []
        for kind, title in self._TABLES.items():
            own = of_kind(series, kind)
            notes = self._notes(kind)
            if own or notes:
                title = f"{title}, {self._extent(series)}"
                texts.append(table(title, own, notes, kind in _BY_FACTOR))
        print_fn(
            "\n\n".join(texts)
            or f"{type(self).__name__} measured nothing{self._why_nothing}."
        )

    def _for_figure(self, kind: str) -> dict[str, Any]:
        """Return the layers' values of one kind, and their steps."""
        series = self._masked_steps()
        if not series:
            raise ValueError(
                "`plot` needs something measured in a `fit`. Received: a "
                f"`{type(self).__name__}` that measured nothing"
                f"{self._why_nothing}"
            )
        return {"epochs": of_kind(series, kind), "steps": series["step"]}

    def _extent(self, series: Series) -> str:
        if self._BY_EPOCH:
            count = max(map(len, series.values()), default=0)
            return f"{count} epochs" if count != 1 else "1 epoch"
        if "step" not in series:
            return "no steps"
        steps = series["step"]
        each = self._series.samples_per_point
        every = "" if each == 1 else f", each of {each} sampled steps"
        return f"{len(steps)} values{every}, steps {steps[0]} to {steps[-1]}"

    def follow(self, follower: Callable[[Series], None]) -> None:
        """Pass each new block of step values on, once, until `fit` ends.

        Args:
            follower: Receives `step`, the indices of sampled steps, and for
                each key one value per index.
        """
        self._followers.append(follower)

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the layers to measure, and the monitors that share the tap."""
        taps.Tap.release(self._model)
        self._reset()
        self._team = [self]
        self._driven = None
        callback_list = fit_scope.current_callback_list()
        if callback_list is not None:
            monitors = [
                monitor
                for c in callback_list.callbacks
                if isinstance(c, Monitor | MonitorOwner)
                for monitor in c.monitors
            ]
            if self in monitors:
                self._team = monitors
            fit_scope.keep_off_progress_bar(callback_list, _is_detail)
        if not self._model.compiled:
            self._gauge = None
            if self._team[0] is self:
                warn(
                    "Monitors measure nothing: the model is not compiled, so "
                    "it has no training step of its own."
                )
            return
        if callback_list is not None and self._team[0] is self:
            fit_scope.before_each_step(callback_list, self._before_step)
            # Ctrl-C may come between the hook and the step.
            release = weakref.finalize(
                callback_list, taps.Tap.release, self._model
            )
            release.atexit = False
            self._has_hook = True
        self._find_layers()
        if self._gauge is None and self._MEASURED:
            self._why_nothing = f": the model has no {self._MEASURED}"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the steps of the epoch from zero."""
        self._count_from_zero()
        self._means, self._all_means = Means(), Means()
        if self._team is not None and self._team[0] is self:
            if self._driven is None:
                self._driven = self._shared_tap()
            params = self.params or {}
            left = (params.get("epochs") or 0) - epoch
            steps = left * (params.get("steps") or 0)
            self._planned_steps = self._first_step + steps
            self._driven.begin_epoch(self._first_step, self._planned_steps)

    # There is no hook for the end of a batch: Keras would wait for the
    # results of each step to pass them to it.
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Measure the next step, and fetch full blocks."""
        if not self._has_hook:
            self._before_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epoch's values into the logs."""
        self._fetch()
        values = self._means.values() or self._all_means.values()
        if values:
            self._finish_epoch(values)
        known = self.epochs
        block = {key: np.array([value]) for key, value in values.items()}
        self._epoch_series.add({"step": np.array([epoch]), **block})
        if logs is None:
            return
        new = [key for key in values if key not in known]
        callback_list = fit_scope.current_callback_list()
        if new and callback_list is not None:
            fit_scope.fill_history(callback_list, epoch, new)
        for key in self.epochs:
            logs.setdefault(key, values.get(key, float("nan")))

    def on_train_end(self, logs: Any = None) -> None:
        """Fetch the last values and release the model's train function."""
        if self._driven is not None:
            self._fetch_all()
            self._driven.disarm()
            self._driven = None

    def _before_step(self) -> None:
        tap = self._driven
        if tap is None:
            return
        if tap.is_full:
            self._fetch_all()
        if tap.is_outdated:
            if self._has_hook and not vars(self._model)["train_function"]:
                return  # Keras's own error says so
            tap = self._look_again()
        tap.arm()

    def _look_again(self) -> taps.Tap:
        """Find the layers of a model that has changed.

        A callback may have frozen layers, or thawed them, and compiled. The
        steps count on, as in a new epoch.
        """
        assert self._team
        self._fetch_all()
        for monitor in self._team:
            monitor._count_from_zero()
            monitor._warns = False
            monitor._find_layers()
        self._driven = self._shared_tap()
        self._driven.begin_epoch(self._first_step, self._planned_steps)
        return self._driven

    def _find_layers(self) -> None:
        function = vars(self._model).get("train_function")
        if self._function is not function:
            self._gauge = None
        self._gauge = self._make_gauge(self._model)
        self._function = function
        if hasattr(self._gauge, "warns"):
            self._gauge.warns = self._warns

    def _count_from_zero(self) -> None:
        self._first_step += self._steps_done
        self._steps_done = 0

    def _selected(self, points: Sequence[Any]) -> list[Any]:
        """Return the points that `layers` selects.

        A wrong name is an error when `fit` begins. Later, a layer that is
        frozen does not end the training.
        """
        chosen = taps.select(points, self.layers, self._names_are_known)
        self._names_are_known = True
        return chosen

    def _reused_or_new(self, kind: Any, model: Any, points: Any) -> Any:
        """Return the gauge of the last `fit` if it fits, else a new gauge."""
        if self._can_reuse_gauge(model, points):
            return self._gauge
        return kind(points, self.sampling, model.steps_per_execution)

    def _can_reuse_gauge(self, model: Any, points: Any) -> bool:
        return (
            self._gauge is not None
            and self._gauge.sampling is self.sampling
            and self._gauge.steps_per_execution == model.steps_per_execution
            and self._gauge.measures(points)
        )

    def _shared_tap(self) -> taps.Tap:
        assert self._team
        gauges = [m._gauge for m in self._team if m._gauge is not None]
        if self._tap is None or not self._tap.serves(self._model, gauges):
            self._tap = taps.Tap(self._model, gauges)
        return self._tap

    def _fetch_all(self) -> None:
        assert self._team and self._driven
        self._driven.is_full = False
        for monitor in self._team:
            monitor._fetch()

    def _fetch(self) -> None:
        tap = self._team[0]._driven if self._team else None
        steps_done = self._steps_done if tap is None else tap.steps_done()
        if steps_done == self._steps_done:
            return
        self._steps_done = steps_done
        if self._gauge is None:
            return
        index, rows = self._gauge.store.take()
        if not len(index):
            return
        block = {"step": self._first_step + index}
        self._last_step = int(block["step"][-1])
        block |= self._step_values(rows.astype(np.float64))
        self._complete(block, index)
        self._series.add(block)
        self._means.add(block, self._counts(block))
        self._all_means.add(block, np.ones(len(index), bool))
        for follower in self._followers:
            follower(block)
        self._examine(block)

    def __getstate__(self) -> dict[str, Any]:
        empty = dict.fromkeys(self._OF_THIS_FIT)
        return vars(self) | empty | {"_followers": []}


def _is_at_least(least: int, number: Any) -> bool:
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    return is_whole and number >= least


def _names(layers: Any) -> list[str]:
    if isinstance(layers, Iterable) and not isinstance(layers, str):
        names = list(layers)
        if all(isinstance(name, str) for name in names):
            return names
    raise ValueError(
        "`layers` must be a list of layer names or `None`. "
        f"Received: layers={layers!r}"
    )


def _is_detail(key: str) -> bool:
    return key.startswith(KEY_KINDS) and not key.endswith("/global")
