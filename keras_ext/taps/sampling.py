"""The training steps of an epoch that are measured."""


class Sampling:
    """Every n-th step of an epoch, beginning with its first step.

    `thin` makes the later samples of an epoch rarer. Gauges that share a
    sampling measure the same steps.

    Attributes:
        every_n_steps: The distance between measured steps.
        can_thin: Whether `thin` may be called.
    """

    def __init__(self, every_n_steps: int, can_thin: bool = False):
        self.every_n_steps = every_n_steps
        self.can_thin = can_thin
        self._dense = 0
        self._later = every_n_steps

    @property
    def is_every_step(self) -> bool:
        """Whether all steps are measured, now and later."""
        return self.every_n_steps == 1 and not self.can_thin

    def thin(self, dense: int, later: int) -> None:
        """Set the distances for the epoch that is about to begin.

        Args:
            dense: The number of measured steps that keep the distance
                `every_n_steps`.
            later: The distance after these steps.
        """
        self._dense, self._later = dense, later

    def is_due(self, step: int) -> bool:
        """Return whether the step with this index in the epoch is measured."""
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
        """Return the index in the epoch of the `sample`-th measured step."""
        dense = min(sample, self._dense)
        return dense * self.every_n_steps + (sample - dense) * self._later
