"""One forward and backward pass that leaves the model as it is."""

import contextlib
import dataclasses
import functools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_ext.doctor.facts import graph
from keras_ext.doctor.facts.losses import LossFacts
from keras_ext.taps.patch import all_replaced
from keras_ext.taps.points import (
    ActivationPoint,
    activation_points,
    layers_in,
    weight_groups,
)

Tensor = Any
LossesOf = Callable[[list[str]], list[LossFacts]]

# The compiled program runs once, so it need not be fast.
_QUICK_COMPILATION: dict[str, str | bool] = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": True,
}
# The loss is multiplied by this where gradients are float16.
_FLOAT16_LOSS_SCALE = 1024.0
# Stands for the sum of squares of a gradient that does not exist.
_NO_GRADIENT = -1.0


class BackwardError(RuntimeError):
    """A model was called, but its gradient cannot be computed."""


class ActivationStats(NamedTuple):
    """Statistics of one activation's outputs.

    Attributes:
        path: The activation's path in the model.
        kind: See `keras_ext.taps.points.ActivationPoint`.
        units: Number of units.
        rms: Root mean square of the outputs.
        saturation: Share of saturated outputs; NaN if the kind cannot saturate.
        silent: Share of units without a positive output.
    """

    path: str
    kind: str
    units: int
    rms: float
    saturation: float
    silent: float


class Probe(NamedTuple):
    """Measurements of one forward and backward pass.

    Attributes:
        loss: The loss; `None` if it could not be computed.
        loss_error: Why not, or `None`.
        outputs: Name, last axis and activation of each output.
        output_rms: Root mean square of all outputs.
        activations: One entry for each call of an activation.
        gradients: L2 norm of each layer's gradient, input first; without
            layers that the pass does not use, and empty without a loss.
    """

    loss: float | None
    loss_error: Exception | None
    outputs: tuple[graph.Output, ...]
    output_rms: float
    activations: tuple[ActivationStats, ...]
    gradients: dict[str, float]


def built(model: Any, x: Any) -> Any:
    """Return the model, or a built copy of a model that is not built.

    A subclassed model cannot be copied. It is built in place, as `fit` would
    have built it.
    """
    if all(layer.built for layer in [model, *layers_in(model)]):
        return model
    state = random.getstate()  # Keras draws its seeds from it.
    try:
        copy = model
        if isinstance(model, keras.Sequential):
            with contextlib.suppress(Exception):
                copy = type(model).from_config(model.get_config())
        initial = [(v, ops.copy(v.value)) for v in copy.variables]
        copy(x)
        for variable, value in initial:
            variable.assign(value)
        return copy
    finally:
        random.setstate(state)


def probe(
    model: Any, x: Any, y: Any, weights: Any, losses_of: LossesOf
) -> Probe:
    """Run a built model forward and backward on one batch.

    The pass writes no variable: assignments stay in a `keras.StatelessScope`.
    If the model cannot be called, its exception passes. `losses_of` returns
    the losses of the named outputs.

    Raises:
        BackwardError: If the gradient cannot be computed.
    """
    in_loop = {
        id(inner)
        for layer in layers_in(model)
        if isinstance(layer, keras.layers.RNN)
        for inner in [layer, *layers_in(layer)]
    }
    points = [
        point
        for point in activation_points(model)
        if not point.inside and id(point.owner) not in in_loop
    ]
    try:
        return _Pass(model, (x, y, weights), losses_of, points).result()
    except Exception:
        # Outputs of a loop or a recomputed block cannot always be captured.
        run = _Pass(model, (x, y, weights), losses_of, [])
        try:
            return run.result()
        except Exception as error:
            try:
                run.call([v.value for v in model.trainable_variables])
            except Exception:
                raise error from None
            raise BackwardError(str(error)) from error


