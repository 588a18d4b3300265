"""Walking through a model and its reloaded twin, side by side.

Keras rebuilds a model from its config. Whatever the config does not hold,
constructors make anew: with other seeds, without LoRA, with functions of
Keras. The walk pairs each object of the model with that of its twin, by the
names of attributes, and makes the twin's object equal or notes the loss.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_ext._convert import counterparts, reloading
from keras_ext._convert.report import Report

# Objects that a model and its twin can share: nothing trains them.
_VALUES = (
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.losses.Loss,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.dtype_policies.DTypePolicy,
    keras.dtype_policies.DTypePolicyMap,
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
# What Keras tracks. Walked last, for what no attribute holds.
_TRACKED = (
    *("_layers", "_trainable_variables", "_non_trainable_variables"),
    *("_metrics", "_seed_generators"),
)
# What callbacks and `fit` add to a model.
_OF_FIT = ("history", "stop_training", "stop_evaluating", "stop_predicting")
_MISSING = object()


class Pairing:
    """Pairs the objects of a model with those of its reloaded twin.

    Args:
        report: Notes what is swapped, left alone and lost.
        make_optimizer: Returns the twin of an optimizer. It is called once
            all variables are paired.
    """

    def __init__(
        self, report: Report, make_optimizer: Callable[[Any], Any]
    ) -> None:
        self.report = report
        self.make_optimizer = make_optimizer
        # By the identity of the model's object.
        self.twins: dict[int, Any] = {}
        self.layers: list[tuple[Any, Any]] = []
        self.variables: list[tuple[Any, Any]] = []
        self._later: list[tuple[Any, str, Any]] = []

    def walk(self, old: Any, new: Any) -> None:
        """Pair two models and what they hold.

        Raises:
            ValueError: If Keras has loaded other layers.
        """
        self._pair(old, new, "")
        for old_layer, layer in self.layers:
            if layer.trainable != old_layer.trainable:
                layer.trainable = old_layer.trainable
        for old_variable, variable in self.variables:
            if variable.trainable != old_variable.trainable:
                variable.trainable = old_variable.trainable
        for layer in reloading.layers_of(old):
            if id(layer) not in self.twins:
                self.report.lose(layer.name, "a layer that no config holds")
        for variable in old.variables:
            if id(variable) not in self.twins:
                self.report.lose(variable.path, "a variable without a twin")

    def set_optimizers(self) -> None:
        """Set the optimizers that attributes hold."""
        for owner, name, value in self._later:
            self._set(owner, name, self.make_optimizer(value))

    def twin(self, value: Any) -> Any:
        """Return what takes the place of an object that holds no state.

        Args:
            value: A function, initializer, regularizer, constraint, loss,
                schedule or dtype policy.

        Returns:
            Its counterpart, or itself if it has none.
        """
        if inspect.isfunction(value):
            ours = counterparts.counterpart(value)
            if ours is not None:
                self.report.swapped[ours] += 1
            return value if ours is None else ours
        if id(value) not in self.twins:
            self.twins[id(value)] = self._value_twin(value)
        return self.twins[id(value)]

    def _value_twin(self, value: Any) -> Any:
        if counterparts.counterpart(value) is not None:
            try:
                new = counterparts.remake(value)
            except Exception as error:
                self.report.leave(value, str(error))
                return value
            self.report.swapped[type(new)] += 1
            return new
        self._note_subclass(value)
        if not counterparts.is_keras(type(value)):
            for part in reloading.attributes(value).values():
                if counterparts.counterpart(part) is not None:
                    why = f"inside {type(value).__name__}"
                    self.report.leave(part, why)
        return value

    def _note_subclass(self, value: Any) -> None:
        base = counterparts.builtin_base(type(value))
        if base is not None:
            self.report.leave(value, f"subclass of {base.__name__}")

    def _pair(self, old: Any, new: Any, path: str) -> None:
        """Pair two layers, metrics, seed generators or the like."""
        if id(old) in self.twins:
            return
        self.twins[id(old)] = new
        if isinstance(old, keras.layers.Layer):
            self._pair_layers(old, new, path)
        before, after = map(reloading.attributes, (old, new))
        known = _names_of_keras() if isinstance(old, keras.layers.Layer) else ()
        for name, value in before.items():
            if name not in known:
                self._attribute(old, new, name, path)
        for name in _TRACKED:
            self._carry(
                before.get(name, ()), after.get(name, ()), f"{path}{name}/"
            )

    def _pair_layers(self, old: Any, new: Any, path: str) -> None:
        self.layers.append((old, new))
        ours = counterparts.counterpart(old)
        if ours is not None and type(new) is ours:
            self.report.swapped[ours] += 1
        elif not _is_same_class(type(old), type(new)):
            raise ValueError(
                "`model` must hold the layers that Keras loads again; "
                f"register classes of the same name under different names. "
                f"Received: {path or 'model'} of {type(old)}, which becomes "
                f"{type(new)}"
            )
        elif ours is not None:
            try:
                ours.from_config({**old.get_config(), "name": "trial"})
                why = "not made by its constructor"
            except Exception as error:
                why = str(error)
            self.report.leave(old, why)
        else:
            self._note_subclass(old)
        if getattr(old, "lora_enabled", False) and not new.lora_enabled:
            # Without the factors, Keras saves the product.
            new.enable_lora(old.lora_rank, lora_alpha=old.lora_alpha)
        if old.dtype_policy.get_config() != new.dtype_policy.get_config():
            policies = old.dtype_policy.name, new.dtype_policy.name
            self.report.lose(
                path or old.name, "dtype policy {} becomes {}".format(*policies)
            )

    def _attribute(self, old: Any, new: Any, name: str, path: str) -> None:
        value = reloading.attributes(old)[name]
        present = reloading.attributes(new).get(name, _MISSING)
        if isinstance(value, keras.optimizers.Optimizer):
            self._later.append((new, name, value))
            return
        if _is_fused(old, value):
            self.report.leave(value, "Keras's fused kernels ask for it")
            return
        if counterparts.is_keras(type(old)):
            # Its config holds all of it, but what others have added.
            added = present is _MISSING and not name.startswith("_")
            if not added and not _is_part(value):
                return
        carried = self._carry(value, present, f"{path}{name}/")
        if carried is not present and carried is not _MISSING:
            self._set(new, name, carried)

    def _carry(self, old: Any, new: Any, path: str) -> Any:
        """Return what the twin is to hold in place of `new`."""
        if inspect.isfunction(old):
            return self._carry_function(old, new, path)
        if isinstance(old, _VALUES):
            return self.twin(old)
        if isinstance(old, keras.Variable):
            return self._carry_variable(old, new, path)
        if isinstance(old, keras.layers.Layer):
            return self._carry_layer(old, new, path)
        if isinstance(old, dict):
            return self._carry_dict(old, new, path)
        if isinstance(old, list | tuple):
            return self._carry_sequence(old, new, path)
        if isinstance(old, _PLAIN):
            return new if type(old) is type(new) and old == new else old
        if hasattr(old, "get_config"):
            return self._carry_object(old, new, path)
        if new is not _MISSING and new is not None:
            return new
        if hasattr(old, "shape") or isinstance(old, functools.partial):
            return old
        if callable(old) and not _refers_to_layers(old):
            return old
        self.report.lose(path[:-1], f"a {type(old).__name__}")
        return new

    def _carry_function(self, old: Any, new: Any, path: str) -> Any:
        # A constructor makes the same function again, of the new model.
        if inspect.isfunction(new) and new.__code__ is old.__code__:
            return self.twin(new)
        if _refers_to_layers(old):
            self.report.lose(path[:-1], "a function that refers to layers")
            return new
        return self.twin(old)

    def _carry_layer(self, old: Any, new: Any, path: str) -> Any:
        if id(old) in self.twins:
            return self.twins[id(old)]
        if isinstance(new, keras.layers.Layer):
            self._pair(old, new, path)
        return new  # A layer without a twin is noted in the end.

    def _carry_variable(self, old: Any, new: Any, path: str) -> Any:
        if id(old) in self.twins:
            return self.twins[id(old)]
        if not isinstance(new, keras.Variable) or (
            (new.shape, new.dtype) != (old.shape, old.dtype)
        ):
            return new  # It is noted in the end.
        self.twins[id(old)] = new
        self.variables.append((old, new))
        # Keras does not save a seed's state, which is a variable.
        new.assign(keras.ops.copy(old.value))
        if getattr(old, "regularizer", None) is not None:
            new.regularizer = self._carry(old.regularizer, None, path)
        return new

    def _carry_object(self, old: Any, new: Any, path: str) -> Any:
        """Carry a metric, seed generator or another object with a config."""
        if id(old) in self.twins:
            return self.twins[id(old)]
        if not _is_same_class(type(old), type(new)):
            try:
                new = reloading.copy(old)
            except Exception as error:
                self.report.lose(path[:-1], str(error))
                return new
        self._pair(old, new, path)
        return new

    def _carry_dict(self, old: Any, new: Any, path: str) -> Any:
        present = new if isinstance(new, dict) else {}
        items = {
            key: self._carry(value, present.get(key, _MISSING), f"{path}{key}/")
            for key, value in old.items()
        }
        if _MISSING in items.values():
            return new
        if not isinstance(new, dict) or list(new) != list(old):
            return items
        for key, item in items.items():
            if item is not new[key]:
                new[key] = item
        return new

    def _carry_sequence(self, old: Any, new: Any, path: str) -> Any:
        present = list(new) if isinstance(new, list | tuple) else []
        names = [getattr(x, "name", None) for x in present]
        if len(set(names)) == len(names) and set(names) == {
            getattr(x, "name", None) for x in old
        }:
            # Keras may list the layers of a graph in another order.
            by_name = dict(zip(names, present, strict=True))
            pairs = [(x, by_name[x.name]) for x in old]
        else:
            fill = [_MISSING] * (len(old) - len(present))
            pairs = list(zip(old, present + fill, strict=False))
        items = [
            self._carry(a, b, f"{path}{i}/") for i, (a, b) in enumerate(pairs)
        ]
        if any(item is _MISSING for item in items) or all(
            a is b for a, (_, b) in zip(items, pairs, strict=True)
        ):
            return new
        return tuple(items) if isinstance(old, tuple) else items

    def _set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute, also of a layer that is built."""
        tracker = getattr(owner, "_tracker", None)
        locked = getattr(tracker, "locked", False)
        if locked:
            tracker.unlock()
        try:
            setattr(owner, name, value)
        finally:
            if locked:
                tracker.lock()


