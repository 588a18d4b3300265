"""The arithmetic of the gauges on JAX.

A network of many small layers must cost a few kernels in total, not a few for
each layer. So small tensors are joined and then reduced together, by a
product with ones: each `reduce` that XLA compiles for a CPU takes time to
compile, and slows down every call of the program.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from jax import lax, numpy as jnp

Tensor = Any

# Up to this size the number of kernels costs more, above it the copies do.
_SMALL = 1 << 14
# At most 127 flags are added as bytes; of longer columns, 16 at a time.
_BYTE, _FEW = 127, 16
# At most this many tensors are joined: the code for a longer list grows.
_MOST = 64


def norms(gradients: Sequence[tuple[Tensor | None, Any]]) -> Tensor:
    """See `tensorflow_kernels.norms`."""
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


def peaks(gradients: Sequence[tuple[Tensor | None, Any]]) -> Tensor:
    """See `tensorflow_kernels.peaks`."""
    found = []
    for gradient, scale in gradients:
        if gradient is None:
            found.append(jnp.zeros(()))
            continue
        peak = jnp.max(jnp.abs(gradient), initial=0).astype(jnp.float32)
        found.append(peak if scale is None else peak / scale)
    return jnp.stack(found)


def update_norms(weights: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """See `tensorflow_kernels.update_norms`."""
    changes = [
        after.astype(dtype) - before.astype(dtype)
        for dtype, before, after in (
            (jnp.promote_types(b.dtype, jnp.float32), b, a) for b, a in weights
        )
    ]
    return _norms(changes + [before for before, _ in weights])


def activity(points: Sequence[tuple[Sequence[Tensor], int]]) -> Tensor:
    """See `tensorflow_kernels.activity`."""
    alike: dict[Hashable, list[int]] = {}
    for i, (outputs, axis) in enumerate(points):
        x = outputs[0]
        alone = len(outputs) > 1 or x.size > _SMALL
        key = (x.shape, x.dtype, axis, i if alone else None)
        alike.setdefault(key, []).append(i)
    batches = [part for where in alike.values() for part in _parts(where)]
    shares = []
    for where in batches:
        outputs, axis = points[where[0]]
        if len(where) > 1:
            active = _activity([points[i][0][0] for i in where], axis)
        else:
            active = sum(_activity([x], axis) for x in outputs)
        entries = sum(x.size for x in outputs) // outputs[0].shape[axis]
        shares.append(active / entries)
    order = [i for where in batches for i in where]
    if order != sorted(order):
        single = [
            part
            for where, share in zip(batches, shares, strict=True)
            for part in jnp.split(share, len(where))
        ]
        shares = [single[i] for i in np.argsort(order)]
    return jnp.concatenate(shares)


def moments(
    points: Sequence[tuple[Sequence[Tensor], float | None, float | None]],
) -> Tensor:
    """See `tensorflow_kernels.moments`."""
    uses = [x for outputs, _, _ in points for x in outputs]
    point = [i for i, (outputs, _, _) in enumerate(points) for _ in outputs]
    sizes = np.zeros(len(points), np.float32)
    np.add.at(sizes, point, [x.size for x in uses])

    def shares(function: Callable[..., Tensor], *columns: Any) -> Tensor:
        sums = _sums(uses, function, *columns)
        if len(uses) > len(points):
            sums = jnp.zeros(len(points)).at[np.array(point)].add(sums)
        return sums / sizes

    infinite = float("inf")
    low = np.array([-infinite if a is None else a for _, a, _ in points])[point]
    high = np.array([infinite if b is None else b for _, _, b in points])[point]
    mean = shares(lambda x: x)
    variance = shares(lambda x, m: jnp.square(x - m), mean[np.array(point)])
    saturated = shares(lambda x, a, b: (x <= a) | (x >= b), low, high)
    return jnp.concatenate([mean, jnp.sqrt(variance), saturated])


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """Return L2 norms of entries of any magnitude.

    The function reads each tensor once. If a sum of squares leaves the range
    in which it is exact, as for vanished or exploded gradients, it reads the
    tensors again with scaled entries.
    """
    # XLA would multiply the constants of a gradient into the scale factor,
    # and leave the range.
    tensors = lax.optimization_barrier(tuple(tensors))
    dtype = jnp.result_type(jnp.float32, *tensors)
    wide = dtype == jnp.float64
    # The squares that underflow sum to less than a millionth of the square of
    # this limit, for up to 10^8 entries.
    smallest = 1e-147 if wide else 1e-12
    up = 2.0 ** (500 if wide else 80)
    ones = np.ones(len(tensors), dtype)

    def checked(sums: Tensor, factors: Any, left: Any) -> tuple[Tensor, ...]:
        norms = jnp.sqrt(sums) / factors
        factors = jnp.where(jnp.isfinite(norms), ones, 1.0 / up)
        factors = jnp.where(norms < smallest, up, factors).astype(dtype)
        missed = _dot(factors != 1.0, ones) > 0
        return norms, factors, jnp.where(missed, left, 0)

    def attempt(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        _, factors, left = state
        sums = _sums(tensors, lambda x, f: jnp.square(x * f), factors)
        return checked(sums, factors, left - 1)

    # A loop instead of branches: XLA compiles its body only once. Large
    # tensors have a first pass before it, which multiplies by no factor and
    # takes a third less time.
    start = jnp.zeros(len(tensors), dtype), jnp.asarray(ones), jnp.asarray(2)
    if any(x.size > _SMALL for x in tensors):
        start = checked(_sums(tensors, jnp.square), ones, start[2] - 1)
    return lax.while_loop(lambda state: state[2] > 0, attempt, start)[0]


def _activity(outputs: Sequence[Tensor], axis: int) -> Tensor:
    """Return how many entries of each unit of outputs of one shape fire."""
    units = outputs[0].shape[axis]
    # NaN is not equal to 0: a unit is dead only if its output is zero. XLA
    # writes the comparison to memory before it sums it. Bytes take a quarter
    # of the memory, and the sum of a few of them fits into a byte.
    active = [
        (jnp.moveaxis(x, axis, -1) != 0).astype(jnp.int8) for x in outputs
    ]
    stack = lax.concatenate([x.reshape(1, -1, units) for x in active], 0)
    rows = stack.shape[1]
    few = max(rows, 1)
    if rows > _BYTE:
        few = next(n for n in range(_FEW, 0, -1) if rows % n == 0)
    stack = lax.optimization_barrier(stack)
    stack = stack.reshape(len(outputs), few, -1, units)
    sums = lax.reduce(stack, np.int8(0), lax.add, (1,))
    if few < rows:
        sums = jnp.sum(lax.optimization_barrier(sums), 1, dtype=jnp.float32)
    return sums.astype(jnp.float32).reshape(-1)


def _sums(
    tensors: Sequence[Tensor],
    function: Callable[..., Tensor],
    *columns: Tensor,
) -> Tensor:
    """Return the sum of `function(entries, *arguments)` over each tensor.

    The arguments for a tensor are its entries of the `columns`.
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
    """Return the indices of the tensors that are measured together."""
    alike: dict[Hashable, list[int]] = {}
    for i, x in enumerate(tensors):
        alone = i if x.size > _SMALL else None
        alike.setdefault((x.size, x.dtype, alone), []).append(i)
    return [part for where in alike.values() for part in _parts(where)]


def _parts(where: list[int]) -> list[list[int]]:
    """Cut into parts of one length: XLA compiles equal shapes only once."""
    number = -(-len(where) // _MOST)
    return [list(part) for part in np.array_split(where, number)]


def _rows(tensors: Sequence[Tensor]) -> Tensor:
    return _wide(lax.concatenate([x.reshape(1, -1) for x in tensors], 0))


def _ordered(parts: Sequence[Tensor], order: Sequence[int]) -> Tensor:
    """Join the parts of a vector, and put entry `order[i]` back to `i`."""
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
