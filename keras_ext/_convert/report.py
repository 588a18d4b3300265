"""What a conversion has swapped, left alone and lost."""

import textwrap
from collections import Counter
from typing import Any

import keras

from keras_ext._convert.counterparts import MODULES


class Report:
    """Collects what a conversion does, in the order in which it happens."""

    def __init__(self) -> None:
        self.swapped: Counter[Any] = Counter()
        self.left: Counter[tuple[str, str]] = Counter()
        self.lost: list[str] = []
        self.unsaved: Counter[str] = Counter()

    def leave(self, thing: Any, why: str | Exception) -> None:
        """Note that a component stays as it is.

        Args:
            thing: A function, or an object of a class.
            why: The reason.
        """
        name = getattr(thing, "__name__", type(thing).__name__)
        self.left[name, brief(why)] += 1

    def lose(self, where: str, why: str | Exception) -> None:
        """Note that the new model lacks something.

        Args:
            where: Path of an attribute, or an argument of `compile`.
            why: The reason.
        """
        line = f"{where} ({brief(why)})"
        if line not in self.lost:
            self.lost.append(line)

    def compare_saved(self, config: Any) -> None:
        """Note the layers that a saved model loads as built-ins again.

        Args:
            config: The config of the model before its conversion.
        """
        saved: Counter[str] = Counter()
        _count_layers(config, saved)
        self.unsaved = Counter(
            {
                thing.__name__: number
                for thing, number in self.swapped.items()
                if isinstance(thing, type)
                and issubclass(thing, keras.layers.Layer)
            }
        )
        self.unsaved -= saved

    def __str__(self) -> str:
        lines = []
        for kind, module in MODULES.items():
            public = {id(thing) for thing in vars(module).values()}
            numbers = {
                thing.__name__: number
                for thing, number in self.swapped.items()
                if id(thing) in public
            }
            if numbers:
                lines.append(f"{kind}: {_listed(numbers)}")
        lines = lines or ["nothing to swap"]
        for why in dict.fromkeys(why for _, why in self.left):
            names = {n: self.left[n, w] for n, w in self.left if w == why}
            lines.append(f"left alone: {_listed(names)} ({why})")
        if self.unsaved:
            lines.append(
                f"built-ins again in a saved model: {_listed(self.unsaved)} "
                "(made in a constructor)"
            )
        lines += [f"lost: {line}" for line in self.lost]
        return "\n".join(lines)


def brief(why: str | Exception, width: int = 120) -> str:
    """Return a reason, or the innermost message of Keras, in one line."""
    # Keras puts the configs of outer objects before it.
    message = str(why).rpartition("Exception encountered: ")[2]
    return textwrap.shorten(message, width, placeholder=" …")


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(numbers.items()))


def _count_layers(config: Any, saved: Counter[str]) -> None:
    """Count the built-in layers in a config."""
    if isinstance(config, dict):
        if config.get("module") == "keras.layers":
            saved[config["class_name"]] += 1
        for value in config.values():
            _count_layers(value, saved)
    elif isinstance(config, list):
        for value in config:
            _count_layers(value, saved)