@functools.cache
def _names_of_keras() -> frozenset[str]:
    """Return the attributes that Keras gives to every layer and model."""
    # Named, so that no automatic names are used up.
    x = keras.Input((1,), name="input")
    layer = keras.layers.Dense(1, name="layer")
    functional = keras.Model(x, layer(x), name="functional")
    functional.compile(optimizer=None)
    sequential = keras.Sequential(name="sequential")
    plain = keras.layers.Layer(name="plain")
    names = {*_OF_FIT, *_TRACKED}
    for thing in (functional, sequential, plain):
        names |= set(reloading.attributes(thing))
    return frozenset(names - {"activity_regularizer", "optimizer"})


def _is_same_class(old: type, new: type) -> bool:
    # A notebook may define a class again.
    return (old.__module__, old.__qualname__) == (
        new.__module__,
        new.__qualname__,
    )


def _is_part(value: Any) -> bool:
    """Return whether a value is, or contains, what a model consists of."""
    if isinstance(value, dict):
        return any(map(_is_part, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_part, value))
    return inspect.isfunction(value) or hasattr(value, "get_config") or (
        isinstance(value, keras.Variable)
    )


def _is_fused(layer: Any, value: Any) -> bool:
    """Return whether Keras has fused kernels for an activation of a cell."""
    kinds = keras.layers.LSTMCell, keras.layers.GRUCell
    activations = keras.activations.tanh, keras.activations.sigmoid
    return isinstance(layer, kinds) and value in activations


def _refers_to_layers(function: Any) -> bool:
    """Return whether a function or method refers to layers or variables."""
    parts = [getattr(function, "__self__", None)]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            parts.append(cell.cell_contents)
        except ValueError:  # An empty cell.
            continue
    if inspect.isfunction(getattr(function, "__wrapped__", None)):
        parts.append(function.__wrapped__)
    return any(
        isinstance(part, keras.layers.Layer | keras.Variable)
        or (
            part is not function
            and inspect.isfunction(part)
            and _refers_to_layers(part)
        )
        for part in parts
    )
