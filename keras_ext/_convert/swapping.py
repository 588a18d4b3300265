"""Replacing the objects that hold no state, and noting what is left alone."""

import inspect
from typing import Any

import keras

from keras_ext._convert import counterparts, objects
from keras_ext._convert.report import Report

_KINDS = (
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.losses.Loss,
    keras.optimizers.schedules.LearningRateSchedule,
)


class Swapping:
    """Replaces built-ins by their counterparts.

    Args:
        report: Notes what is swapped and left alone.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._replaced: dict[int, tuple[Any, Any]] = {}

    def holds_no_state(self, value: Any) -> bool:
        """Return whether a model and its twin can share an object."""
        return isinstance(value, _KINDS) and not any(
            map(objects.is_variable, objects.attributes(value).values())
        )

    def replace(self, value: Any) -> Any:
        """Return the counterpart of an object, or the object if it has none.

        Args:
            value: A function, or an object that holds no state.
        """
        if inspect.isfunction(value):
            ours = counterparts.counterpart(value)
            if ours is None:
                return value
            self.report.swapped[ours] += 1
            return ours
        if id(value) not in self._replaced:
            # With the value, so that no other gets its identity.
            self._replaced[id(value)] = value, self._replacement(value)
        return self._replaced[id(value)][1]

    def _replacement(self, value: Any) -> Any:
        if counterparts.counterpart(value) is not None:
            try:
                new = counterparts.remake(value)
            except Exception as error:
                self.report.leave(value, error)
                return value
            self.report.swapped[type(new)] += 1
            return new
        self.note_subclass(value)
        if not counterparts.is_keras(type(value)):
            for part in objects.attributes(value).values():
                if counterparts.counterpart(part) is not None:
                    self.report.leave(part, f"inside {type(value).__name__}")
        return value

    def note_subclass(self, value: Any) -> None:
        """Note that an object stays, if a person's class extends a built-in."""
        base = counterparts.builtin_base(type(value))
        if base is not None:
            self.report.leave(value, f"subclass of {base.__name__}")

    def compare_layers(self, old: Any, new: Any) -> None:
        """Note whether a layer was swapped while the model was loaded.

        Raises:
            ValueError: If the new layer is of another class.
        """
        ours = counterparts.counterpart(old)
        if ours is not None and type(new) is ours:
            self.report.swapped[ours] += 1
        elif not objects.is_same_class(old, new):
            raise ValueError(
                "`model` must hold the layers that Keras loads again. Classes "
                "of one name need different registered names. Received: layer "
                f"'{old.name}' of {type(old)}, which becomes one of {type(new)}"
            )
        elif ours is None:
            self.note_subclass(old)
        else:
            try:
                ours.from_config({**old.get_config(), "name": "trial"})
                self.report.leave(old, "not made by its constructor")
            except Exception as error:
                self.report.leave(old, error)

    def is_fused(self, layer: Any, value: Any) -> bool:
        """Return whether Keras has a fused kernel for a cell's activation.

        Keras chooses these kernels by the identity of its own functions.
        """
        cells = keras.layers.LSTMCell, keras.layers.GRUCell
        functions = keras.activations.tanh, keras.activations.sigmoid
        found = isinstance(layer, cells) and any(x is value for x in functions)
        if found:
            self.report.leave(value, "for the fused kernels of Keras")
        return found
