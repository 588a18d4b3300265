"""The arithmetic of the gauges on PyTorch."""

import functools
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

Tensor = Any

# Up to this size outputs are stacked and measured together: the calls cost
# more than the copies.
_SMALL = 1 << 14
# The largest number of entries in one sum.
_LONGEST_SUM = 1 << 18

# Outputs are measured together if they have the same shape, dtype and third
# entry.
Kind = tuple[torch.Size, torch.dtype, Any]


class NormEntry(NamedTuple):
    """The norm of one gradient or weight, as an entry of a vector of norms.

    Attributes:
        norms: The vector.
        place: The index of the entry.
        peak: The largest absolute entry of a gradient that the optimizer
            clips by value.
    """

    norms: Tensor
    place: int
    peak: Tensor | None = None


@torch.no_grad()
def norms(gradients: Sequence[tuple[NormEntry | None, None]]) -> Tensor:
    """See `tensorflow_kernels.norms`; the entries hold the norms already."""
    entries = [entry for entry, _ in gradients]
    vectors = {id(x.norms): x.norms for x in entries if x is not None}
    if not vectors:
        return torch.zeros(len(entries))
    starts, length = {}, 0
    for key, vector in vectors.items():
        starts[key] = length
        length += len(vector)
    values = next(iter(vectors.values()))
    if len(vectors) > 1 or None in entries:
        values = torch.cat([*vectors.values(), values.new_zeros(1)])
    order = tuple(
        length if x is None else starts[id(x.norms)] + x.place for x in entries
    )
    if order == tuple(range(len(values))):
        return values
    return values[_constant(order, values.device)]


def peaks(gradients: Sequence[tuple[NormEntry | None, None]]) -> Tensor:
    """See `tensorflow_kernels.peaks`; the entries hold the peaks already."""
    found = [None if entry is None else entry.peak for entry, _ in gradients]
    device = next((x.device for x in found if x is not None), None)
    zero = torch.zeros((), device=device)
    return torch.stack([zero if x is None else x for x in found])


@torch.no_grad()
def peak_of(gradient: Tensor) -> Tensor:
    """Return the largest absolute entry of a tensor, which may be sparse."""
    dense = _dense(gradient) if gradient.is_sparse else gradient
    if not dense.numel():
        return dense.new_zeros((), dtype=torch.float32)
    return dense.abs().max().float()


def update_norms(weights: Sequence[tuple[NormEntry, NormEntry]]) -> Tensor:
    """See `tensorflow_kernels.update_norms`, and `update_norms_of`."""
    changes = [(change, None) for change, _ in weights]
    lengths = [(length, None) for _, length in weights]
    return norms(changes + lengths)


@torch.no_grad()
def update_norms_of(
    before: list[Tensor], after: list[Tensor]
) -> list[tuple[NormEntry, NormEntry]]:
    """Return the norms of each weight's change and of its value before.

    The function overwrites the values before.
    """
    lengths = norms_of(before)
    torch._foreach_sub_(before, after)
    result = torch.cat([norms_of(before), lengths])
    n = len(lengths)
    return [(NormEntry(result, i), NormEntry(result, n + i)) for i in range(n)]


