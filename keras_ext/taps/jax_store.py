"""Keeping rows of numbers on the device, on JAX."""

from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from keras_ext.taps.sampling import Sampling

# Rows that are kept on the device before the host fetches them.
ROWS = 256


class Store:
    """Keeps one row for each sampled step, and flags for each epoch.

    What a step returns stays where it is, on the device, until it is taken.
    Flags are kept as bits, since each row has its own.

    Args:
        sampling: In which steps a row is written.
        steps_per_execution: Steps that run without coming back to the host.
    """

    def __init__(self, sampling: Sampling, steps_per_execution: int):
        self._number_of_flags = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget what was written."""
        self._steps: list[int] = []
        self._rows: list[Any] = []
        self._bits: Any = 0

    def is_full(self, steps: int) -> bool:
        """Return whether the rows of so many steps should be taken now."""
        return len(self._rows) >= ROWS

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Fetch the rows written since the last call.

        Returns:
            The indices of the sampled steps in the epoch, and an array of
            one row for each.
        """
        steps, self._steps = self._steps, []
        written, self._rows = self._rows, []
        if not written:
            return np.zeros(0, np.int64), np.zeros((0, 0))
        rows, bits = zip(*jax.device_get(written), strict=True)
        if self._number_of_flags:
            self._bits |= np.bitwise_or.reduce(bits)
        return np.array(steps), np.stack(rows)

    def flags(self) -> np.ndarray:
        """Return which flags were set in any row that the epoch's take had."""
        if not self._number_of_flags:
            return np.zeros(0, bool)
        bits = np.atleast_1d(np.asarray(self._bits, np.uint8))
        return np.unpackbits(bits, count=self._number_of_flags).astype(bool)

    def packed(self, row: Any, flags: Any) -> tuple[Any, Any]:
        """Return what a step shall return; called inside it."""
        if flags is None:
            return row, None
        self._number_of_flags = flags.size
        bits = jnp.pad(flags, (0, -flags.size % 8)).reshape(-1, 8)
        # As `jnp.packbits`, but without a reduction; see jax_kernels.py.
        values = 2.0 ** np.arange(7, -1, -1)
        packed = jnp.asarray(bits, "float32") @ jnp.asarray(values, "float32")
        return row, packed.astype("uint8")

    def write(self, step: int, packed: tuple[Any, Any]) -> None:
        """Keep what a step returned.

        Args:
            step: The index of the step in the epoch.
            packed: What `packed` returned in the step.
        """
        self._steps.append(step)
        self._rows.append(packed)
