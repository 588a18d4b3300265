"""Layer kernels of PyTorch."""

from typing import Any

import torch

Tensor = Any

# From this size on PyTorch uses several threads.
_LARGE = 2**15


def normalize_batch(
    x: Tensor,
    axis: int,
    gamma: Tensor | None,
    beta: Tensor | None,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize large tensors by PyTorch's own kernel.

    The formula is faster for small tensors. The form here never gives a
    negative variance.
    """
    axis %= x.ndim
    channels = x.shape[axis]
    size = x.numel() // max(channels, 1)
    if size > 1 and x.numel() >= _LARGE:
        mean = torch.zeros(channels, dtype=x.dtype, device=x.device)
        variance = torch.zeros_like(mean)
        # With a momentum of 1 the moving averages are the batch's statistics.
        y = torch.batch_norm(
            x.movedim(axis, 1),
            gamma,
            beta,
            mean,
            variance,
            True,
            1.0,
            epsilon,
            torch.backends.cudnn.enabled,
        )
        return y.movedim(1, axis), mean, variance * ((size - 1) / size)

    axes = [i for i in range(x.ndim) if i != axis]
    shape = [1] * x.ndim
    shape[axis] = channels
    variance, mean = torch.var_mean(x, axes, correction=0)
    scale = torch.rsqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    y = (x - mean.view(shape)) * scale.view(shape)
    if beta is not None:
        y = y + beta.view(shape)
    return y, mean.detach(), variance.detach()