@torch.no_grad()
def norms_of(tensors: Sequence[Tensor]) -> Tensor:
    """Return L2 norms of entries of any magnitude.

    The function reads each tensor once. If squares leave the range in which
    they are exact, as for vanished or exploded gradients, it reads the tensor
    again with scaled entries. On a GPU that check would wait for the device,
    so the function sums in float64 at once.

    Returns:
        A vector of float32, or of float64 if a tensor is.
    """
    dense = [_dense(x) if x.is_sparse else x for x in tensors]
    dtypes = {x.dtype for x in dense}
    wide = torch.float64 in dtypes
    dtype = torch.float64 if wide else torch.float32
    if dense[0].is_cuda:
        sums = torch._foreach_norm(dense, 2, dtype=torch.float64)
        return torch.stack(sums).to(dtype)
    if dtypes != {dtype}:
        dense = [x.to(dtype) for x in dense]
    result = torch.stack(_norms(dense))
    # The squares that underflow sum to less than a millionth of the square of
    # this limit, for up to 10^8 entries.
    smallest = 1e-147 if wide else 1e-12
    for i, norm in enumerate(result.tolist()):
        if not smallest <= norm < math.inf:
            result[i] = _rescaled_norm(dense[i])
    return result


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the L2 norms of tensors whose squares are in range.

    PyTorch's norm of 10^8 entries is wrong by a hundredth, because it uses
    too few partial sums. A dot product is exact for longer, and faster.
    """
    small = [x for x in tensors if x.numel() <= _SMALL]
    norms = iter(torch._foreach_norm(small, 2) if small else ())
    return [
        next(norms) if x.numel() <= _SMALL else _norm_of_large(x)
        for x in tensors
    ]


def _norm_of_large(x: Tensor) -> Tensor:
    flat = x.reshape(-1)
    if len(flat) <= _LONGEST_SUM:
        return torch.dot(flat, flat).sqrt()
    parts = flat.split(_LONGEST_SUM)
    squares = [torch.dot(part, part) for part in parts]
    return torch.stack(squares).sum().sqrt()


def _rescaled_norm(x: Tensor) -> Tensor:
    if not x.numel():
        return x.new_zeros(())
    largest = x.abs().max()
    if not 0 < largest < math.inf:
        return largest  # zero, infinite or NaN
    return largest * _norms([x / largest])[0]


def _dense(gradient: Tensor) -> Tensor:
    """Return the sums over the rows of a sparse gradient with one index."""
    return gradient.coalesce().values()


@torch.no_grad()
def activity(points: Sequence[tuple[Sequence[Tensor], int]]) -> Tensor:
    """See `tensorflow_kernels.activity`."""
    uses = [x for outputs, _ in points for x in outputs]
    kinds = _kinds(uses, [axis for outputs, axis in points for _ in outputs])
    counts = tuple(len(outputs) for outputs, _ in points)
    found = [
        (where, _active(stacked, axis + 1))
        for where, stacked, axis in _stacked(uses, kinds)
    ]
    if len(found) == 1 and len(uses) == len(points):
        active = found[0][1].flatten()
    else:
        active = _by_point(found, counts)
    return active / _entries(kinds, counts, active.device)


def _by_point(
    found: Sequence[tuple[Sequence[int], Tensor]], counts: Sequence[int]
) -> Tensor:
    """Return the sums over the uses of each point, point after point."""
    rows = {
        i: row
        for where, stacked in found
        for i, row in zip(where, stacked.unbind(), strict=True)
    }
    uses = iter(range(len(rows)))
    sums = [
        functools.reduce(torch.add, [rows[next(uses)] for _ in range(count)])
        for count in counts
    ]
    return torch.cat(sums)


@functools.lru_cache(maxsize=32)
def _entries(
    kinds: Sequence[Kind], counts: Sequence[int], device: torch.device
) -> Tensor:
    """Return the number of entries of each unit of each point."""
    uses = iter(kinds)
    units, entries = [], []
    for count in counts:
        shapes = [next(uses) for _ in range(count)]
        shape, _, axis = shapes[0]
        units.append(shape[axis])
        entries.append(sum(math.prod(s) for s, _, _ in shapes) / shape[axis])
    return torch.tensor(entries, device=device)[_segments(tuple(units), device)]


def _active(stacked: Tensor, axis: int) -> Tensor:
    """Return how many entries of each unit of each output are not zero."""
    # NaN is not equal to 0: a unit is dead only if its output is zero.
    active = torch.ne(
        stacked, 0, out=torch.empty_like(stacked, dtype=torch.float32)
    )
    if axis == active.ndim - 1 and active.is_contiguous():
        rows = active.flatten(1, -2)  # much faster than a sum over rows
        return torch.matmul(rows.new_ones(rows.shape[1]), rows)
    return active.sum([i for i in range(1, active.ndim) if i != axis])


@torch.no_grad()
def moments(
    points: Sequence[tuple[Sequence[Tensor], float | None, float | None]],
) -> Tensor:
    """See `tensorflow_kernels.moments`."""
    uses = [x for outputs, _, _ in points for x in outputs]
    limits = [(low, high) for xs, low, high in points for _ in xs]
    found = []
    order: list[int] = []
    for where, stacked, (low, high) in _stacked(uses, _kinds(uses, limits)):
        order += where
        found.append(_moments(stacked.flatten(1).float(), low, high))
    columns = torch.cat(found, 1)
    device = columns.device
    if order != sorted(order):
        columns[:, _constant(tuple(order), device)] = columns.clone()
    if len(uses) > len(points):
        columns = _pooled(columns, [[x.numel() for x in s[0]] for s in points])
    mean, variance, saturated = columns
    return torch.cat([mean, variance.sqrt(), saturated])


def _moments(x: Tensor, low: float | None, high: float | None) -> Tensor:
    """Return mean, variance and saturated share of each row."""
    mean = x.mean(1)
    # About ten times as fast as `torch.var_mean`.
    spread = x - mean[:, None]
    if len(x) == 1:
        deviation = torch.stack(_norms([spread]))
    else:
        deviation = torch.linalg.vector_norm(spread, dim=1)
    variance = deviation.square() / x.shape[1]
    saturated = torch.zeros_like(mean)
    if low is not None:
        saturated += torch.le(x, low, out=torch.empty_like(x)).mean(1)
    if high is not None:
        saturated += torch.ge(x, high, out=torch.empty_like(x)).mean(1)
    return torch.stack([mean, variance, saturated])


def _pooled(columns: Tensor, sizes: Sequence[Sequence[int]]) -> Tensor:
    """Return the columns of points, from the columns of their uses."""
    segments = _segments(tuple(map(len, sizes)), columns.device)
    weights = _constant(
        tuple(n / sum(use) for use in sizes for n in use), columns.device
    )

    def pool(rows: Tensor) -> Tensor:
        zeros = rows.new_zeros(len(rows), len(sizes))
        return zeros.index_add_(1, segments, rows * weights)

    mean, variance, saturated = columns
    means = pool(mean[None])[0]
    spread = variance + (mean - means[segments]).square()
    return torch.cat([means[None], pool(torch.stack([spread, saturated]))])


def _kinds(
    outputs: Sequence[Tensor], details: Sequence[Hashable]
) -> tuple[Kind, ...]:
    pairs = zip(outputs, details, strict=True)
    return tuple([(x.shape, x.dtype, detail) for x, detail in pairs])


def _stacked(
    outputs: Sequence[Tensor], kinds: tuple[Kind, ...]
) -> Iterator[tuple[Sequence[int], Tensor, Any]]:
    """Yield indices, stack and third entry of the kind of similar outputs."""
    for where in _batches(kinds):
        if len(where) == 1:
            stacked = outputs[where[0]][None]
        else:
            stacked = torch.stack([outputs[i] for i in where])
        yield where, stacked, kinds[where[0]][2]


@functools.lru_cache(maxsize=32)
def _batches(kinds: tuple[Kind, ...]) -> list[list[int]]:
    batches: dict[Any, list[int]] = {}
    for i, kind in enumerate(kinds):
        alone = i if math.prod(kind[0]) > _SMALL else None
        batches.setdefault((kind, alone), []).append(i)
    return list(batches.values())


@functools.lru_cache(maxsize=32)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


@functools.lru_cache(maxsize=32)
def _segments(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return `[0] * lengths[0] + [1] * lengths[1] + …`."""
    index = [i for i, length in enumerate(lengths) for _ in range(length)]
    return torch.tensor(index, device=device)
