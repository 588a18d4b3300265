"""Measuring inside PyTorch's training step."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from keras_ext.taps import capture
from keras_ext.taps import torch_batch_kernels as batch_kernels
from keras_ext.taps import torch_kernels as kernels
from keras_ext.taps.torch_store import Store as Store

__all__ = [
    "StepCapture",
    "Store",
    "TrainFunctions",
    "batch_kernels",
    "kernels",
    "why_not",
]


def why_not(model: Any) -> str | None:
    """Return why the model cannot be measured, or `None` if it can be."""
    if model.jit_compile and not hasattr(torch.compiler, "set_stance"):
        return "`jit_compile=True` with a PyTorch older than 2.6"
    return None


class TrainFunctions:
    """The train functions of a model in which some gauges write.

    Where no gauge is due it is the model's own. A sampled step runs that
    function too, and captures; what `torch.compile` made of it runs as the
    Python that it was made of, since compiled code cannot be captured.

    Args:
        model: A compiled `keras.Model`.
        gauges: What measures.
    """

    decides_in_graph = False

    def __init__(self, model: Any, gauges: Sequence[Any]):
        self._model = model
        self._gauges = list(gauges)
        self._bare = vars(model)["train_function"]

    def begin_epoch(self) -> None:
        """Do nothing: the host counts the steps."""

    def get(self, due: tuple[int, ...]) -> Callable:
        """Return the train function in which the gauges `due` write.

        Args:
            due: Indices of gauges.
        """
        if not due:
            return self._bare
        gauges = [self._gauges[i] for i in due]

        def sampled_step(data: Any) -> Any:
            capture = StepCapture(any(gauge.gradients for gauge in gauges))
            points = {s.key: s for gauge in gauges for s in gauge.points}
            weights = any(gauge.weights for gauge in gauges)
            with (
                capture.capturing(self._model, points.values(), weights),
                _as_python(self._model),
            ):
                logs = self._bare(data)
            capture.data, capture.logs = data[0], logs
            # A loss that a `train_step` of the user's returns may hold on
            # to the graph.
            with torch.no_grad():
                for gauge in gauges:
                    gauge.store.write(gauge.measure(capture))
            return logs

        return sampled_step


def _as_python(model: Any) -> contextlib.AbstractContextManager:
    if model.jit_compile:
        return torch.compiler.set_stance("force_eager")
    return contextlib.nullcontext()


class StepCapture(capture.StepCapture):
    """See `keras_ext.taps.capture.StepCapture`.

    Of a gradient it keeps norm and peak alone, taken before the optimizer's
    `apply`: the tensor is the variable's `grad`, and whoever wants to may
    change it afterwards. Of a weight it keeps norms, which takes one copy of
    it, not two.

    Args:
        gradients: Whether `gradients` is asked for.
    """

    compiled = False

    def __init__(self, gradients: bool):
        super().__init__()
        self._wants_gradients = gradients

    def _note_gradients(
        self,
        optimizer: Any,
        grads: Iterable[Any],
        variables: Iterable[Any],
        scale: Any,
    ) -> None:
        pairs = zip(grads, variables, strict=True)
        found = [(g, v) for g, v in pairs if g is not None]
        if not found or not self._wants_gradients:
            return
        norms = kernels.norms_of([gradient for gradient, _ in found])
        if scale is not None:
            norms = norms / scale
        clips = capture.clips_by_value(optimizer)
        for place, (gradient, variable) in enumerate(found):
            peak = None
            if clips:
                peak = kernels.peak_of(gradient)
                peak = peak if scale is None else peak / scale
            taken = kernels.Taken(norms, place, peak)
            self.gradients[id(variable)] = taken, None
            self.optimizers[id(variable)] = optimizer

    def _note_update(self, variables: Sequence[Any], before: list[Any]) -> None:
        after = [variable.value.detach() for variable in variables]
        taken = kernels.update_norms_of(before, after)
        for variable, pair in zip(variables, taken, strict=True):
            self.weights[id(variable)] = pair

    def _capture(self, output: Any, note: Callable[[Any], None]) -> Any:
        if not isinstance(output, torch.Tensor):
            note(None)
        elif not output.is_meta:  # where Keras finds out shapes
            note(output.detach())
        return output

    def _copy(self, variable: Any) -> Any:
        return variable.value.detach().clone()
