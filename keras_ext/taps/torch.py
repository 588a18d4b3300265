"""Measuring inside PyTorch's training step."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from keras_ext.taps import torch_kernels as kernels
from keras_ext.taps.capture import StepCapture, clips_by_value
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
    """

    decides_in_graph = False

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._bare = vars(model)["train_function"]

    def begin_epoch(self, planned_steps: int) -> None:
        """Do nothing: the host counts the steps."""

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function in which the gauges `due` write."""
        if not due:
            return self._bare
        gauges = [self._gauges[i] for i in due]

        def sampled_step(data: Any) -> Any:
            step_capture = TorchStepCapture(gauges)
            with step_capture.capturing(self._model), _as_python(self._model):
                logs = self._bare(data)
            step_capture.data, step_capture.logs = data[0], logs
            # The loss of a person's own `train_step` may hold the graph.
            with torch.no_grad():
                for gauge in gauges:
                    gauge.store.write(gauge.measure(step_capture))
            return logs

        return sampled_step


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
            self.optimizers[id(variable)] = optimizer

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
