"""Finding clipped and skipped steps from the norms of gradients."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def skipped(norms: np.ndarray, optimizers: Sequence[Any]) -> np.ndarray | None:
    """Return which steps loss scaling skips, `None` without loss scaling.

    Args:
        norms: Norms of gradients before clipping, of shape
            `(steps, variables)`.
        optimizers: For each variable the optimizer that receives its
            gradient, or `None`.
    """
    scaled = [
        isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        for optimizer in optimizers
    ]
    if not any(scaled):
        return None
    return ~np.isfinite(norms[:, scaled]).all(axis=1)


def clipped(
    norms: np.ndarray, optimizers: Sequence[Any], peaks: np.ndarray
) -> np.ndarray | None:
    """Return which steps clip a gradient, `None` if no optimizer clips.

    `peaks` are the largest absolute entries of the gradients, in the shape of
    the norms. It may be empty if no optimizer clips by value.
    """
    found = []
    for optimizer in {id(o): o for o in optimizers if o is not None}.values():
        own = [i for i, o in enumerate(optimizers) if o is optimizer]
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        if optimizer.gradient_accumulation_steps:
            continue  # the optimizer clips the sum over several steps
        if optimizer.clipnorm:
            found.append((norms[:, own] > optimizer.clipnorm).any(axis=1))
        elif optimizer.global_clipnorm:
            whole = np.sqrt(np.square(norms[:, own]).sum(axis=1))
            found.append(whole > optimizer.global_clipnorm)
        elif optimizer.clipvalue:
            found.append((peaks[:, own] > optimizer.clipvalue).any(axis=1))
    return np.any(found, axis=0) if found else None
