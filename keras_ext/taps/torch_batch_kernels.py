"""The arithmetic of `BatchGauge` on PyTorch: `batch_kernels.py`, but faster.

PyTorch runs each call at once, so few calls and few copies count.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

Tensor = Any


@torch.no_grad()
def batch_summary(tensors: Sequence[Tensor]) -> Tensor:
    """See `keras_ext.taps.batch_kernels.batch_summary`."""
    flat = [x.reshape(-1) for x in tensors]
    x = flat[0] if len(flat) == 1 else torch.cat(flat)
    # Much faster than `torch.isfinite`. NaN compares as false.
    mask = (x.abs() < math.inf).float()
    number = mask.sum().clamp(min=1)
    clean = _clean(x)
    low, high = clean.aminmax()
    mean = clean.sum() / number
    spread = torch.addcmul(clean, mask, mean, value=-1)
    return torch.stack(
        [
            low,
            high,
            mean,
            (spread.square_().sum() / number).sqrt(),
            mask.neg_().add_(1).mean(),
            clean.sub_(clean.round()).abs_().mean(),
        ]
    )


@torch.no_grad()
def feature_scales(x: Tensor) -> Tensor:
    """See `keras_ext.taps.batch_kernels.feature_scales`."""
    rows = _clean(x.reshape(-1, x.shape[-1]))
    return rows.square_().mean(0).sqrt()


@torch.no_grad()
def spread_over_samples(x: Tensor) -> Tensor:
    """See `keras_ext.taps.batch_kernels.spread_over_samples`."""
    return (x - x.mean(0)).square_().mean().sqrt()


@torch.no_grad()
def class_shares(x: Tensor, classes: int) -> Tensor:
    """See `keras_ext.taps.batch_kernels.class_shares`."""
    if x.ndim > 1 and x.shape[-1] == classes > 1:
        return x.reshape(-1, classes).mean(0)
    number = x.reshape(-1).long()
    known = (number >= 0) & (number < classes)
    counts = x.new_zeros(classes)
    counts.index_add_(0, torch.where(known, number, 0), known.float())
    return counts / len(number)


def _clean(x: Tensor) -> Tensor:
    """Return a copy with zeros for entries that are not finite."""
    return torch.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
