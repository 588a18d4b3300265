"""The state of a training step on JAX, as Keras's `fit` keeps it."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import jax


class Untracked(Sequence[Any]):
    """The arrays of a step's state, which Keras does not look through.

    After each step `fit` sets them as an attribute of the model. Of a list
    Keras then makes a `TrackedList`, and asks of each array whether it is a
    layer, a variable, a metric or a seed generator, which for a network of
    many small layers takes a tenth of a step. A sequence that is neither
    list nor tuple it leaves as it is.

    Args:
        arrays: A list of arrays.
    """

    def __init__(self, arrays: list[Any]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: Any) -> Any:
        return self.arrays[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.arrays)


def _listed(_: None, arrays: Any) -> Any:
    return list(arrays)


# A `fit` that was interrupted between `Tap.arm` and the step leaves the tap for
# one step of the next, whose other steps are the model's own: they get a list.
jax.tree_util.register_pytree_node(
    Untracked, lambda part: (part.arrays, None), _listed
)


def hidden(state: Any) -> Any:
    """Return the state with `Untracked` in place of its lists."""
    return tuple(Untracked(s) if type(s) is list else s for s in state)


def shown(state: Any) -> Any:
    """Return the state that `hidden` was given."""
    return tuple(s.arrays if type(s) is Untracked else s for s in state)
