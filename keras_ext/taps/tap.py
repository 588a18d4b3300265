"""One tap per `fit`, shared by all the monitors in it."""

import warnings
from collections.abc import Sequence
from typing import Any

from keras_ext.taps._backend import TrainFunctions, why_not


class Tap:
    """Lets the gauges of one `fit` see its training steps.

    A tapped train function stands in the model's `train_function` from
    `arm`, at the beginning of a batch, until Keras calls it, and no longer:
    whatever happens in `fit`, an exception in another callback or a Ctrl-C,
    finds the model as it was.

    Args:
        model: A compiled `keras.Model`.
        gauges: What measures.

    Attributes:
        is_full: Whether rows should be taken before the next step.
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
        # Calls of the train function in this epoch, and at which of them a
        # gauge is due next.
        self._calls = 0
        self._next_due = 0
        self._sampled = False
        reason = why_not(model)
        if reason:
            warnings.warn(f"Nothing is measured under {reason}", stacklevel=2)
            self.gauges = []

    def serves(self, model: Any, gauges: Sequence[Any]) -> bool:
        """Return whether this tap can serve another `fit` as it is.

        It can if model and gauges are the same and the model was not
        compiled anew; what was traced need not be traced again.
        """
        return (
            self.model is model
            and self._functions is not None
            and self._bare is vars(model).get("train_function")
            and len(self.gauges) == len(gauges)
            and all(a is b for a, b in zip(self.gauges, gauges, strict=True))
        )

    def begin_epoch(self) -> None:
        """Count the steps from zero; the first one is always sampled."""
        self._calls = self._next_due = 0
        self.is_full = False
        if self._functions is not None:
            self._functions.begin_epoch()
        for gauge in self.gauges:
            gauge.store.begin_epoch()

    def steps_done(self) -> int:
        """Return the number of steps since `begin_epoch`."""
        if self._in_graph:
            return self._functions.steps_done()
        return self._calls

    def arm(self) -> None:
        """Let the next call of the model's train function be a tapped one."""
        if self._armed or not self.gauges:
            return
        attributes = vars(self.model)
        bare = attributes.get("train_function")
        if bare is None or bare is not self._bare:
            bare = self._tap_anew()
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

        That can happen only between `arm` and the step, if another callback
        raises in its `on_train_batch_begin`.
        """
        function = vars(model).get("train_function")
        tap = getattr(function, "__self__", None)
        if isinstance(tap, Tap):
            tap.disarm()

    def _tap_anew(self) -> Any:
        """Make tapped functions for a model that has none or was compiled."""
        attributes = vars(self.model)
        if attributes.get("train_function") is None:
            self.model.make_train_function()
        self._bare = attributes["train_function"]
        self._functions = TrainFunctions(self.model, self.gauges)
        self._in_graph = self._functions.decides_in_graph
        if self._in_graph:
            everyone = tuple(range(len(self.gauges)))
            self._function = self._functions.get(everyone)
            self._sampled = True
        else:
            self._unsampled = self._functions.get(())
        return self._bare

    def _due(self) -> tuple[int, ...]:
        """Return which gauges measure in this call, find the next one."""
        due = tuple(
            i
            for i, gauge in enumerate(self.gauges)
            if gauge.sampling.is_due(self._calls)
        )
        self._next_due = min(
            gauge.sampling.next_due(self._calls) for gauge in self.gauges
        )
        return due

    def _run(self, *args: Any) -> Any:
        self.disarm()
        result = self._function(*args)
        # Not reached by the call that only finds the end of the data.
        self._calls += 1
        if self._sampled:
            self.is_full = any(
                gauge.store.is_full(self._calls * gauge.steps_per_execution)
                for gauge in self.gauges
            )
        return result
