"""One forward and backward that leaves the model as it is."""

import contextlib
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

_QUICKLY: dict[str, str | bool] = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": True,
}
# Factor of the loss where gradients are of float16, which has no small ones.
_SCALE_OF_HALF = 1024.0


class Site(NamedTuple):
    """What an activation put out.

    Attributes:
        path: Its path in the model.
        kind: See `keras_ext.taps.points.ActivationPoint`.
        units: Number of its units.
        rms: Root mean square of its outputs.
        saturation: Share of saturated outputs, NaN where none can be.
        silent: Share of units that put out nothing above zero.
    """

    path: str
    kind: str
    units: int
    rms: float
    saturation: float
    silent: float


class Probe(NamedTuple):
    """What a forward and backward showed.

    Attributes:
        loss: The loss, `None` if it could not be computed.
        loss_error: Why not, or `None`.
        outputs: Of each output its name, last axis and activation.
        output_rms: Root mean square of all outputs.
        points: What each activation put out, in the model's order.
        gradients: L2 norm of each layer's gradient, the layers in order;
            empty without a loss.
    """

    loss: float | None
    loss_error: Exception | None
    outputs: tuple[graph.Output, ...]
    output_rms: float
    points: tuple[Site, ...]
    gradients: dict[str, float]


LossesOf = Callable[[list[str]], list[LossFacts]]


def built(model: Any, x: Any) -> Any:
    """Return the model, or for one that is not built a copy that is.

    A subclassed model cannot be copied: it is built, as `fit` would have.

    Args:
        model: A `keras.Model`.
        x: A batch of inputs.

    Raises:
        Exception: Whatever the model raises if it cannot be called.
    """
    if all(layer.built for layer in [model, *layers_in(model)]):
        return model
    state = random.getstate()  # from which Keras draws seeds
    try:
        copy = model
        if isinstance(model, keras.Sequential):
            with contextlib.suppress(Exception):
                copy = type(model).from_config(model.get_config())
        drawn = [(v, ops.copy(v.value)) for v in copy.variables]
        copy(x)
        for variable, value in drawn:
            variable.assign(value)
        return copy
    finally:
        random.setstate(state)


def probe(
    model: Any, x: Any, y: Any, weights: Any, losses_of: LossesOf
) -> Probe:
    """Run the model forward and backward on one batch.

    All of its variables are read and none is written: assignments stay in a
    `keras.StatelessScope`.

    Args:
        model: A built `keras.Model`.
        x: A batch of inputs.
        y: Its targets, `None` for none.
        weights: The samples' weights, or `None`.
        losses_of: Returns, for names of outputs, their losses.

    Raises:
        Exception: Whatever the model raises if it cannot be called.
    """
    points = _points(model)
    try:
        return _Run(model, x, y, weights, losses_of, points).result()
    except Exception:
        if not points:
            raise
        # What runs in a loop or a recomputed block cannot be listened to.
        return _Run(model, x, y, weights, losses_of, []).result()


def _points(model: Any) -> list[ActivationPoint]:
    in_loop = {
        id(inner)
        for layer in layers_in(model)
        if isinstance(layer, keras.layers.RNN)
        for inner in [layer, *layers_in(layer)]
    }
    return [
        point
        for point in activation_points(model)
        if not point.inside and id(point.owner) not in in_loop
    ]