@dataclasses.dataclass
class _Pass:
    """A single forward and backward pass.

    It is a gauge, too, for a `keras_ext.taps.capture.StepCapture`. The private
    attributes are set while the pass is traced.
    """

    gradients, weights = True, False

    model: Any
    data: tuple[Any, Any, Any]
    losses_of: LossesOf
    points: Sequence[ActivationPoint]
    _outputs: tuple[graph.Output, ...] = ()
    _captured: list[tuple[str, str, int]] = dataclasses.field(
        default_factory=list
    )
    _has_loss: bool = False
    _loss_error: Exception | None = None

    @property
    def scale(self) -> float:
        """The factor of the loss."""
        policies = {layer.compute_dtype for layer in layers_in(self.model)}
        return _FLOAT16_LOSS_SCALE if "float16" in policies else 1.0

    def result(self) -> Probe:
        variables = self.model.trainable_variables
        run = _BACKENDS[keras.config.backend()]
        row, squares = map(_floats, run(self, [v.value for v in variables]))
        loss, output_rms, rest = row[0], row[1], row[2:].reshape(-1, 3)
        gradients = {}
        if self._has_loss:
            of = {id(v): s for v, s in zip(variables, squares, strict=True)}
            for group in weight_groups(self.model):
                own = [of[id(v)] for v in group.variables]
                if max(own) != _NO_GRADIENT:
                    norm = sum(s for s in own if s != _NO_GRADIENT) ** 0.5
                    gradients[group.path] = float(norm) / self.scale
        return Probe(
            float(loss) / self.scale if self._has_loss else None,
            self._loss_error,
            self._outputs,
            float(output_rms),
            tuple(
                ActivationStats(*captured, *map(float, numbers))
                for captured, numbers in zip(self._captured, rest, strict=True)
            ),
            gradients,
        )

    def call(self, values: Sequence[Tensor]) -> Any:
        """Call the model in training mode with these trainable weights."""
        takes_training = getattr(self.model, "_call_has_training_arg", True)
        return self.model.stateless_call(
            list(values),
            [v.value for v in self.model.non_trainable_variables],
            self.data[0],
            return_losses=True,
            **({"training": True} if takes_training else {}),
        )

    def forward(
        self, capture: Any, values: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the scaled loss and the outputs' root mean square."""
        _, y, weights = self.data
        with (
            capture.capturing(self.model),
            self._noting_layers() as makers,
        ):
            outputs, _, losses = self.call(values)
        losses = list(losses or ())
        self._outputs = self._described(outputs, makers)
        flat = keras.tree.flatten(outputs)
        try:
            losses += self._losses(flat, y, weights)
        except Exception as error:
            self._loss_error = error
            losses = []
        self._has_loss = bool(losses)
        loss = sum((ops.cast(x, "float32") for x in losses), ops.zeros(()))
        return loss * self.scale, _rms(flat)

    def measured(
        self, capture: Any, loss: Tensor, output_rms: Tensor
    ) -> Tensor:
        """Return the loss and all statistics in one row."""
        points = {
            part.key: (point, part.part)
            for point in self.points
            for part in capture.parts(point)
        }
        numbers, self._captured = [loss, output_rms], []
        for key, outputs in capture.outputs.items():
            point, (_, _, axis, units) = points[key]
            for output in outputs:
                if isinstance(units, int):
                    self._captured.append((point.path, point.kind, units))
                    numbers += _statistics(point, output, axis)
        return ops.stack([ops.cast(x, "float32") for x in numbers])

    @contextlib.contextmanager
    def _noting_layers(self) -> Iterator[dict[int, tuple[Any, Tensor]]]:
        """Yield a dictionary: the id of a tensor -> the layer it came from."""
        makers: dict[int, tuple[Any, Tensor]] = {}

        def noted(layer: Any, call: Callable) -> Callable:
            def call_and_note(*args: Any, **kwargs: Any) -> Any:
                output = call(*args, **kwargs)
                makers[id(output)] = layer, output  # This keeps the id.
                return output

            return call_and_note

        with all_replaced(
            (layer, "call", noted(layer, layer.call))
            for layer in layers_in(self.model)
            if graph.final_of_layer(layer) is not None
        ):
            yield makers

    def _described(
        self, outputs: Any, makers: dict[int, tuple[Any, Tensor]]
    ) -> tuple[graph.Output, ...]:
        """Return what is known of the outputs after a call."""
        flat = keras.tree.flatten(outputs)
        known = list(graph.outputs_of(self.model))
        if len(known) == len(flat):
            names = [output.name for output in known]
            finals = [output.final for output in known]
        else:
            names = [f"output_{i}" for i in range(len(flat))]
            if isinstance(outputs, dict):
                names = [str(key) for key in sorted(outputs)]
            elif len(flat) == 1:
                names = ["output"]
            finals = [
                graph.final_of_layer(makers.get(id(x), (None, None))[0])
                or graph.UNKNOWN
                for x in flat
            ]
        return tuple(
            graph.Output(name, graph.last_axis(t.shape), final)
            for name, t, final in zip(names, flat, finals, strict=True)
        )

    def _losses(self, flat: list[Tensor], y: Any, weights: Any) -> list[Tensor]:
        if y is None:
            return []
        names = [output.name for output in self._outputs]
        if isinstance(y, dict):
            targets = [y.get(name) for name in names]
            if len(flat) == 1 and len(y) == 1:
                targets = list(y.values())
        elif len(flat) > 1:
            targets = keras.tree.flatten(y)
        else:
            targets = keras.tree.flatten(y)[:1]
        if len(targets) != len(flat):
            raise ValueError(
                f"There are {len(flat)} outputs but {len(targets)} targets."
            )
        found = []
        several = isinstance(weights, dict | list | tuple)
        for target, predicted, loss in zip(
            targets, flat, self.losses_of(names), strict=True
        ):
            if loss.function is None or target is None:
                continue
            if isinstance(loss.function, keras.losses.Loss):
                weight = None if several else weights
                value = loss.function(target, predicted, weight)
            else:
                if len(target.shape) < len(predicted.shape) and (
                    predicted.shape[-1] == 1
                ):  # Keras's trainer does the same for functions.
                    target = ops.expand_dims(target, -1)
                value = loss.function(target, predicted)
            found.append(ops.mean(ops.cast(value, "float32")))
        return found


def _floats(tensor: Tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor), float)


