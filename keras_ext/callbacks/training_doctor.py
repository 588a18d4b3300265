"""Saying what is wrong with a training run while it runs."""

import dataclasses
import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_ext import taps
from keras_ext.callbacks.activation_logger import ActivationLogger
from keras_ext.callbacks.batch_monitor import BatchMonitor
from keras_ext.callbacks.dead_relu_logger import DeadReLULogger
from keras_ext.callbacks.gradient_norm_logger import GradientNormLogger
from keras_ext.callbacks.monitor import KEY_KINDS, Monitor, MonitorOwner
from keras_ext.callbacks.update_ratio_logger import UpdateRatioLogger
from keras_ext.doctor import report
from keras_ext.doctor.diagnose import Rule, diagnose
from keras_ext.doctor.facts.model import facts_of
from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.run_history import Facts, RunHistory

# How many measured steps in the beginning of `fit` are as dense as asked
# for. Then distances may become so many times longer as long as an epoch has
# that many measured steps. After some epochs, twice as long ones.
_DENSE = 5
_THINNED = {5: 4, 10: 8}
_WELL_KNOWN = 4
# After this many times `every_n_steps` steps an epoch is looked at in its
# midst, and again when it has become twice as long.
_LONG = 250
# On JAX a model's variables are out of date between two epochs.
_READS_STEPS = keras.config.backend() != "jax"

OnFinding = str | Callable[[Finding], Any]


class TrainingProblem(RuntimeError):
    """What `TrainingDoctor(on_finding="raise")` raises.

    Attributes:
        finding: What was found.
    """

    def __init__(self, finding: Finding):
        super().__init__(finding.message)
        self.finding = finding