class _Run:
    """A single forward and backward.

    What is known when the function is traced is kept in attributes, what is
    known when it runs is returned by it.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Any,
        weights: Any,
        losses_of: LossesOf,
        points: Sequence[ActivationPoint],
    ):
        self._model = model
        self._data = x, y, weights
        self._losses_of = losses_of
        self._points = points
        self._outputs: tuple[graph.Output, ...] = ()
        self._captured: list[ActivationPoint] = []
        self._units: list[int] = []
        self._has_loss = False
        self._loss_error: Exception | None = None
        policies = {layer.compute_dtype for layer in layers_in(model)}
        self._scale = _SCALE_OF_HALF if "float16" in policies else 1.0

    def result(self) -> Probe:
        backend = keras.config.backend()
        values = [v.value for v in self._model.trainable_variables]
        row, squares = _BACKENDS[backend](self, values)
        row = np.asarray(ops.convert_to_numpy(row), float)
        loss, output_rms, rest = row[0], row[1], row[2:].reshape(-1, 3)
        points = tuple(
            Site(point.path, point.kind, units, *map(float, numbers))
            for point, units, numbers in zip(
                self._captured, self._units, rest, strict=True
            )
        )
        gradients = {}
        if self._has_loss:
            numbers = np.asarray(ops.convert_to_numpy(squares), float)
            gradients = self._norms(numbers)
        return Probe(
            float(loss) / self._scale if self._has_loss else None,
            self._loss_error,
            self._outputs,
            float(output_rms),
            points,
            gradients,
        )

    def _norms(self, squares: np.ndarray) -> dict[str, float]:
        variables = self._model.trainable_variables
        of = {id(v): s for v, s in zip(variables, squares, strict=True)}
        return {
            group.path: float(np.sqrt(sum(of[id(v)] for v in group.variables)))
            / self._scale
            for group in weight_groups(self._model)
        }

    def forward(self, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the scaled loss and a row of numbers."""
        model = self._model
        x, y, weights = self._data
        captured: list[tuple[ActivationPoint, Tensor]] = []
        makers: dict[int, Any] = {}
        self._captured, self._units = [], []
        with self._listening(captured, makers):
            outputs, _, losses = model.stateless_call(
                list(values),
                [v.value for v in model.non_trainable_variables],
                x,
                return_losses=True,
                **self._training(),
            )
        losses = list(losses or ())
        self._outputs = self._described(outputs, makers)
        flat = keras.tree.flatten(outputs)
        try:
            losses += self._losses(flat, outputs, y, weights)
        except Exception as error:
            self._loss_error = error
            losses = []
        self._has_loss = bool(losses)
        loss = ops.zeros(())
        for each in losses:
            loss = loss + ops.cast(each, "float32")
        loss = loss * self._scale
        parts = [loss, _rms(flat)]
        for point, output in captured:
            axis = point.unit_axis(len(output.shape))
            units = output.shape[axis]
            if len(output.shape) < 2 or not isinstance(units, int):
                continue
            self._captured.append(point)
            self._units.append(units)
            parts += _measured(point, output, axis)
        return loss, ops.stack([ops.cast(p, "float32") for p in parts])

    def _training(self) -> dict[str, Any]:
        takes = getattr(self._model, "_call_has_training_arg", True)
        return {"training": True} if takes else {}

    @contextlib.contextmanager
    def _listening(
        self,
        captured: list[tuple[ActivationPoint, Tensor]],
        makers: dict[int, Any],
    ) -> Iterator[None]:
        """Note what activations and layers return, by the tensors' ids."""

        def point_call(point: ActivationPoint, call: Callable) -> Callable:
            def call_and_capture(*args: Any, **kwargs: Any) -> Any:
                output = call(*args, **kwargs)
                if hasattr(output, "shape"):
                    captured.append((point, output))
                return output

            return call_and_capture

        def layer_call(layer: Any, call: Callable) -> Callable:
            def call_and_note(*args: Any, **kwargs: Any) -> Any:
                output = call(*args, **kwargs)
                makers[id(output)] = layer, output  # which keeps the id
                return output

            return call_and_note

        changes = [
            (s.owner, s.attribute, point_call(s, getattr(s.owner, s.attribute)))
            for s in self._points
        ]
        with contextlib.ExitStack() as stack:
            stack.enter_context(all_replaced(changes))
            stack.enter_context(
                all_replaced(
                    (layer, "call", layer_call(layer, layer.call))
                    for layer in layers_in(self._model)
                    if graph.final_of_layer(layer) is not None
                )
            )
            yield

    def _described(
        self, outputs: Any, makers: dict[int, Any]
    ) -> tuple[graph.Output, ...]:
        """Return what is known of the outputs after a call."""
        flat = keras.tree.flatten(outputs)
        known = list(graph.outputs_of(self._model))
        if len(known) == len(flat):
            names = [output.name for output in known]
            finals = [output.final for output in known]
        else:
            names, finals = [f"output_{i}" for i in range(len(flat))], []
            if isinstance(outputs, dict):
                names = [str(key) for key in sorted(outputs)]
            elif len(flat) == 1:
                names = ["output"]
            for tensor in flat:
                layer, _ = makers.get(id(tensor), (None, None))
                final = graph.final_of_layer(layer)
                finals.append(final or graph.UNKNOWN)
        return tuple(
            graph.Output(name, graph.last_axis(t.shape), final)
            for name, t, final in zip(names, flat, finals, strict=True)
        )

    def _losses(
        self, flat: list[Tensor], outputs: Any, y: Any, weights: Any
    ) -> list[Tensor]:
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
            targets, flat, self._losses_of(names), strict=True
        ):
            if loss.function is None or target is None:
                continue
            if isinstance(loss.function, keras.losses.Loss):
                weight = None if several else weights
                value = loss.function(target, predicted, weight)
            else:
                if len(target.shape) < len(predicted.shape) and (
                    predicted.shape[-1] == 1
                ):  # as Keras's trainer does for functions
                    target = ops.expand_dims(target, -1)
                value = loss.function(target, predicted)
            found.append(ops.mean(ops.cast(value, "float32")))
        return found


def _rms(tensors: Sequence[Tensor]) -> Tensor:
    squares = [ops.mean(ops.square(ops.cast(t, "float32"))) for t in tensors]
    return ops.sqrt(sum(squares) / len(squares)) if squares else ops.zeros(())


def _measured(
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
    return ops.stack(
        [
            ops.zeros(())
            if g is None
            else ops.sum(ops.square(ops.cast(g, "float32")))
            for g in gradients
        ]
        or [ops.zeros(())]
    )


def _run_jax(run: _Run, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import jax

    def function(values: list[Tensor]) -> tuple[Tensor, Tensor]:
        forward = jax.value_and_grad(run.forward, has_aux=True)
        (_, row), gradients = forward(values)
        return row, _squares(gradients)

    # A model that is not compiled may run code that XLA cannot.
    if not run._model.jit_compile or run._model.run_eagerly:
        return function(values)
    # What runs once need not be fast.
    lowered = jax.jit(function).lower(values)
    try:
        return lowered.compile(_QUICKLY)(values)
    except jax.errors.JaxRuntimeError:  # an XLA without these options
        return lowered.compile()(values)


def _run_tensorflow(run: _Run, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    values = [tf.convert_to_tensor(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, row = run.forward(values)
    gradients = [
        None if g is None else tf.convert_to_tensor(g)
        for g in tape.gradient(loss, values)
    ]
    return row, _squares(gradients)


def _run_torch(run: _Run, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    import torch

    with torch.enable_grad():
        values = [
            v.detach().requires_grad_(v.is_floating_point()) for v in values
        ]
        loss, row = run.forward(values)
        gradients: Sequence[Tensor | None] = [None for _ in values]
        if loss.requires_grad and values:
            gradients = torch.autograd.grad(loss, values, allow_unused=True)
    return row.detach(), _squares(gradients)


_BACKENDS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "jax": _run_jax,
    "tensorflow": _run_tensorflow,
    "torch": _run_torch,
}
