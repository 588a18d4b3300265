"""Which trial falls behind: rules on numbers alone."""

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrialHistory:
    """What another trial has come to.

    Attributes:
        values: The best value of the objective up to and including each
            epoch, by epoch, counted from 0. The worst that there is
            (infinity or minus infinity) where it had none that was finite.
            Epochs that did not report the objective are missing.
        finished: Whether the trial came to its end; a pruned one did not.
    """

    values: Mapping[int, float]
    finished: bool = True

    def at(self, epoch: int) -> float | None:
        """Return the best value up to an epoch.

        A finished trial that ended earlier, by early stopping, keeps what it
        had.

        Args:
            epoch: The epoch, counted from 0.

        Returns:
            The value; `None` if the trial did not come that far.
        """
        known = [e for e in self.values if e <= epoch]
        if not known or not (self.finished or max(self.values) >= epoch):
            return None
        return self.values[max(known)]


class Pruner(abc.ABC):
    """Decides which trials fall behind: the interface for your own.

    A subclass says in `judge` whether the running trial is to be ended. It
    keeps nothing from one call to the next: all that is known is handed to
    it, in a search that was resumed, too.

    Example: end whatever has not come to an accuracy of 0.5 after 5 epochs.

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
        """Say why the running trial is to be ended, if it is.

        It is called at the end of each epoch that reports the objective.

        Args:
            epoch: The epoch that ends, counted from 0.
            values: The best value up to each epoch of the running trial, by
                epoch, as in `TrialHistory`; `epoch` is the last. In the
                k-th fold or execution of a trial it is the mean over the
                first k.
            others: The other trials, by the same number of folds or
                executions.
            direction: `"min"` or `"max"`: what better is.

        Returns:
            The reason, such as `"behind the median at epoch 5 (0.61 <
            0.80)"`; `None` if the trial goes on.
        """

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({settings})"


class MedianPruner(Pruner):
    """Ends a trial that is behind the median of the finished ones.

    At the end of each epoch, the trial's best value so far is compared with
    the median of what the trials that came to their end had at that epoch.

    Args:
        startup_trials: Number of finished trials before any is pruned.
            Defaults to `4`.
        warmup_epochs: Number of epochs at the beginning of each trial that
            are not judged. Defaults to `4`.

    Raises:
        ValueError: If `startup_trials < 1` or `warmup_epochs < 0`.

    Reference:
        - [Golovin et al., 2017](https://doi.org/10.1145/3097983.3098043),
          section 3.2.2: there the running mean of the trial counts, here
          its best value, since a trial is scored by its best epoch.

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
        known = [r.at(epoch) for r in others if r.finished]
        theirs = [value for value in known if value is not None]
        if len(theirs) < self.startup_trials:
            return None
        # Not `np.median`: it makes NaN of two values that are infinite.
        theirs.sort()
        middle = len(theirs) // 2
        low, high = theirs[(len(theirs) - 1) // 2], theirs[middle]
        median = low if low == high else (low + high) / 2
        if not _worse(values[epoch], median, direction):
            return None
        return _behind("the median", epoch, values[epoch], median, direction)


class ASHAPruner(Pruner):
    """Asynchronous successive halving: few trials get many epochs.

    After `min_epochs`, `min_epochs * factor`, `min_epochs * factor**2`, …
    epochs (the rungs), a trial goes on if it is among the best `1 / factor`
    of those that came to this rung before it, itself included; the best one
    always does. It needs no waiting for others, so early trials are judged
    leniently.

    Args:
        min_epochs: Epochs that each trial gets. Defaults to `3`.
        factor: One in so many trials goes on from each rung. Defaults to
            `4`, as in the reference's experiments.

    Raises:
        ValueError: If `min_epochs < 1` or `factor < 2`.

    Reference:
        - [Li et al., 2020](https://arxiv.org/abs/1810.05934). There a trial
          waits at a rung and goes on as soon as it is among the best; here
          it is judged once, when it gets there.

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
        """Return whether a rung lies after this report and not the last."""
        before = max((e + 1 for e in values if e < epoch), default=0)
        rung = self.min_epochs
        while rung <= before:
            rung *= self.factor
        return rung <= epoch + 1


_NAMED: dict[str, type[Pruner]] = {"median": MedianPruner, "asha": ASHAPruner}


def get_pruner(identifier: str | Pruner | None) -> Pruner | None:
    """Return the pruner of that name.

    Args:
        identifier: `"median"`, `"asha"`, a `Pruner` or `None`.

    Returns:
        The pruner; `None` for `None`.

    Raises:
        ValueError: If `identifier` is none of these.
    """
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