def _rms(tensors: Sequence[Tensor]) -> Tensor:
    squares = [ops.mean(ops.square(ops.cast(t, "float32"))) for t in tensors]
    return ops.sqrt(sum(squares) / len(squares)) if squares else ops.zeros(())


def _statistics(
    point: ActivationPoint, output: Tensor, axis: int
) -> list[Tensor]:
    output = ops.cast(output, "float32")
    saturation: Any = float("nan")
    if point.low is not None and point.high is not None:
        flat = ops.logical_or(output <= point.low, output >= point.high)
        saturation = ops.mean(ops.cast(flat, "float32"))
    axes = [i for i in range(len(output.shape)) if i != axis]
    silent = ops.cast(ops.max(output, axis=axes) <= 0, "float32")
    return [_rms([output]), saturation, ops.mean(silent)]


def _squares(gradients: Sequence[Tensor | None]) -> Tensor:
    """Return the sum of squares of each gradient."""
    return ops.stack(
        [
            ops.convert_to_tensor(_NO_GRADIENT)
            if g is None
            else ops.sum(ops.square(ops.cast(g, "float32")))
            for g in gradients
        ]
        or [ops.zeros(())]
    )


def _run_jax(run: _Pass, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import jax

    from keras_ext.taps.jax import JaxStepCapture

    def function(values: list[Tensor]) -> tuple[Tensor, Tensor]:
        capture = JaxStepCapture([run], values)
        forward = functools.partial(run.forward, capture)
        results, gradients = jax.value_and_grad(forward, has_aux=True)(values)
        squares = _squares(gradients)
        # JAX has a gradient of zero for each variable that is not used.
        idle = np.array([id(v) not in capture.used for v in variables], bool)
        if idle.any():
            squares = ops.where(idle & (squares == 0), _NO_GRADIENT, squares)
        return run.measured(capture, *results), squares

    variables = run.model.trainable_variables
    # A model that is not compiled may run code that XLA cannot.
    if not run.model.jit_compile or run.model.run_eagerly:
        return function(values)
    lowered = jax.jit(function).lower(values)
    try:
        return lowered.compile(_QUICK_COMPILATION)(values)
    except jax.errors.JaxRuntimeError:  # an XLA without these options
        return lowered.compile()(values)


def _run_tensorflow(run: _Pass, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    from keras_ext.taps.tensorflow_capture import TensorFlowStepCapture

    values = [tf.convert_to_tensor(value) for value in values]
    capture = TensorFlowStepCapture([run], False)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, output_rms = run.forward(capture, values)
    gradients = [
        None if g is None else tf.convert_to_tensor(g)
        for g in tape.gradient(loss, values)
    ]
    return run.measured(capture, loss, output_rms), _squares(gradients)


def _run_torch(run: _Pass, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import torch

    from keras_ext.taps.torch import TorchStepCapture

    values = [v.detach().requires_grad_(v.is_floating_point()) for v in values]
    capture = TorchStepCapture([run])
    with torch.enable_grad():
        loss, output_rms = run.forward(capture, values)
        gradients: Sequence[Tensor | None] = [None for _ in values]
        if loss.requires_grad and values:
            gradients = torch.autograd.grad(loss, values, allow_unused=True)
    row = run.measured(capture, loss.detach(), output_rms.detach())
    return row, _squares(gradients)


_BACKENDS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "jax": _run_jax,
    "tensorflow": _run_tensorflow,
    "torch": _run_torch,
}
