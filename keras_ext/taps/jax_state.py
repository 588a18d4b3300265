"""The state of a training step on JAX, between two steps of `fit`."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax


class Untracked(Sequence[Any]):
    """Arrays of a step's state that Keras does not search.

    After each step `fit` sets the state as an attribute of the model. Keras
    turns a list into a `TrackedList`, and checks whether each array is a
    layer, a variable, a metric or a seed generator. For a network of many
    small layers that takes a tenth of a step. Keras leaves a sequence alone
    that is neither a list nor a tuple.
    """

    def __init__(self, arrays: list[Any]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: Any) -> Any:
        return self.arrays[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.arrays)


def _as_list(_: None, arrays: Any) -> Any:
    return list(arrays)


# A `fit` that ends between `Tap.arm` and the step leaves the tap for one step
# of the next `fit`. The other steps are the model's own and need a list.
jax.tree_util.register_pytree_node(
    Untracked, lambda part: (part.arrays, None), _as_list
)


def hidden(state: Any) -> Any:
    """Return the state with `Untracked` in place of its lists."""
    return tuple(Untracked(s) if type(s) is list else s for s in state)


def shown(state: Any) -> Any:
    """Return the state with lists in place of `Untracked`."""
    return tuple(s.arrays if type(s) is Untracked else s for s in state)
