"""Questions about the objects that a model holds."""

import collections
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

# Lists in which Keras tracks what a layer holds.
TRACKED = (
    *("_layers", "_trainable_variables", "_non_trainable_variables"),
    *("_metrics", "_seed_generators"),
)
# What `fit` and its callbacks add to a model.
_OF_FIT = ("history", "stop_training", "stop_evaluating", "stop_predicting")


def attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes of an object, layers among them."""
    held = getattr(thing, "__dict__", {})
    # Where PyTorch keeps layers.
    return {**held, **(held.get("_modules") or {})}


def layers_of(model: Any) -> list[Any]:
    """Return a model and its layers of any depth, each once."""
    # Keras lists a shared layer once for each use.
    return list({id(x): x for x in model._flatten_layers()}.values())


def parts(root: Any) -> Iterator[Any]:
    """Yield an object, and all functions and Keras objects that it holds."""
    seen: set[int] = set()
    queue = collections.deque([root])
    while queue:
        thing = queue.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            queue.extend(thing.values())
        elif isinstance(thing, list | tuple | set):
            queue.extend(thing)
        elif inspect.isroutine(thing) or inspect.isclass(thing):
            yield thing
        elif hasattr(thing, "get_config"):
            yield thing
            queue.extend(attributes(thing).values())


def contains(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Return whether something holds for a value, or for one inside it."""
    if isinstance(value, dict):
        return any(contains(item, holds) for item in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(contains(item, holds) for item in value)
    return holds(value)


def is_layer(value: Any) -> bool:
    """Return whether a value is a layer or model."""
    return isinstance(value, keras.layers.Layer)


def is_variable(value: Any) -> bool:
    """Return whether a value is a variable of Keras."""
    return isinstance(value, keras.Variable)


def is_optimizer(value: Any) -> bool:
    """Return whether a value is an optimizer."""
    return isinstance(value, keras.optimizers.Optimizer)


def is_component(value: Any) -> bool:
    """Return whether a value is something that a model consists of."""
    return (
        inspect.isfunction(value)
        or is_variable(value)
        or hasattr(value, "get_config")
    )


def is_array(value: Any) -> bool:
    """Return whether a value is an array or tensor, but no variable."""
    if isinstance(value, np.ndarray):
        return True
    has_values = not isinstance(value, keras.KerasTensor)
    is_tensor = hasattr(value, "shape") and hasattr(value, "dtype")
    return has_values and is_tensor and not hasattr(value, "assign")


def refers_to(thing: Any, wanted: set[int], depth: int = 5) -> bool:
    """Return whether an object or function refers to one of some objects.

    Args:
        thing: The object.
        wanted: Identities of the others.
        depth: Number of references to follow.
    """
    if id(thing) in wanted:
        return True
    if depth == 0 or inspect.ismodule(thing) or inspect.isclass(thing):
        return False
    if isinstance(thing, dict):
        held = list(thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        held = list(thing)
    else:
        held = [*attributes(thing).values()]
        held += [getattr(thing, x, None) for x in ("__self__", "__wrapped__")]
        for cell in getattr(thing, "__closure__", None) or ():
            try:
                held.append(cell.cell_contents)
            except ValueError:  # A cell that is not filled yet.
                continue
    return any(refers_to(item, wanted, depth - 1) for item in held)


def is_same_class(old: Any, new: Any) -> bool:
    """Return whether two objects are of one class.

    A notebook may define a class again.
    """
    a, b = type(old), type(new)
    return (a.__module__, a.__qualname__) == (b.__module__, b.__qualname__)


@functools.cache
def names_of_keras() -> frozenset[str]:
    """Return the attributes that Keras gives to every layer and model."""
    # Named, so that no automatic names are used up.
    x = keras.Input((1,), name="input")
    layer = keras.layers.Dense(1, name="layer")
    functional = keras.Model(x, layer(x), name="functional")
    functional.compile(optimizer=None)
    sequential = keras.Sequential(name="sequential")
    plain = keras.layers.Layer(name="plain")
    names = {*_OF_FIT, *TRACKED}
    for thing in (functional, sequential, plain):
        names |= set(attributes(thing))
    # What a person can set.
    return frozenset(names - {"activity_regularizer", "optimizer"})
