"""Diagnosing a training run while it runs."""

import dataclasses
import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_ext import taps
from keras_ext.callbacks.activation_logger import ActivationLogger
from keras_ext.callbacks.batch_monitor import BatchMonitor
from keras_ext.callbacks.dead_relu_logger import DeadReLULogger
from keras_ext.callbacks.gradient_norm_logger import GradientNormLogger
from keras_ext.callbacks.logs import numbers_in
from keras_ext.callbacks.monitor import KEY_KINDS, Monitor, MonitorOwner
from keras_ext.callbacks.update_ratio_logger import UpdateRatioLogger
from keras_ext.doctor import report
from keras_ext.doctor.diagnose import Rule, diagnose
from keras_ext.doctor.facts.model import facts_of
from keras_ext.doctor.finding import SEVERITIES, Finding
from keras_ext.doctor.run_history import Facts, RunHistory

# The doctor examines an epoch after this many times the smallest distance of
# measured steps, and again each time the number of steps has doubled.
_LONG = 250
# On JAX a model's variables are out of date in the middle of an epoch.
_READS_STEPS = keras.config.backend() != "jax"

OnFinding = str | Callable[[Finding], Any]


class TrainingProblem(RuntimeError):
    """The error that `TrainingDoctor(on_finding="raise")` raises.

    Attributes:
        finding: The `keras_ext.doctor.Finding` behind the error.
    """

    def __init__(self, finding: Finding):
        super().__init__(finding.message)
        self.finding = finding


