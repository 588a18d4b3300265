"""Carrying over what a model was compiled with.

The arguments of `compile` are taken from the model as objects, and given to
the `compile` of Keras. So it does not matter whether a person's class has a
`compile` of its own. What that one sets besides are attributes.
"""

import inspect
from typing import Any

import keras

from keras_ext._convert import counterparts, naming
from keras_ext._convert.pairing import PLAIN, Pairing
from keras_ext._convert.report import Report
from keras_ext._convert.swapping import Swapping

_SETTINGS = (
    *("jit_compile", "run_eagerly", "steps_per_execution"),
    "unrolled_steps_per_execution",
)
# Attributes of an optimizer that Keras sets.
_SET_BY_KERAS = ("built", "_lock", "_learning_rate")


class Compiling:
    """Compiles the twins of models as the models are.

    Args:
        report: Notes what is swapped, left alone and lost.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.swapping = Swapping(report)
        self.pairing = Pairing(report, self.swapping, self.optimizer)
        self._optimizers: dict[int, Any] = {}

    def carry(self, old: Any, new: Any) -> None:
        """Compile a model like another one.

        Args:
            old: The model, which may not be compiled.
            new: Its twin.
        """
        arguments = _arguments(old)
        if arguments is None:
            new.compiled = getattr(old, "compiled", False)
            return
        if arguments["optimizer"] is not None:
            arguments["optimizer"] = self.optimizer(arguments["optimizer"])
        arguments["loss"] = self._map(self._loss, arguments["loss"])
        for name in ("metrics", "weighted_metrics"):
            arguments[name] = self._map(self._metric, arguments[name])
        # The base class's: a person's own may have other arguments.
        keras.Model.compile(new, **arguments, auto_scale_loss=False)
        for name in ("_compile_loss", "_compile_metrics"):
            if getattr(old, name, None) is None:
                setattr(new, name, None)
        for name in _SETTINGS:
            value = getattr(old, name, None)
            if value != getattr(new, name, None):
                setattr(new, name, value)

    def optimizer(self, old: Any) -> Any:
        """Return the twin of an optimizer, with its state.

        Args:
            old: The optimizer.

        Returns:
            The twin; `None` if it cannot be made.
        """
        if id(old) not in self._optimizers:
            try:
                with naming.naming_lambdas(old):
                    new = self._remade(old)
            except Exception as error:
                self.report.lose(f"optimizer {type(old).__name__}", error)
                new = None
            self._optimizers[id(old)] = new
        return self._optimizers[id(old)]

    def _remade(self, old: Any) -> Any:
        new = self._unbuilt(old)
        twins = self.pairing.twins
        before, after = ([*_chain(optimizer)] for optimizer in (old, new))
        for a, b in zip(before, after, strict=True):
            _copy_exclusions(a, b, self.pairing.variables)
        if not counterparts.is_keras(type(old)):
            self._copy_attributes(old, new)
        if old.built:
            # What is trainable now may be another set. A variable outside
            # the model is its own twin.
            trained = old._trainable_variables
            new.build([twins.get(id(v), v) for v in trained])
        for a, b in zip(old.variables, new.variables, strict=True):
            b.assign(keras.ops.copy(a.value))
        return new

    def _copy_attributes(self, old: Any, new: Any) -> None:
        """Copy what the config of a person's class may lack."""
        for name, value in vars(old).items():
            if isinstance(value, keras.optimizers.Optimizer):
                setattr(new, name, self._unbuilt(value, type(old).__name__))
            elif name not in _SET_BY_KERAS and (
                isinstance(value, PLAIN)
                or inspect.isfunction(value)
                or self.swapping.holds_no_state(value)
            ):
                setattr(new, name, value)

    def _unbuilt(self, old: Any, owner: str = "") -> Any:
        """Return an optimizer without state, a built-in if it has an owner."""
        ours = counterparts.counterpart(old)
        config = old.get_config()
        inner = getattr(old, "inner_optimizer", None)
        if isinstance(old, keras.optimizers.LossScaleOptimizer):
            config["inner_optimizer"] = self._unbuilt(inner)
            return type(old)(**config)
        if not isinstance(old._learning_rate, keras.Variable):
            # A schedule or function, which has no state.
            config["learning_rate"] = old._learning_rate
        if ours is not None and owner:
            self.report.leave(old, f"inside {owner}")
        elif ours is not None:
            try:
                new = ours.from_config(dict(config))
                self.report.swapped[ours] += 1
                return new
            except Exception as error:
                self.report.leave(old, error)
        self.swapping.note_subclass(old)
        objects = naming.custom_objects(config, old)
        with keras.saving.custom_object_scope(objects):
            return type(old).from_config(config)

    def _map(self, function: Any, value: Any) -> Any:
        """Apply a function to the leaves of an argument of `compile`."""
        if isinstance(value, dict):
            return {k: self._map(function, v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            items = [self._map(function, item) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        return function(value)

    def _loss(self, loss: Any) -> Any:
        if isinstance(loss, str):
            try:
                builtin = keras.losses.get(loss)
            except ValueError:  # For example "crossentropy".
                return loss
            known = counterparts.counterpart(builtin) is not None
            return self.swapping.replace(builtin) if known else loss
        if inspect.isclass(loss):
            return counterparts.counterpart(loss) or loss
        self._note_reference("loss", loss)
        return loss if loss is None else self.swapping.replace(loss)

    def _metric(self, metric: Any) -> Any:
        if not isinstance(metric, keras.metrics.Metric):
            self._note_reference("metric", metric)
            return metric
        new = self.pairing.carry(metric, None, f"metric {metric.name}/")
        if new is not None:
            # Keras does not reset it before the first batch.
            new.reset_state()
        return new

    def _note_reference(self, kind: str, value: Any) -> None:
        if self.pairing.refers_to_model(value):
            name = getattr(value, "__name__", type(value).__name__)
            self.report.lose(f"{kind} {name}", "refers to the given model")


def _arguments(model: Any) -> dict[str, Any] | None:
    """Return the arguments that the `compile` of Keras has had."""
    config = getattr(model, "_compile_config", None)
    if not getattr(model, "compiled", False) or config is None:
        return None
    arguments = dict(config.config)
    # With mixed precision, `compile` wraps it.
    arguments["optimizer"] = getattr(model, "optimizer", None)
    # A later `compile` without losses or metrics keeps the earlier ones.
    loss = getattr(model, "_compile_loss", None)
    if loss is not None:
        arguments["loss"] = loss._user_loss
        arguments["loss_weights"] = loss._user_loss_weights
    metrics = getattr(model, "_compile_metrics", None)
    if metrics is not None:
        arguments["metrics"] = metrics._user_metrics
        arguments["weighted_metrics"] = metrics._user_weighted_metrics
    return arguments


def _chain(optimizer: Any) -> Any:
    """Yield an optimizer and those that it wraps."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def _copy_exclusions(
    old: Any, new: Any, variables: list[tuple[Any, Any]]
) -> None:
    """Copy the exclusions from weight decay, which no config holds."""
    excluded: set[int] = getattr(old, "_exclude_from_weight_decay", set())
    pattern = getattr(old, "_exclude_from_weight_decay_pattern", None)
    if not excluded and not pattern:
        return
    new.exclude_from_weight_decay(
        [b for a, b in variables if old._var_key(a) in excluded],
        pattern and [pattern.pattern],
    )
