"""Rules that decide from plain numbers which trial falls behind."""

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrialHistory:
    """The values of another trial, for a `Pruner`.

    Attributes:
        values: The best value of the objective up to and including each
            epoch, by epoch, counted from 0. The worst possible value
            (infinity or minus infinity) before the first finite one. Epochs
            that did not report the objective are missing.
        finished: Whether the trial reached its end; a pruned one did not.
            Defaults to `True`.

    Example:
    >>> from keras_ext.tuners import TrialHistory
    >>> history = TrialHistory({0: 0.6, 2: 0.8})
    >>> history.at(1), history.at(9)
    (0.6, 0.8)
    """

    values: Mapping[int, float]
    finished: bool = True

    def at(self, epoch: int) -> float | None:
        """Return the best value up to an epoch.

        A finished trial that ended earlier, by early stopping, keeps its last
        value.

        Args:
            epoch: The epoch, counted from 0.

        Returns:
            The value; `None` if the trial did not reach the epoch.
        """
        known = [e for e in self.values if e <= epoch]
        if not known or not (self.finished or max(self.values) >= epoch):
            return None
        return self.values[max(known)]


class Pruner(abc.ABC):
    """Base class of the rules that end trials which fall behind.

    A subclass decides in `judge` whether to end the running trial. It stores
    nothing between calls: each call gets all values, also in a resumed search.

    Example: end a trial that has no accuracy of 0.5 after 5 epochs.

    >>> from keras_ext.tuners import Pruner
    >>> class Threshold(Pruner):
    ...     def judge(self, epoch, values, others, direction):
    ...         if epoch == 4 and values[epoch] < 0.5:
    ...             return f"only {values[epoch]:.2f} at epoch {epoch}"
    >>> Threshold().judge(4, {3: 0.1, 4: 0.3}, [], "max")
    'only 0.30 at epoch 4'
    """

    @abc.abstractmethod
    def judge(
        self,
        epoch: int,
        values: Mapping[int, float],
        others: Sequence[TrialHistory],
        direction: str,
    ) -> str | None:
        """Return why to end the running trial, or `None` to continue.

        The search calls it at the end of each epoch that reports the
        objective.

        Args:
            epoch: The epoch that ends, counted from 0.
            values: The best value up to each epoch of the running trial, by
                epoch, as in `TrialHistory`; `epoch` is the last one. In the
                k-th fold or execution of a trial, the mean over the first k.
            others: The other trials, as means over the same number of folds
                or executions.
            direction: `"min"` if low values are good, `"max"` if high ones
                are.

        Returns:
            The reason, such as `"behind the median at epoch 5 (0.61 <
            0.80)"`; `None` if the trial continues.
        """

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({settings})"


