"""One tap for each `fit`, shared by all its monitors."""

import warnings
from collections.abc import Sequence
from typing import Any

from keras_ext.taps._backend import TrainFunctions, unsupported_reason


class Tap:
    """Lets the gauges of one `fit` measure its training steps.

    `arm` puts a tapped function into the model's `train_function`, directly
    before a step. When Keras calls the tapped function, the model's own
    function returns to its place. So an exception in a callback or in a step
    finds the model as it was.

    Attributes:
        is_full: Whether the host should take the rows before the next step.
    """

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self.model = model
        self.gauges = list(gauges)
        self.is_full = False
        # The model's own train function, `None` before it exists.
        self._bare: Any = self._train_function
        self._functions: Any = None
        self._function: Any = None
        self._unsampled: Any = None
        self._in_graph = False
        self._planned_steps = 0
        # Calls of the train function in this epoch, and the next call in
        # which a gauge is due.
        self._calls = 0
        self._next_due = 0
        self._sampled = False
        # The variables that the first step trained.
        self._trained: list[int] = []
        reason = unsupported_reason(model)
        if reason:
            warnings.warn(f"Nothing is measured under {reason}", stacklevel=2)
            self.gauges = []

    @property
    def _train_function(self) -> Any:
        return vars(self.model).get("train_function")

    @property
    def is_outdated(self) -> bool:
        """Whether the model has got another train function.

        Where no trace fixes them, the tap also looks for other trainable
        variables, before the first step of an epoch.
        """
        function = self._train_function
        if function is not self._bare:
            return self._bare is not None and not self._is_armed
        return (
            self._calls == 0
            and bool(self._trained)
            and self._functions.follows_freezing
            and self._trained != self._trainable()
        )

    @property
    def _is_armed(self) -> bool:
        return self._train_function == self._run

    def serves(self, model: Any, gauges: Sequence[Any]) -> bool:
        """Return whether another `fit` can use this tap and its traces.

        It can if the model and the gauges are the same and the model was not
        compiled again.
        """
        return (
            self.model is model
            and self._functions is not None
            and self._bare is self._train_function
            and len(self.gauges) == len(gauges)
            and all(a is b for a, b in zip(self.gauges, gauges, strict=True))
        )

    def begin_epoch(self, first_step: int, planned_steps: int) -> None:
        """Count the steps from zero; the first step is always sampled.

        Args:
            first_step: The step of the training with which the epoch begins.
            planned_steps: The number of steps of the training, 0 if unknown.
        """
        self._planned_steps = planned_steps
        self._calls = self._next_due = 0
        self.is_full = False
        for gauge in self.gauges:
            gauge.sampling.begin_epoch(first_step)
            gauge.store.begin_epoch()
        if self._functions is not None:
            self._functions.begin_epoch(planned_steps)

    def steps_done(self) -> int:
        """Return the number of steps since `begin_epoch`."""
        if self._in_graph:
            return self._functions.steps_done()
        return self._calls

    def arm(self) -> None:
        """Make the next call of the model's train function a tapped call."""
        if self._is_armed or not self.gauges:
            return
        if self._functions is None:
            self._make_functions()
        if self._calls < self._next_due:
            self._function = self._unsampled
            self._sampled = False
        elif not self._in_graph:
            self._function = self._functions.get(self._due())
            self._sampled = True
        vars(self.model)["train_function"] = self._run

    def disarm(self) -> None:
        """Give the model its own train function back."""
        if self._is_armed:
            vars(self.model)["train_function"] = self._bare

    @staticmethod
    def release(model: Any) -> None:
        """Disarm a tap that an interrupted `fit` left on the model."""
        function = vars(model).get("train_function")
        tap = getattr(function, "__self__", None)
        if isinstance(tap, Tap):
            tap.disarm()

    def _trainable(self) -> list[int]:
        return [id(v) for v in self.model.trainable_variables]

    def _make_functions(self) -> None:
        if self._train_function is None:
            self.model.make_train_function()
        self._bare = self._train_function
        self._functions = TrainFunctions(self.model, self.gauges)
        self._functions.begin_epoch(self._planned_steps)
        self._in_graph = self._functions.decides_in_graph
        if self._in_graph:
            every_gauge = tuple(range(len(self.gauges)))
            self._function = self._functions.get(every_gauge)
            self._sampled = True
        else:
            self._unsampled = self._functions.get(())

    def _due(self) -> tuple[int, ...]:
        """Return the gauges that measure in this call; find the next call."""
        samplings = [gauge.sampling for gauge in self.gauges]
        self._next_due = min(s.next_due(self._calls) for s in samplings)
        return tuple(
            i for i, s in enumerate(samplings) if s.is_due(self._calls)
        )

    def _run(self, *args: Any) -> Any:
        self.disarm()
        result = self._function(*args)
        # The call that only finds the end of the data does not get here.
        self._calls += 1
        if self._sampled:
            # An unbuilt model gets its variables in the first step.
            self._trained = self._trained or self._trainable()
            self.is_full = any(
                gauge.store.is_full(self._calls * gauge.steps_per_execution)
                for gauge in self.gauges
            )
        return result
