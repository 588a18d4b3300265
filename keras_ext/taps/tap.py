"""One tap for each `fit`, shared by all its monitors."""

import warnings
from collections.abc import Sequence
from typing import Any

from keras_ext.taps._backend import TrainFunctions, unsupported_reason


class Tap:
    """Lets the gauges of one `fit` measure its training steps.

    `arm` puts a tapped function into the model's `train_function` when a
    batch begins. When Keras calls the tapped function, the model's own
    function returns to its place. So an exception in another callback or a
    Ctrl-C finds the model as it was.

    Attributes:
        is_full: Whether the host should take the rows before the next step.
    """

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self.model = model
        self.gauges = list(gauges)
        self.is_full = False
        self._armed = False
        self._bare: Any = None
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
        reason = unsupported_reason(model)
        if reason:
            warnings.warn(f"Nothing is measured under {reason}", stacklevel=2)
            self.gauges = []

    def serves(self, model: Any, gauges: Sequence[Any]) -> bool:
        """Return whether another `fit` can use this tap and its traces.

        It can if the model and the gauges are the same and the model was not
        compiled again.
        """
        return (
            self.model is model
            and self._functions is not None
            and self._bare is vars(model).get("train_function")
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
        if self._armed or not self.gauges:
            return
        attributes = vars(self.model)
        bare = attributes.get("train_function")
        if bare is None or bare is not self._bare:
            self._make_functions()
        if self._calls < self._next_due:
            self._function = self._unsampled
            self._sampled = False
        elif not self._in_graph:
            self._function = self._functions.get(self._due())
            self._sampled = True
        attributes["train_function"] = self._run
        self._armed = True

    def disarm(self) -> None:
        """Give the model its own train function back."""
        if self._armed:
            vars(self.model)["train_function"] = self._bare
            self._armed = False

    @staticmethod
    def release(model: Any) -> None:
        """Disarm a tap that an interrupted `fit` left on the model.

        A tap is left only if another callback raises in its
        `on_train_batch_begin`, between `arm` and the step.
        """
        function = vars(model).get("train_function")
        tap = getattr(function, "__self__", None)
        if isinstance(tap, Tap):
            tap.disarm()

    def _make_functions(self) -> None:
        attributes = vars(self.model)
        if attributes.get("train_function") is None:
            self.model.make_train_function()
        self._bare = attributes["train_function"]
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
            self.is_full = any(
                gauge.store.is_full(self._calls * gauge.steps_per_execution)
                for gauge in self.gauges
            )
        return result
