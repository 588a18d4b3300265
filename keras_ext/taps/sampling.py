"""Which training steps of an epoch are measured."""


class Sampling:
    """Every n-th step of an epoch, beginning with its first one.

    A thinned one (see `thin`) goes on at longer distances after some steps
    of the epoch; what shares it is measured in the same steps.

    Args:
        every_n_steps: The distance of measured steps.

    Attributes:
        every_n_steps: The same.
        can_thin: Whether `thin` may be called.
    """

    def __init__(self, every_n_steps: int, can_thin: bool = False):
        self.every_n_steps = every_n_steps
        self.can_thin = can_thin
        self._dense = 0
        self._later = every_n_steps

    @property
    def is_every_step(self) -> bool:
        """Whether all steps are measured, and always will be."""
        return self.every_n_steps == 1 and not self.can_thin

    def thin(self, dense: int, later: int) -> None:
        """Set the distances for the epoch that is about to begin.

        Args:
            dense: How many measured steps `every_n_steps` holds for.
            later: The distance after those.
        """
        self._dense, self._later = dense, later

    def is_due(self, step: int) -> bool:
        """Return whether a step is measured.

        Args:
            step: Its index in the epoch.
        """
        beyond = step - self._dense * self.every_n_steps
        if beyond < 0:
            return step % self.every_n_steps == 0
        return beyond % self._later == 0

    def next_due(self, step: int) -> int:
        """Return the first measured step after `step`."""
        beyond = step - self._dense * self.every_n_steps
        n = self.every_n_steps if beyond < 0 else self._later
        start = 0 if beyond < 0 else step - beyond
        return start + ((step - start) // n + 1) * n

    def samples_in(self, steps: int) -> int:
        """Return how many of the first `steps` steps are measured."""
        beyond = steps - self._dense * self.every_n_steps
        if beyond <= 0:
            return -(-steps // self.every_n_steps)
        return self._dense - (-beyond // self._later)

    def step_of(self, sample: int) -> int:
        """Return the index in the epoch of its `sample`-th measured step."""
        dense = min(sample, self._dense)
        return dense * self.every_n_steps + (sample - dense) * self._later
