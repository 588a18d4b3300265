"""The arithmetic of the gauges, on JAX.

A network of many small layers shall cost a few kernels and not a few per
layer. So small tensors are joined and then reduced together, by a product
with ones: each `reduce` that XLA compiles for a CPU takes time to compile
and makes every call of the program dearer.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from jax import lax
from jax import numpy as jnp

Tensor = Any

# Entries up to which the number of kernels counts, and above which copying
# them does.
_SMALL = 1 << 14
# Flags that are added up as bytes, at most 127.
_FEW = 16
# Tensors that are joined at most: what XLA makes of a longer list grows.
_MOST = 64


def norms(
    gradients: Sequence[tuple[Tensor | None, Any]], compiled: bool
) -> Tensor:
    """Return the L2 norm of each gradient, divided by its scale.

    Args:
        gradients: Pairs of a gradient (`None` counts as zero), and the
            factor by which it is too large, or `None`.
        compiled: Makes no difference here.

    Returns:
        A vector of float32, or of float64 if a gradient is.
    """
    tensors = [g for g, _ in gradients if g is not None]
    if not tensors:
        return jnp.zeros(len(gradients))
    result = _norms(tensors)
    if len(tensors) < len(gradients):
        there = [i for i, (g, _) in enumerate(gradients) if g is not None]
        zeros = jnp.zeros(len(gradients), result.dtype)
        result = zeros.at[jnp.array(there)].set(result)
    scales = [scale for _, scale in gradients]
    if all(scale is None for scale in scales):
        return result
    ones = [1.0 if scale is None else scale for scale in scales]
    return result / jnp.stack([jnp.asarray(s, result.dtype) for s in ones])


def peaks(
    gradients: Sequence[tuple[Tensor | None, Any]], compiled: bool
) -> Tensor:
    """Return the largest absolute entry of each gradient.

    Args:
        gradients: See `norms`.
        compiled: Makes no difference here.

    Returns:
        A float32 vector.
    """
    found = []
    for gradient, scale in gradients:
        if gradient is None:
            found.append(jnp.zeros(()))
            continue
        peak = jnp.max(jnp.abs(gradient), initial=0).astype(jnp.float32)
        found.append(peak if scale is None else peak / scale)
    return jnp.stack(found)


def update_norms(
    weights: Sequence[tuple[Tensor, Tensor]], compiled: bool
) -> Tensor:
    """Return how far each weight moved, and how large it was.

    Args:
        weights: Pairs of values before and after the update.
        compiled: Makes no difference here.

    Returns:
        A vector of float32, or of float64 if a weight is: for each weight
        the L2 norm of its change, then for each the L2 norm of its value
        before.
    """
    changes = [
        after.astype(dtype) - before.astype(dtype)
        for dtype, before, after in (
            (jnp.promote_types(b.dtype, jnp.float32), b, a) for b, a in weights
        )
    ]
    return _norms(changes + [before for before, _ in weights])


def activity(
    sites: Sequence[tuple[Sequence[Tensor], int]], compiled: bool
) -> tuple[Tensor, Tensor]:
    """Return which units of each ReLU fire, and how many outputs are zero.

    Args:
        sites: For each ReLU the outputs of its uses, and the axis of its
            units.
        compiled: Makes no difference here.

    Returns:
        A float32 vector: for each ReLU the share of units that fired for no
        input, then for each the share of zeros. And one flag for each unit
        of each ReLU: whether it fired.
    """
    alike: dict[Hashable, list[int]] = {}
    for i, (outputs, axis) in enumerate(sites):
        x = outputs[0]
        alone = len(outputs) > 1 or x.size > _SMALL or axis != x.ndim - 1
        key = (x.shape, x.dtype, i if alone else None)
        alike.setdefault(key, []).append(i)
    dead, zero, fired = [], [], []
    batches = [part for where in alike.values() for part in _parts(where)]
    for where in batches:
        outputs, axis = sites[where[0]]
        if len(where) > 1:
            active = _joint_activity([sites[i][0][0] for i in where])
        else:
            active = sum(_activity(x, axis) for x in outputs)[None]
        units = np.ones(active.shape[1])
        entries = sum(x.size for x in outputs)
        dead.append(1.0 - _dot(active != 0, units) / len(units))
        zero.append(1.0 - _dot(active, units) / entries)
        fired.append(active != 0)
    order = [i for where in batches for i in where]
    row = jnp.concatenate([_ordered(dead, order), _ordered(zero, order)])
    if order != sorted(order):
        single = [f for part in fired for f in part]
        fired = [single[i] for i in np.argsort(order)]
    return row, jnp.concatenate([f.reshape(-1) for f in fired])


def moments(
    sites: Sequence[tuple[Sequence[Tensor], float | None, float | None]],
    compiled: bool,
) -> Tensor:
    """Return mean, standard deviation and saturation of outputs.

    Args:
        sites: For each site the outputs of its uses, and the limits at and
            beyond which an entry counts as saturated; `None` for no limit.
        compiled: Makes no difference here.

    Returns:
        A float32 vector: for each site the mean of its entries, then for
        each their standard deviation, then for each the share of entries
        that are saturated.
    """
    uses = [x for outputs, _, _ in sites for x in outputs]
    site = [i for i, (outputs, _, _) in enumerate(sites) for _ in outputs]
    sizes = np.zeros(len(sites), np.float32)
    np.add.at(sizes, site, [x.size for x in uses])

    def shares(function: Callable[..., Tensor], *columns: Any) -> Tensor:
        sums = _sums(uses, function, *columns)
        if len(uses) > len(sites):
            sums = jnp.zeros(len(sites)).at[np.array(site)].add(sums)
        return sums / sizes

    infinite = float("inf")
    low = np.array([-infinite if a is None else a for _, a, _ in sites])[site]
    high = np.array([infinite if b is None else b for _, _, b in sites])[site]
    mean = shares(lambda x: x)
    variance = shares(lambda x, m: jnp.square(x - m), mean[np.array(site)])
    saturated = shares(lambda x, a, b: (x <= a) | (x >= b), low, high)
    return jnp.concatenate([mean, jnp.sqrt(variance), saturated])


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """Return L2 norms, in whatever range the entries are.

    One pass over each tensor. Where a sum of squares leaves the range in
    which it is exact, as in a network whose gradients have vanished or
    exploded, there is a second one, with larger or smaller entries.
    """
    # XLA would multiply what is constant in a gradient, out of range.
    tensors = lax.optimization_barrier(tuple(tensors))
    dtype = jnp.result_type(jnp.float32, *tensors)
    wide = dtype == jnp.float64
    # Squares of entries that underflow add up to less than a millionth of
    # this, for up to 10^8 entries.
    smallest = 1e-294 if wide else 1e-24
    power = 2.0 ** (500 if wide else 80)

    def attempt(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tries, factor, _ = state
        squares = _sums(tensors, lambda x, f: jnp.square(x * f), factor)
        exact = (squares >= smallest) & jnp.isfinite(squares)
        again = jnp.where(squares < 1.0, power, 1.0 / power).astype(dtype)
        norms = jnp.sqrt(squares) / factor
        inexact = _dot(~exact, np.ones(len(tensors))) > 0
        tries = jnp.where(inexact, tries + 1, 2)
        return tries, jnp.where(exact, factor, again), norms

    ones = jnp.ones(len(tensors), dtype)
    start = jnp.zeros((), "int32"), ones, ones
    # A loop and not a branch: XLA compiles the pass only once.
    return lax.while_loop(lambda state: state[0] < 2, attempt, start)[2]


def _activity(output: Tensor, axis: int) -> Tensor:
    """Return for each unit how many of its outputs are not zero."""
    output = jnp.moveaxis(output, axis, -1)
    # NaN compares unequal: a unit is dead only if it is zero. XLA writes down
    # what was compared before it adds it up: a quarter as much in bytes,
    # whose sums of a few fit into a byte as well.
    active = (output != 0).astype(jnp.int8).reshape(-1, output.shape[-1])
    rows = len(active)
    few = next((n for n in range(_FEW, 0, -1) if rows % n == 0), 1)
    active = lax.optimization_barrier(active).reshape(few, rows // few, -1)
    sums = lax.reduce(active, np.int8(0), lax.add, (0,))
    sums = lax.optimization_barrier(sums)
    return jnp.sum(sums, 0, dtype=jnp.float32)


def _joint_activity(outputs: Sequence[Tensor]) -> Tensor:
    """Return `_activity` of outputs of one shape, units last."""
    units = outputs[0].shape[-1]
    wide = lax.concatenate([x.reshape(-1, units) for x in outputs], 1)
    return _dot(np.ones(len(wide)), wide != 0).reshape(-1, units)


def _sums(
    tensors: Sequence[Tensor],
    function: Callable[..., Tensor],
    *columns: Tensor,
) -> Tensor:
    """Return the sum over the entries of each tensor, after a function.

    Args:
        tensors: What is summed up.
        function: Is applied to the entries.
        columns: Further arguments of it, one vector for each, with one entry
            for each tensor.

    Returns:
        A vector of float32, or of float64 if a tensor is.
    """
    batches = _batches(tensors)
    sums = []
    for where in batches:
        if tensors[where[0]].size > _SMALL:
            x = _wide(tensors[where[0]])
            y = function(x, *(column[where[0]] for column in columns))
            sums.append(jnp.sum(y, dtype=x.dtype)[None])
            continue
        rows = _rows([tensors[i] for i in where])
        rest = [column[np.array(where)][:, None] for column in columns]
        sums.append(_dot(function(rows, *rest), np.ones(rows.shape[1])))
    return _ordered(sums, [i for where in batches for i in where])


def _batches(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Return the indices of what is measured together."""
    alike: dict[Hashable, list[int]] = {}
    for i, x in enumerate(tensors):
        alone = i if x.size > _SMALL else None
        alike.setdefault((x.size, x.dtype, alone), []).append(i)
    return [part for where in alike.values() for part in _parts(where)]


def _parts(where: list[int]) -> list[list[int]]:
    """Cut in parts of one length: XLA compiles what is alike only once."""
    number = -(-len(where) // _MOST)
    return [list(part) for part in np.array_split(where, number)]


def _rows(tensors: Sequence[Tensor]) -> Tensor:
    return _wide(lax.concatenate([x.reshape(1, -1) for x in tensors], 0))


def _ordered(parts: Sequence[Tensor], order: Sequence[int]) -> Tensor:
    """Join the parts of a vector whose entries stand in another order."""
    joined = jnp.concatenate(parts)
    if list(order) == sorted(order):
        return joined
    return joined[np.argsort(order)]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _dot(a: Any, b: Any) -> Tensor:
    """Return the product of a matrix and a NumPy vector."""
    matrix = b if isinstance(a, np.ndarray) else a
    dtype = jnp.float64 if matrix.dtype == jnp.float64 else jnp.float32
    a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
    return jnp.matmul(a, b, precision="highest")