class TrainingDoctor(MonitorOwner):
    """Says what is wrong with a training run, where, why and what helps.

    It history gradient norms, sizes of updates, dead ReLU units, saturation
    and scales of activations, the loss and what the batches look like, in
    the training step that `fit` runs, and looks at them at the end of each
    epoch, and in the midst of long ones. `docs/doctor.md` tells what it
    looks for.

    What follows from something else is told with it: an unscaled input that
    saturates the first layer is one finding. Each is told once, again if it
    gets worse, and withdrawn if it heals.

    Args:
        on_finding: What happens when something is found. `"warn"` prints
            it; `"stop"` prints it, and ends training if it is an error;
            `"raise"` raises a `TrainingProblem` if it is an error, and
            prints it otherwise; a callable is given the `Finding`. Defaults
            to `"warn"`.
        every_n_steps: Measure in every n-th training step, beginning with
            the first one of each epoch. After the first five of a `fit` the
            distances grow up to five-fold, as far as they leave four
            measured steps in each epoch, and up to ten-fold as far as they
            leave eight; after four epochs twice as far. Defaults to `10`.
        min_severity: Least severity that is acted on: `"info"`, `"warning"`
            or `"error"`. `findings` holds all. Defaults to `"warning"`.
        rules: Rules of one's own: functions that are given a
            `keras_ext.doctor.RunHistory` and return a list of
            `keras_ext.doctor.Finding`. One that raises an exception is named
            in a warning and asked no more in this `fit`. Defaults to none.

    Attributes:
        findings: What is wrong now, the worst first, as a list of
            `keras_ext.doctor.Finding`. It stays after `fit`.
        withdrawn: What was told and has healed since.
        history: What was recorded, as `keras_ext.doctor.RunHistory`.

    Raises:
        ValueError: If an argument is none of these.
        TrainingProblem: In `fit`, if `on_finding="raise"`.

    Example: with weights that are all zero, hidden units stay identical.

    >>> import keras, keras_ext, numpy as np
    >>> model = keras.Sequential([
    ...     keras.layers.Dense(8, "tanh", kernel_initializer="zeros"),
    ...     keras.layers.Dense(1, kernel_initializer="zeros"),
    ... ])
    >>> model.compile("sgd", "mse")
    >>> doctor = keras_ext.callbacks.TrainingDoctor(on_finding=lambda f: None)
    >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
    >>> history = model.fit(x, x**2, callbacks=[doctor], verbose=0)
    >>> doctor.findings[0].problem
    'symmetric_units'
    """

    def __init__(
        self,
        on_finding: OnFinding = "warn",
        every_n_steps: int = 10,
        min_severity: str = "warning",
        rules: Sequence[Rule] = (),
    ):
        super().__init__()
        if not callable(on_finding) and on_finding not in (
            "warn",
            "stop",
            "raise",
        ):
            raise ValueError(
                '`on_finding` must be "warn", "stop", "raise" or a callable. '
                f"Received: on_finding={on_finding!r}"
            )
        if min_severity not in SEVERITIES:
            raise ValueError(
                f"`min_severity` must be one of {SEVERITIES}. "
                f"Received: min_severity={min_severity!r}"
            )
        self.on_finding = on_finding
        self.min_severity = min_severity
        if not all(map(callable, rules)):
            raise ValueError(
                f"`rules` must be functions of history. Received: rules={rules}"
            )
        self.rules = list(rules)
        self._batches = BatchMonitor(every_n_steps)
        self.monitors: list[Monitor] = [
            self._batches,
            GradientNormLogger(
                every_n_steps, vanishing=None, exploding=None, nonfinite=False
            ),
            UpdateRatioLogger(every_n_steps),
            DeadReLULogger(every_n_steps, mostly_dead=None),
            ActivationLogger(every_n_steps),
        ]
        self._sampling = taps.Sampling(every_n_steps, can_thin=True)
        for monitor in self.monitors:
            monitor.sampling = self._sampling
        self._begin()

    def _begin(self) -> None:
        self.findings: list[Finding] = []
        self.withdrawn: list[Finding] = []
        self._told: dict[str, Finding] = {}
        self._explained: set[str] = set()
        self._broken: list[Rule] = []
        self._facts = Facts()
        self._is_read = False
        self._logs: dict[str, list[float]] = {}
        self._steps_per_epoch = 0
        self._epochs_done = 0
        self._planned_epochs: int | None = None
        self._finished = False
        self._next_look = 0

    @property
    def history(self) -> RunHistory:
        """What was recorded up to now."""
        steps = self._batches.steps.get("step", np.zeros(0, int))
        series: dict[str, np.ndarray] = {}
        epochs: dict[str, np.ndarray] = {}
        for monitor in self.monitors:
            values = monitor.steps
            where = values.pop("step", np.zeros(0, int))
            for key, column in values.items():
                series.setdefault(key, _aligned(column, where, steps))
            epochs |= monitor.epochs
        return RunHistory(
            facts=self._facts,
            batch=self._batches.bad_batch or self._batches.batch,
            logs={k: np.array(v) for k, v in self._logs.items()},
            steps=steps,
            series=series,
            epochs=epochs,
            steps_per_epoch=self._steps_per_epoch,
            planned_epochs=self._planned_epochs,
            finished=self._finished,
        )

    def report(self, path: str | os.PathLike | None = None) -> str:
        """Return the findings as text, or write them to a file.

        Args:
            path: A file; with the ending `.html` a self-contained page with
                figures is written, otherwise text. Defaults to `None`.

        Returns:
            The text or the page.
        """
        if path is None:
            return self._text()
        page = pathlib.Path(path)
        if page.suffix.lower() in (".html", ".htm"):
            content = report.html(self.findings, self.history)
        else:
            content = self._text()
        page.write_text(content, encoding="utf-8")
        return content

    def _text(self) -> str:
        if not self.findings and not len(self.history.steps):
            return "The doctor has seen no training step."
        return report.text(self.findings)

    def set_model(self, model: Any) -> None:
        """Tell the monitors too."""
        super().set_model(model)
        for monitor in self.monitors:
            monitor.set_model(model)

    def set_params(self, params: Any) -> None:
        """Tell the monitors too."""
        super().set_params(params)
        for monitor in self.monitors:
            monitor.set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        """Read the model, and let the monitors find what to measure."""
        self._begin()
        self._read(self._model)
        self._planned_epochs = (self.params or {}).get("epochs")
        self._batches.classes = _classes(self._facts)
        self._batches.running_mean = not self._facts.own_train_step
        for monitor in self.monitors:
            monitor.on_train_begin()
            if hasattr(monitor._gauge, "warns"):
                monitor._gauge.warns = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let the monitors count from zero."""
        self._next_look = _LONG * self._sampling.every_n_steps
        self._thin()
        for monitor in self.monitors:
            monitor.on_epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Let the coming step be measured."""
        if batch and not self._is_read and _READS_STEPS:
            self._read(self._model, batch)
        if batch >= self._next_look:
            self._next_look *= 2
            self._examine()
        # The first of all monitors of this `fit` does it for the others.
        if self._batches.drives:
            self._batches.on_train_batch_begin(batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at what was recorded."""
        for monitor in self.monitors:
            monitor.on_epoch_end(epoch)
        self._steps_per_epoch = self._batches._steps_done
        self._epochs_done += 1
        if not self._is_read:
            self._read(self.model, self._steps_per_epoch)
        for key, value in (logs or {}).items():
            if not key.startswith(KEY_KINDS) and np.ndim(value) == 0:
                self._logs.setdefault(key, []).append(float(value))
        self._examine()

    def on_train_end(self, logs: Any = None) -> None:
        """Look once more, knowing that it was the end."""
        self.finish()

    def finish(self) -> None:
        """Make the last diagnosis, unless it is made."""
        if self._finished:
            return
        for monitor in self.monitors:
            monitor.on_train_end()
        self._finished = True
        self._examine()

    def _read(self, model: Any, updates: int = 0) -> None:
        """Read the model, if need be once more when it is built.

        TensorFlow builds a model that was given no input shape in its first
        step. What is read after that step has moved by one update.
        """
        self._facts = dataclasses.replace(facts_of(model), updates=updates)
        self._is_read = model.built

    def _thin(self) -> None:
        """Measure more rarely what has been seen often enough."""
        if self._model.steps_per_execution > 1:
            return  # TensorFlow's graph would have to know of it.
        n = self._sampling.every_n_steps
        steps = self._steps_per_epoch or (self.params or {}).get("steps")
        further = 2 if self._epochs_done >= _WELL_KNOWN else 1
        later = further * min(_THINNED) * n
        if steps:
            later = max(
                min(further * times * n, further * steps // samples)
                for times, samples in _THINNED.items()
            )
        later = max(n, later)
        self._sampling.thin(0 if self._epochs_done else _DENSE, later)

    def _examine(self) -> None:
        found = diagnose(self.history, [self._asked(r) for r in self.rules])
        self.findings = found
        present = {p: f for f in found for p in f.chain}
        for problem in [p for p in self._told if p not in present]:
            self.withdrawn.append(self._told.pop(problem))
        for finding in found:
            before = self._told.get(finding.problem)
            if before is None or _rank(finding) > _rank(before):
                self._told |= dict.fromkeys(finding.chain, finding)
                if _rank(finding) >= SEVERITIES.index(self.min_severity):
                    self._act(finding)

    def _asked(self, rule: Rule) -> Rule:
        """Return a person's rule, which cannot end the training."""

        def ask(history: RunHistory) -> Iterable[Finding]:
            if rule in self._broken:
                return []
            try:
                return list(rule(history))
            except Exception as error:
                self._broken.append(rule)
                name = getattr(rule, "__name__", repr(rule))
                warnings.warn(
                    f"The rule `{name}` is left out: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )
                return []

        return ask

    def _act(self, finding: Finding) -> None:
        if callable(self.on_finding):
            self.on_finding(finding)
            return
        is_error = finding.severity == "error"
        if self.on_finding == "raise" and is_error:
            raise TrainingProblem(finding)
        if (self.params or {}).get("verbose") in (1, "auto"):
            print(file=sys.stderr)  # The line of the progress bar is open.
        # What helps need not be told again, if it comes back or gets worse.
        known = finding.problem in self._explained
        shown = dataclasses.replace(finding, remedies=()) if known else finding
        self._explained.add(finding.problem)
        report.write([shown], sys.stderr)
        if self.on_finding == "stop" and is_error:
            self._model.stop_training = True

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": None}


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _classes(facts: Facts) -> int:
    """Return the number of classes that the targets tell."""
    outputs = [o for o in facts.outputs if o.loss is not None]
    if len(outputs) != 1 or "crossentropy" not in (outputs[0].loss or ""):
        return 0
    units = outputs[0].units or 0
    return 2 if units == 1 else units


def _aligned(
    values: np.ndarray, where: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Return values at steps, NaN at those that have none."""
    if len(where) == len(steps):
        return values
    result = np.full(len(steps), np.nan)
    place = np.searchsorted(steps, where)
    known = (place < len(steps)) & np.isin(where, steps)
    result[place[known]] = values[known]
    return result
