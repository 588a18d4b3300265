"""Walking through a model and its reloaded twin, side by side.

The walk pairs each object of the model with that of its twin, by the names of
attributes. It makes the twin's object equal, or notes the loss.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_ext._convert import counterparts, objects
from keras_ext._convert.layer_settings import copy_settings
from keras_ext._convert.reloading import copy
from keras_ext._convert.report import Report
from keras_ext._convert.swapping import Swapping

PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
_MISSING = object()


class Pairing:
    """Pairs the objects of a model with those of its reloaded twin.

    Args:
        report: Notes what is swapped, left alone and lost.
        swapping: Replaces objects without state.
        make_optimizer: Returns the twin of an optimizer. It is called once
            all variables are paired.
    """

    def __init__(
        self,
        report: Report,
        swapping: Swapping,
        make_optimizer: Callable[[Any], Any],
    ) -> None:
        self.report = report
        self.swapping = swapping
        self.make_optimizer = make_optimizer
        # By the identity of the model's object.
        self.twins: dict[int, Any] = {}
        self.layers: list[tuple[Any, Any]] = []
        self.variables: list[tuple[Any, Any]] = []
        self._taken: set[int] = set()
        self._own: set[int] = set()
        self._seen: list[Any] = []
        self._later: list[tuple[Any, str, Any]] = []

    def walk(self, old: Any, new: Any) -> None:
        """Pair two models and what they hold.

        Raises:
            ValueError: If Keras has loaded other layers.
        """
        layers = objects.layers_of(old)
        self._own = {id(part) for part in (*layers, *old.variables)}
        self._pair(old, new, "")
        layers += self._seen
        for pairs in (self.layers, self.variables):
            for old_part, part in pairs:
                # For a layer, this sets the flags of all inside it.
                if part.trainable != old_part.trainable:
                    part.trainable = old_part.trainable
        lost: set[int] = set()
        for layer in layers:
            if id(layer) not in self.twins:
                self.report.lose(layer.name, "a layer that no config holds")
                lost |= {id(variable) for variable in layer.variables}
        for variable in old.variables:
            if id(variable) not in {*self.twins, *lost}:
                self.report.lose(variable.path, "a variable without a twin")

    def set_optimizers(self) -> None:
        """Set the optimizers that attributes hold."""
        for owner, name, value in self._later:
            _set(owner, name, self.carry(value, _MISSING, f"{name}/"))

    def refers_to_model(self, thing: Any) -> bool:
        """Return whether an object or function refers to the given model."""
        return objects.refers_to(thing, self._own)

    def carry(self, old: Any, new: Any, path: str) -> Any:
        """Return what the twin is to hold in place of an object.

        Args:
            old: What the model holds.
            new: What its twin holds.
            path: Where, for the report.

        Returns:
            `new`, made equal to `old`; or a copy, or `old` itself if it
            holds no state.
        """
        if inspect.isfunction(old):
            return self._carry_function(old, new, path)
        if self.swapping.holds_no_state(old) and (
            not self.refers_to_model(old)
        ):
            return self.swapping.replace(old)
        if objects.is_optimizer(old):
            return self.make_optimizer(old)
        if objects.is_variable(old):
            return self._carry_variable(old, new, path)
        if objects.is_layer(old):
            self._seen.append(old)
            if objects.is_layer(new):
                self._pair(old, new, f"{old.name}/")
            return self.twins.get(id(old), new)
        if isinstance(old, dict):
            return self._carry_dict(old, new, path)
        if isinstance(old, list | tuple):
            return self._carry_sequence(old, new, path)
        if isinstance(old, PLAIN):
            return new if type(old) is type(new) and old == new else old
        if hasattr(old, "get_config"):
            return self._carry_object(old, new, path)
        if objects.is_array(old):
            return old.copy() if isinstance(old, np.ndarray) else old
        if new is not _MISSING and new is not None:
            return new
        if self.refers_to_model(old):
            self.report.lose(path[:-1], f"a {type(old).__name__} of the model")
            return new
        return old

    def _pair(self, old: Any, new: Any, path: str) -> None:
        """Pair two layers, metrics, seed generators or the like."""
        if id(old) in self.twins or id(new) in self._taken:
            return
        self.twins[id(old)] = new
        self._taken.add(id(new))
        known: frozenset[str] = frozenset()
        if objects.is_layer(old):
            self.layers.append((old, new))
            self.swapping.compare_layers(old, new)
            try:
                copy_settings(old, new)
            except Exception as error:
                self.report.lose(old.name, error)
            known = objects.names_of_keras()
        before = objects.attributes(old)
        for name in before:
            # A method such as `make_train_function` makes it again.
            if name not in known and not hasattr(old, f"make_{name}"):
                self._attribute(old, new, name, path)
        after = objects.attributes(new)
        for name in objects.TRACKED:
            # For what no attribute holds.
            self.carry(before.get(name, ()), after.get(name, ()), path)
            self._reorder(before.get(name, ()), after.get(name, ()))

    def _reorder(self, old: Any, new: Any) -> None:
        """Give a list of variables the order of another one.

        An optimizer on JAX takes variables by their order, which differs
        between a layer that was quantized and one that is loaded so.
        """
        twins = [self.twins.get(id(variable)) for variable in old]
        if (
            isinstance(new, list)
            and all(map(objects.is_variable, twins))
            and sorted(map(id, twins)) == sorted(map(id, new))
        ):
            new[:] = twins

    def _attribute(self, old: Any, new: Any, name: str, path: str) -> None:
        value = objects.attributes(old)[name]
        present = objects.attributes(new).get(name, _MISSING)
        if objects.contains(value, objects.is_optimizer):
            self._later.append((new, name, value))
            return
        if self.swapping.is_fused(old, value):
            return
        # The config of Keras's classes holds all, but what others add.
        is_added = present is _MISSING and not name.startswith("_")
        if (
            counterparts.is_keras(type(old))
            and not is_added
            and not objects.contains(value, objects.is_component)
        ):
            return
        carried = self.carry(value, present, f"{path}{name}/")
        if carried is not present and carried is not _MISSING:
            _set(new, name, carried)

    def _carry_function(self, old: Any, new: Any, path: str) -> Any:
        if not self.refers_to_model(old):
            return self.swapping.replace(old)
        # A constructor makes the same function again, of the new model.
        if not inspect.isfunction(new) or new.__code__ is not old.__code__:
            self.report.lose(path[:-1], "a function of the model")
        return new

    def _carry_variable(self, old: Any, new: Any, path: str) -> Any:
        if id(old) in self.twins:
            return self.twins[id(old)]
        if (
            not objects.is_variable(new)
            or id(new) in self._taken
            or (new.shape, new.dtype) != (old.shape, old.dtype)
        ):
            return new
        self.twins[id(old)] = new
        self._taken.add(id(new))
        self.variables.append((old, new))
        # Keras does not save a seed's state, which is a variable.
        new.assign(keras.ops.copy(old.value))
        for name in ("regularizer", "constraint"):
            value = getattr(old, name, None)
            if value is not None:
                setattr(new, name, self.carry(value, None, path))
        return new

    def _carry_object(self, old: Any, new: Any, path: str) -> Any:
        """Carry a metric, seed generator or another object with a config."""
        if id(old) in self.twins:
            return self.twins[id(old)]
        if not objects.is_same_class(old, new) or (
            isinstance(old, keras.metrics.Metric)
            and _config(old) != _config(new)
        ):
            try:
                new = copy(old)
            except Exception as error:
                self.report.lose(path[:-1], error)
                return new
        self._pair(old, new, path)
        return new

    def _carry_dict(self, old: Any, new: Any, path: str) -> Any:
        present = new if isinstance(new, dict) else {}
        items = {
            key: self.carry(value, present.get(key, _MISSING), f"{path}{key}/")
            for key, value in old.items()
        }
        if any(item is _MISSING for item in items.values()) or (
            present.keys() == items.keys()
            and all(present[key] is item for key, item in items.items())
        ):
            return new
        return items

    def _carry_sequence(self, old: Any, new: Any, path: str) -> Any:
        present = list(new) if isinstance(new, list | tuple) else []
        by_name = {x.name: x for x in present if objects.is_layer(x)}
        if len(by_name) == len(old) and (
            by_name.keys() == {x.name for x in old if objects.is_layer(x)}
        ):
            # Keras may list the layers of a graph in another order.
            present = [by_name[x.name] for x in old]
        filled = present + [_MISSING] * (len(old) - len(present))
        items = [
            self.carry(a, b, f"{path}{i}/")
            for i, (a, b) in enumerate(zip(old, filled, strict=False))
        ]
        if any(item is _MISSING for item in items) or (
            len(items) == len(present)
            and all(a is b for a, b in zip(items, present, strict=True))
        ):
            return new
        return tuple(items) if isinstance(old, tuple) else items


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, also of a layer that is built."""
    tracker = getattr(owner, "_tracker", None)
    locked = getattr(tracker, "locked", False)
    if tracker is not None and locked:
        tracker.unlock()
    try:
        setattr(owner, name, value)
    finally:
        if tracker is not None and locked:
            tracker.lock()


def _config(metric: Any) -> Any:
    """Return the config of a metric, without its automatic name."""
    try:
        return {**metric.get_config(), "name": None}
    except Exception:
        return None
