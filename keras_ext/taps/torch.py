"""Measuring inside PyTorch's training step."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from keras_ext.taps import torch_kernels as kernels
from keras_ext.taps.capture import StepCapture, clips_by_value
from keras_ext.taps.patch import replaced
from keras_ext.taps.store import RowStore


def unsupported_reason(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    if model.jit_compile and not hasattr(torch.compiler, "set_stance"):
        return "`jit_compile=True` with a PyTorch older than 2.6"
    return None


class Store(RowStore):
    """See `RowStore`."""

    def _fetch(self, rows: list[Any]) -> np.ndarray:
        return torch.stack(rows).cpu().numpy()


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    A step in which no gauge is due runs the model's own function. A sampled
    step runs that function inside a capture. Compiled code cannot be
    captured, so a sampled step runs the Python code behind `torch.compile`.

    With `steps_per_execution` above 1 the model's function runs several steps
    in one call. Then the steps are counted and captured in `train_step`.
    """

    follows_freezing = True

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._bare = vars(model)["train_function"]
        self.decides_in_graph = model.steps_per_execution > 1
        self._steps = 0

    def begin_epoch(self, planned_steps: int) -> None:
        """Count the steps of an execution from zero."""
        self._steps = 0

    def steps_done(self) -> int:
        """Return the steps of the epoch, if `train_step` counts them."""
        return self._steps

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function in which the gauges `due` write."""
        if self.decides_in_graph:
            return self._run_steps
        if not due:
            return self._bare
        gauges = [self._gauges[i] for i in due]
        return lambda data: self._sampled(gauges, self._bare, data, data[0])

    def _run_steps(self, batches: Any) -> Any:
        last = self._steps + self._model.steps_per_execution - 1
        samplings = [gauge.sampling for gauge in self._gauges]
        if self._model.jit_compile and not any(
            s.samples_in(last + 1) > s.samples_in(self._steps)
            for s in samplings
        ):
            # Another `train_step` would be compiled anew.
            self._steps = last + 1
            return self._bare(batches)
        step = self._model.train_step

        def counted_step(data: Any) -> Any:
            gauges = [
                gauge
                for gauge, sampling in zip(self._gauges, samplings, strict=True)
                if sampling.is_due(self._steps)
            ]
            logs = (
                self._sampled(gauges, step, data, data)
                if gauges
                else step(data)
            )
            self._steps += 1
            return logs

        with (
            replaced(self._model, "train_step", counted_step),
            _as_python(self._model),
        ):
            return self._bare(batches)

    def _sampled(
        self, gauges: Sequence[Any], step: Callable, argument: Any, data: Any
    ) -> Any:
        step_capture = TorchStepCapture(gauges)
        with step_capture.capturing(self._model), _as_python(self._model):
            logs = step(argument)
        step_capture.data, step_capture.logs = data, logs
        # The loss of a person's own `train_step` may hold the graph.
        with torch.no_grad():
            for gauge in gauges:
                gauge.store.write(gauge.measure(step_capture))
        return logs


def _as_python(model: Any) -> contextlib.AbstractContextManager:
    if model.jit_compile:
        return torch.compiler.set_stance("force_eager")
    return contextlib.nullcontext()


class TorchStepCapture(StepCapture):
    """See `keras_ext.taps.capture.StepCapture`.

    The capture keeps the norm and the peak of a gradient, not the gradient.
    It computes them before the optimizer's `apply`: the tensor is the
    variable's `grad`, which other code may change later. It keeps the norms
    of a weight's update, which takes one copy of the weight instead of two.
    """

    def _store_gradients(
        self,
        optimizer: Any,
        grads: Iterable[Any],
        variables: Iterable[Any],
        scale: Any,
    ) -> None:
        pairs = zip(grads, variables, strict=True)
        found = [(g, v) for g, v in pairs if g is not None]
        self.optimizers |= {id(v): optimizer for _, v in found}
        if not found or not self.wants_gradients:
            return
        norms = kernels.norms_of([gradient for gradient, _ in found])
        if scale is not None:
            norms = norms / scale
        clips = clips_by_value(optimizer)
        for place, (gradient, variable) in enumerate(found):
            peak = None
            if clips:
                peak = kernels.peak_of(gradient)
                peak = peak if scale is None else peak / scale
            entry = kernels.NormEntry(norms, place, peak)
            self.gradients[id(variable)] = entry, None

    def _store_update(
        self, variables: Sequence[Any], before: list[Any]
    ) -> None:
        after = [variable.value.detach() for variable in variables]
        entries = kernels.update_norms_of(before, after)
        for variable, pair in zip(variables, entries, strict=True):
            self.weights[id(variable)] = pair

    def _capture_output(self, output: Any, store: Callable[[Any], None]) -> Any:
        if not isinstance(output, torch.Tensor):
            store(None)
        elif not output.is_meta:  # Keras finds out shapes with meta tensors
            store(output.detach())
        return output

    def _copy(self, variable: Any) -> Any:
        return variable.value.detach().clone()