class MedianPruner(Pruner):
    """Ends a trial that is behind the median of the finished trials.

    At the end of each epoch, it compares the trial's best value so far with
    the median of the finished trials' best values up to that epoch.

    Args:
        startup_trials: Number of finished trials before any is pruned.
            Defaults to `4`.
        warmup_epochs: Number of epochs at the beginning of each trial that
            are not judged. Defaults to `4`.

    Raises:
        ValueError: If `startup_trials < 1` or `warmup_epochs < 0`.

    Reference:
        - [Golovin et al., 2017](https://doi.org/10.1145/3097983.3098043),
          section 3.2.2. The reference compares the trial's running mean;
          here its best value counts, as in its score.

    Example:
    >>> from keras_ext.tuners import MedianPruner, TrialHistory
    >>> pruner = MedianPruner(startup_trials=2, warmup_epochs=0)
    >>> others = [TrialHistory({0: 0.7}), TrialHistory({0: 0.9})]
    >>> pruner.judge(0, {0: 0.6}, others, "max")
    'behind the median at epoch 0 (0.6 < 0.8)'
    """

    def __init__(self, startup_trials: int = 4, warmup_epochs: int = 4):
        if startup_trials < 1:
            raise ValueError(
                "`startup_trials` must be at least 1. "
                f"Received: startup_trials={startup_trials!r}"
            )
        if warmup_epochs < 0:
            raise ValueError(
                "`warmup_epochs` must not be negative. "
                f"Received: warmup_epochs={warmup_epochs!r}"
            )
        self.startup_trials = startup_trials
        self.warmup_epochs = warmup_epochs

    def judge(
        self,
        epoch: int,
        values: Mapping[int, float],
        others: Sequence[TrialHistory],
        direction: str,
    ) -> str | None:
        """See `Pruner.judge`."""
        if epoch < self.warmup_epochs:
            return None
        known = [other.at(epoch) for other in others if other.finished]
        theirs = [value for value in known if value is not None]
        if len(theirs) < self.startup_trials:
            return None
        # `np.median` returns NaN for two infinite values.
        theirs.sort()
        middle = len(theirs) // 2
        low, high = theirs[(len(theirs) - 1) // 2], theirs[middle]
        median = low if low == high else (low + high) / 2
        if not _worse(values[epoch], median, direction):
            return None
        return _behind("the median", epoch, values[epoch], median, direction)


class ASHAPruner(Pruner):
    """Asynchronous successive halving: few trials get many epochs.

    The rungs are `min_epochs`, `min_epochs * factor`, `min_epochs *
    factor**2`, … epochs. At a rung, a trial continues if it is among the best
    `1 / factor` of the trials that have reached the rung so far, itself
    included; the best one always continues. No trial waits for others, so
    early trials meet little competition.

    Args:
        min_epochs: Epochs that each trial gets. Defaults to `3`.
        factor: One of `factor` trials continues from each rung. Defaults to
            `4`, as in the reference's experiments.

    Raises:
        ValueError: If `min_epochs < 1` or `factor < 2`.

    Reference:
        - [Li et al., 2020](https://arxiv.org/abs/1810.05934). In the
          reference a trial waits at a rung and continues as soon as it is
          among the best; here it is judged once, when it reaches the rung.

    Example:
    >>> from keras_ext.tuners import ASHAPruner, TrialHistory
    >>> pruner = ASHAPruner(min_epochs=1, factor=2)
    >>> others = [TrialHistory({0: 0.7}), TrialHistory({0: 0.9})]
    >>> pruner.judge(0, {0: 0.8}, others, "max")
    'behind the best of 3 at epoch 0 (0.8 < 0.9)'
    """

    def __init__(self, min_epochs: int = 3, factor: int = 4):
        if min_epochs < 1:
            raise ValueError(
                "`min_epochs` must be at least 1. "
                f"Received: min_epochs={min_epochs!r}"
            )
        if factor < 2:
            raise ValueError(
                f"`factor` must be at least 2. Received: factor={factor!r}"
            )
        self.min_epochs = min_epochs
        self.factor = factor

    def judge(
        self,
        epoch: int,
        values: Mapping[int, float],
        others: Sequence[TrialHistory],
        direction: str,
    ) -> str | None:
        """See `Pruner.judge`."""
        if not self._is_rung(epoch, values):
            return None
        known = [other.at(epoch) for other in others]
        theirs = [value for value in known if value is not None]
        theirs.sort(reverse=direction == "max")
        places = max((len(theirs) + 1) // self.factor, 1)
        if len(theirs) < places:
            return None
        last = theirs[places - 1]
        if not _worse(values[epoch], last, direction):
            return None
        best = "the best" if places == 1 else f"the best {places}"
        return _behind(
            f"{best} of {len(theirs) + 1}",
            epoch,
            values[epoch],
            last,
            direction,
        )

    def _is_rung(self, epoch: int, values: Mapping[int, float]) -> bool:
        """Return whether this epoch, not an earlier one, reaches a rung."""
        before = max((e + 1 for e in values if e < epoch), default=0)
        rung = self.min_epochs
        while rung <= before:
            rung *= self.factor
        return rung <= epoch + 1


_NAMED: dict[str, type[Pruner]] = {"median": MedianPruner, "asha": ASHAPruner}


def get_pruner(identifier: str | Pruner | None) -> Pruner | None:
    """Return a pruner from `"median"`, `"asha"`, a `Pruner` or `None`."""
    if identifier is None or isinstance(identifier, Pruner):
        return identifier
    if isinstance(identifier, str) and identifier in _NAMED:
        return _NAMED[identifier]()
    raise ValueError(
        '`pruner` must be "median", "asha", a `Pruner` or None. '
        f"Received: pruner={identifier!r}"
    )


def _worse(value: float, than: float, direction: str) -> bool:
    return value < than if direction == "max" else value > than


def _behind(
    whom: str, epoch: int, value: float, theirs: float, direction: str
) -> str:
    sign = "<" if direction == "max" else ">"
    mine = f"{value:.4g}" if math.isfinite(value) else "nothing finite"
    return f"behind {whom} at epoch {epoch} ({mine} {sign} {theirs:.4g})"