class TrainingDoctor(MonitorOwner):
    """Diagnoses a training run: what is wrong, where, why, and what helps.

    The doctor measures gradient norms, update sizes, dead ReLU units, the
    saturation and scale of activations, the loss, and the batches of data, in
    the training steps of `fit`. It examines these values at the end of each
    epoch, and in the middle of long epochs. `docs/doctor.md` lists the
    problems that it looks for.

    A finding includes its consequences: an unscaled input that saturates the
    first layer is one finding. The doctor reports each finding once, and
    again if its severity rises. It withdraws a finding when the problem is
    gone.

    Args:
        on_finding: The reaction to a finding. `"warn"` prints the finding.
            `"stop"` prints it, and ends the training if it is an error.
            `"raise"` raises a `TrainingProblem` if it is an error, and prints
            it otherwise. A callable receives the `Finding`. Defaults to
            `"warn"`.
        every_n_steps: Measure in every n-th training step, beginning with
            the first step of each epoch. With `"auto"` the distance grows
            with the training: 10 steps at first, 50 from step 50, 100 from
            step 400. Defaults to `"auto"`.
        min_severity: The lowest severity that causes a reaction: `"info"`,
            `"warning"` or `"error"`. `findings` holds all findings. Defaults
            to `"warning"`.
        rules: Additional rules: functions that take a
            `keras_ext.doctor.RunHistory` and return a list of
            `keras_ext.doctor.Finding`. If a rule raises an exception, a
            warning names the rule, and this `fit` ignores it from then on.
            Defaults to no rules.

    Attributes:
        findings: The current problems, the worst first, as a list of
            `keras_ext.doctor.Finding`. The list stays after `fit`.
        withdrawn: Findings that were reported and whose problem is gone.
        history: The measured values, as a `keras_ext.doctor.RunHistory`.

    Raises:
        ValueError: If an argument is out of range.
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
        every_n_steps: int | Literal["auto"] = "auto",
        min_severity: str = "warning",
        rules: Sequence[Rule] = (),
    ):
        super().__init__()
        reactions = ("warn", "stop", "raise")
        if not callable(on_finding) and on_finding not in reactions:
            raise ValueError(
                '`on_finding` must be "warn", "stop", "raise" or a callable. '
                f"Received: on_finding={on_finding!r}"
            )
        if min_severity not in SEVERITIES:
            raise ValueError(
                f"`min_severity` must be one of {SEVERITIES}. "
                f"Received: min_severity={min_severity!r}"
            )
        if not isinstance(rules, Iterable) or not all(map(callable, rules)):
            raise ValueError(
                "`rules` must be functions of a `RunHistory`. "
                f"Received: rules={rules!r}"
            )
        self.on_finding = on_finding
        self.min_severity = min_severity
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
        self._sampling = taps.Sampling(every_n_steps)
        for monitor in self.monitors:
            monitor.sampling = self._sampling
            monitor._warns = False
        self._reset()

    def _reset(self) -> None:
        self.findings: list[Finding] = []
        self.withdrawn: list[Finding] = []
        self._reported: dict[str, Finding] = {}
        self._explained: set[str] = set()
        self._failed_rules: list[Rule] = []
        self._facts = Facts()
        self._has_facts = False
        # The train function for which the facts were read.
        self._function: Any = None
        self._logs: dict[str, list[float]] = {}
        self._steps_per_epoch = 0
        self._planned_epochs: int | None = None
        self._finished = False
        self._next_look = 0

    @property
    def history(self) -> RunHistory:
        """The values measured up to now."""
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
        """Return a report of the findings, and write it to a file.

        Args:
            path: The file to write. If its name ends in `.html` or `.htm`,
                the report is a self-contained page with figures, else text.
                Defaults to `None`: no file, and a report as text.

        Returns:
            The text or the page.
        """
        page = None if path is None else pathlib.Path(path)
        if page and page.suffix.lower() in (".html", ".htm"):
            content = report.html(self.findings, self.history)
        elif self.findings or len(self.history.steps):
            content = report.text(self.findings)
        else:
            content = "The doctor has seen no training step."
        if page:
            page.write_text(content, encoding="utf-8")
        return content

    def set_model(self, model: Any) -> None:
        """Pass the model on to the monitors."""
        super().set_model(model)
        for monitor in self.monitors:
            monitor.set_model(model)

    def set_params(self, params: Any) -> None:
        """Pass the parameters on to the monitors."""
        super().set_params(params)
        for monitor in self.monitors:
            monitor.set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        """Read facts from the model, and begin the monitors."""
        self._reset()
        self._read_facts(self._model)
        self._planned_epochs = (self.params or {}).get("epochs")
        self._batches.classes = _classes(self._facts)
        self._batches.running_mean = not self._facts.own_train_step
        for monitor in self.monitors:
            monitor.on_train_begin()
        self._function = self._batches._function

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin the epoch in all monitors."""
        self._next_look = _LONG * self._sampling.smallest_distance
        for monitor in self.monitors:
            monitor.on_epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Measure the next step, and examine a long epoch."""
        if batch and not self._has_facts and _READS_STEPS:
            self._read_facts(self._model, batch)
        if batch >= self._next_look:
            self._next_look *= 2
            self._examine()
        # One monitor of the `fit` drives the tap for all monitors.
        if self._batches.drives:
            self._batches.on_train_batch_begin(batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Examine the values of the epoch."""
        for monitor in self.monitors:
            monitor.on_epoch_end(epoch)
        self._steps_per_epoch = self._batches._steps_done
        if not self._has_facts:
            self._read_facts(self.model, self._steps_per_epoch)
        elif self._function is not self._batches._function:
            self._read_changes(self.model)
        self._function = self._batches._function
        for key, value in numbers_in(logs).items():
            if not key.startswith(KEY_KINDS):
                self._logs.setdefault(key, []).append(value)
        self._examine()

    def on_train_end(self, logs: Any = None) -> None:
        """Examine the finished run."""
        self.finish()

    def finish(self) -> None:
        """Make the last diagnosis, unless it exists."""
        if self._finished:
            return
        for monitor in self.monitors:
            monitor.on_train_end()
        self._finished = True
        self._examine()

    def _read_facts(self, model: Any, updates: int = 0) -> None:
        """Read facts from the model, again when it is built.

        TensorFlow builds a model without an input shape in the first step.
        After that step the weights have moved by one update.
        """
        self._facts = dataclasses.replace(facts_of(model), updates=updates)
        self._has_facts = model.built

    def _read_changes(self, model: Any) -> None:
        """Read what a new `compile` changes; the initial weights stay."""
        now = facts_of(model)
        trainable = {layer.path: layer.trainable for layer in now.layers}
        layers = tuple(
            dataclasses.replace(
                layer, trainable=trainable.get(layer.path, layer.trainable)
            )
            for layer in self._facts.layers
        )
        self._facts = dataclasses.replace(
            now, layers=layers, updates=self._facts.updates
        )

    def _examine(self) -> None:
        found = diagnose(self.history, [self._guarded(r) for r in self.rules])
        self.findings = found
        present = {p: f for f in found for p in f.chain}
        for problem in [p for p in self._reported if p not in present]:
            self.withdrawn.append(self._reported.pop(problem))
        for finding in found:
            before = self._reported.get(finding.problem)
            if before is None or _rank(finding) > _rank(before):
                self._reported |= dict.fromkeys(finding.chain, finding)
                if _rank(finding) >= SEVERITIES.index(self.min_severity):
                    self._act(finding)

    def _guarded(self, rule: Rule) -> Rule:
        """Return a person's rule in a form that cannot end the training."""

        def guarded_rule(history: RunHistory) -> Iterable[Finding]:
            if rule in self._failed_rules:
                return []
            try:
                return list(rule(history))
            except Exception as error:
                self._failed_rules.append(rule)
                name = getattr(rule, "__name__", repr(rule))
                warnings.warn(
                    f"The rule `{name}` is left out: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )
                return []

        return guarded_rule

    def _act(self, finding: Finding) -> None:
        if callable(self.on_finding):
            self.on_finding(finding)
            return
        is_error = finding.severity == "error"
        if self.on_finding == "raise" and is_error:
            raise TrainingProblem(finding)
        if (self.params or {}).get("verbose") in (1, "auto"):
            print(file=sys.stderr)  # the progress bar has not ended its line
        # The remedies are shown once, even if the problem returns or worsens.
        known = finding.problem in self._explained
        shown = dataclasses.replace(finding, remedies=()) if known else finding
        self._explained.add(finding.problem)
        report.write([shown], sys.stderr)
        if self.on_finding == "stop" and is_error:
            self._model.stop_training = True

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": None, "_function": None}


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _classes(facts: Facts) -> int:
    """Return the number of classes of the targets, 0 if there are none."""
    outputs = [o for o in facts.outputs if o.loss is not None]
    if len(outputs) != 1 or "crossentropy" not in (outputs[0].loss or ""):
        return 0
    units = outputs[0].units or 0
    return 2 if units == 1 else units


def _aligned(
    values: np.ndarray, where: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Return values at `steps`, NaN for a step without a value."""
    if len(where) == len(steps):
        return values
    result = np.full(len(steps), np.nan)
    place = np.searchsorted(steps, where)
    known = (place < len(steps)) & np.isin(where, steps)
    result[place[known]] = values[known]
    return result
