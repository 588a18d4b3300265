"""What is known of a model's losses."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_ext.doctor.facts.attempt import tried
from keras_ext.doctor.facts.own_losses import recognized
from keras_ext.taps import functions


class LossFacts(NamedTuple):
    """What is known of a loss.

    Attributes:
        name: The name of Keras's function; `None` for a custom loss, unless
            its values are those of a function of Keras.
        from_logits: Whether it takes logits.
        ignore_class: The label that it ignores, or `None`.
        function: Computes the loss from targets and predictions.
    """

    name: str | None = None
    from_logits: bool = False
    ignore_class: int | None = None
    function: Callable | None = None


def losses_of(model: Any, names: list[str]) -> list[LossFacts]:
    """Return the loss of each output of a compiled model.

    Args:
        model: A `keras.Model`.
        names: Its outputs' names, in Keras's order.
    """
    loss = model.loss if model.compiled else None
    if isinstance(loss, dict):
        if len(names) == 1 and len(loss) == 1:
            return [loss_facts(*loss.values())]
        return [loss_facts(loss.get(name)) for name in names]
    if isinstance(loss, list | tuple):
        if len(loss) != len(names):
            return [LossFacts() for _ in names]
        return [loss_facts(each) for each in loss]
    return [loss_facts(loss) for _ in names]


def loss_facts(loss: Any) -> LossFacts:
    """Return what is known of a name, a function or a `keras.losses.Loss`."""
    if loss is None or isinstance(loss, list | tuple | dict):
        return LossFacts()
    if isinstance(loss, str):
        loss = tried(lambda: keras.losses.get(loss), None)
        if loss is None:
            return LossFacts()
    known: dict[str, Any] = {}
    function = loss
    name: str | None
    while isinstance(function, functools.partial):
        known = function.keywords | known
        function = function.func
    if isinstance(function, keras.losses.Loss):
        known = tried(function.get_config, {}) | known
        name = _name_of_loss(type(function))
    else:
        name = getattr(function, "__name__", None)
    if functions.is_someones_own(
        type(function) if isinstance(function, keras.losses.Loss) else function
    ):
        unknown: tuple[str | None, bool] = None, False
        name, from_logits = tried(lambda: recognized(loss), unknown)
        return LossFacts(name, from_logits, None, loss)
    ignored = known.get("ignore_class")
    return LossFacts(
        name,
        bool(known.get("from_logits", False)),
        None if ignored is None else int(ignored),
        loss,
    )


def _name_of_loss(loss: type) -> str:
    """Return the name of the function of a Keras class."""
    if loss.__name__ == "KLDivergence":
        return "kl_divergence"
    letters = (f"_{x.lower()}" if x.isupper() else x for x in loss.__name__)
    return "".join(letters).lstrip("_")
