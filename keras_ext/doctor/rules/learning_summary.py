"""What the rules read off the history: how well a run learns, and when."""

import functools
import math

import numpy as np

from keras_ext.doctor.run_history import RunHistory

# Losses whose value is known for a model that predicts the classes' shares
# or the targets' mean, whatever the input.
_CROSSENTROPIES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
)
_ACCURACIES = ("accuracy", "acc", "auc")
# A factor of L1 or L2 that holds a model back.
STRONG_PENALTY = 0.05
# The share of the way from a guess to a perfect fit that a run can be expected
# to come if something that may hold it back does not.
FAIR = 0.8
# Share by which the loss still falls in an epoch when it has levelled off.
LEVEL = 0.01
# Steps before which it is too early to say that a model learns too little.
LEAST_STEPS = 20
# Steps in which the means of batch normalization come to be right; and in
# which they move, with Keras's momentum, by a fifth of what is left of that.
SETTLING, MOVING = 300, 20
# Share by which a loss moves in six epochs if it has come to rest.
AT_REST = 0.05
# Loss, relative to that of a guess, of which nothing was learned.
UNFITTED = 0.7
# How far above that of a guess a validation loss is that tells nothing good.
WORSE_THAN_A_GUESS = 1.5


class LearningSummary:
    """Numbers that several rules ask for.

    Args:
        history: What was recorded.

    Attributes:
        history: The same.
    """

    def __init__(self, history: RunHistory):
        self.history = history

    @functools.cached_property
    def loss(self) -> np.ndarray:
        """The loss of each sampled step, NaN where unknown."""
        unknown = np.full(len(self.history.steps), np.nan)
        return self.history.series.get("loss", unknown)

    @functools.cached_property
    def epoch_losses(self) -> np.ndarray:
        """The training loss of each epoch."""
        return self.history.logs.get("loss", np.zeros(0))

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.epoch_losses)

    @property
    def has_begun(self) -> bool:
        """Whether there were steps enough to speak of what was learned."""
        steps = self.history.steps
        return bool(len(steps)) and int(steps[-1]) + 1 >= LEAST_STEPS

    @property
    def share_done(self) -> float:
        """The share of the planned training that is done."""
        if self.history.finished:
            return 1.0
        planned = self.history.planned_epochs or max(2 * self.epochs, 1)
        return min(self.epochs / planned, 1.0)

    @functools.cached_property
    def baseline(self) -> float | None:
        """The loss of a model that does not look at its input.

        `None` if it is not known for the loss.
        """
        batch, outputs = self.history.batch, self.history.facts.outputs
        if batch is None or len(outputs) != 1:
            return None
        loss = outputs[0].loss
        shares = batch.class_shares[batch.class_shares > 0]
        if loss in _CROSSENTROPIES and len(shares):
            # At least that of few classes alike: a batch may miss some.
            return max(float(-(shares * np.log(shares)).sum()), 0.3)
        if loss == "binary_crossentropy" and not batch.y_whole:
            return None  # a perfect fit is not 0 where targets are shares
        if loss == "binary_crossentropy" and 0 <= batch.y_mean <= 1:
            p = min(max(batch.y_mean, 1e-3), 1 - 1e-3)
            return -(p * math.log(p) + (1 - p) * math.log(1 - p))
        spread = batch.y_std
        if np.isfinite(batch.y_unit_std) and batch.y_unit_std > 0:
            # That of few samples is biased.
            n = max(batch.size, 2)
            spread = batch.y_unit_std * math.sqrt(n / (n - 1))
        if loss in ("huber", "log_cosh") and spread > 0:
            return min(0.5 * spread**2, 0.8 * spread)
        if loss == "mean_squared_error" and spread > 0:
            return spread**2
        if loss == "mean_absolute_error" and spread > 0:
            return 0.8 * spread
        return None

    @functools.cached_property
    def first_loss(self) -> float:
        """The loss of the first step, NaN if it is not known."""
        finite = self.loss[:1]
        if len(finite) and np.isfinite(finite[0]):
            return float(finite[0])
        return float("nan")

    @functools.cached_property
    def reference(self) -> float:
        """What the loss is measured by: the baseline, or the first loss.

        A guess pays the model's penalties, too, which are taken at their
        size in the beginning; not so strong ones, which are a fault.
        """
        if self.baseline is None:
            return self.first_loss
        return self.baseline + self._penalties

    @functools.cached_property
    def _penalties(self) -> float:
        """What L2 adds to the loss of the initial weights, about."""
        layers = self.history.facts.layers
        if any(layer.penalty >= STRONG_PENALTY for layer in layers):
            return 0.0
        return sum(
            layer.penalty
            * ((layer.weight_std or 0.0) ** 2 + layer.weight_mean**2)
            * (layer.fan_in or 0)
            * (layer.units or 0)
            for layer in layers
        )

    @functools.cached_property
    def improvement(self) -> float:
        """How far the run has come, from the baseline (0) to perfect (1).

        By the last epoch's loss or accuracy, in training or validation,
        whichever is better: dropout and penalties hide what was learned
        from the training loss.
        """
        candidates = [0.0]
        logs = self.history.logs
        # What a person's own `test_step` calls loss may be another one.
        own = self.history.facts.own_train_step and self.baseline is None
        for key in ("loss",) if own else ("loss", "val_loss"):
            values = logs.get(key, np.zeros(0))
            if len(values):
                candidates.append(self.improvement_of(values[-1]))
        finite = self.loss[np.isfinite(self.loss)]
        if len(finite):
            candidates.append(self.improvement_of(np.median(finite[-3:])))
        candidates += [
            self.accuracy_improvement(float(values[-1]))
            for key, values in logs.items()
            if is_accuracy(key) and len(values)
        ]
        return max(c for c in candidates if not math.isnan(c))

    def accuracy_improvement(self, accuracy: float) -> float:
        """Return how far an accuracy is from that of a guess (0) to 1."""
        batch = self.history.batch
        if batch is None or len(batch.class_shares) < 2:
            return 0.0
        chance = float(batch.class_shares.max())
        return (accuracy - chance) / (1 - chance) if chance < 1 else 0.0

    def improvement_of(self, loss: float) -> float:
        """Return how far a loss is from a guess's (0) to a perfect one."""
        if not self.reference > 0:
            return 0.0
        ratio = float(loss) / self.reference
        outputs = self.history.facts.outputs
        if len(outputs) == 1 and outputs[0].loss == "mean_absolute_error":
            ratio *= abs(ratio)  # on the scale of squared errors
        return 1.0 - ratio

    @property
    def is_settling(self) -> bool:
        """Whether batch normalization may explain the validation loss.

        Until `SETTLING` steps before the last three epochs its means are
        those of the beginning; or until two thirds of them, if the validation
        loss has come to rest since; or until a third, if it rests, while the
        means moved, well below that of a guess, where it does not begin.
        """
        history = self.history
        kinds = [layer.kind for layer in history.facts.layers]
        if "BatchNormalization" not in kinds:
            return False
        last = int(history.steps[-1]) if len(history.steps) else 0
        since = last - 3 * history.steps_per_epoch
        val = history.logs.get("val_loss", np.zeros(0))[-6:]
        rests = len(val) == 6 and np.ptp(val) < AT_REST * abs(val[-1])
        if not rests:
            return since < SETTLING
        moved = 6 * history.steps_per_epoch >= MOVING
        low = self.baseline is not None and val[-1] < UNFITTED * self.baseline
        return since < (SETTLING / 3 if moved and low else 2 * SETTLING / 3)

    @property
    def is_lost_on_new_data(self) -> bool:
        """Whether the validation loss stays far above that of a guess."""
        val = self.history.logs.get("val_loss", np.zeros(0))
        if self.baseline is None or len(val) < 3 or self.is_settling:
            return False
        return bool(np.min(val) > WORSE_THAN_A_GUESS * self.reference)

    @property
    def guesses_on_new_data(self) -> bool:
        """Whether the validation loss is near a guess's, settled or not."""
        val = self.history.logs.get("val_loss", np.zeros(0))
        if self.baseline is None or not len(val):
            return False
        return bool(np.median(val[-3:]) > UNFITTED * self.reference)

    @property
    def learns(self) -> bool:
        """Whether the run has come far, or goes on at a good pace."""
        if self.first_nonfinite is not None:
            return False
        if self.improvement > 0.5:
            return True
        ends = self.share_done > 0.9
        return not ends and self.improvement > 0.2 and self.recent_gain > 0.02

    @property
    def fails(self) -> bool:
        """Whether the run had its time and learned next to nothing."""
        if self.first_nonfinite is not None:
            return True
        had_time = self.epochs >= 3 or self.share_done >= 0.3
        return (
            had_time and self.improvement < 0.25 and not self.recent_gain > 0.02
        )

    def has_levelled_off(self, improvement: float) -> bool:
        """Return whether the loss levelled off below an improvement."""
        if self.share_done < 0.6 or self.epochs < 3 or not self.has_begun:
            return False
        level = 3 * LEVEL if self.history.finished else LEVEL
        return self.improvement < improvement and not self.recent_gain > level

    @functools.cached_property
    def gain(self) -> float:
        """By which share of itself the loss fell since the first step."""
        finite = self.loss[np.isfinite(self.loss)]
        if not len(finite) or not finite[0]:
            return 0.0
        last = self.epoch_losses[-1:] if self.epochs else finite[-1:]
        last = last[np.isfinite(last)]
        if not len(last):
            return 0.0
        return float((finite[0] - min(last[0], finite[-1])) / abs(finite[0]))

    @functools.cached_property
    def recent_gain(self) -> float:
        """By which share the loss falls from epoch to epoch, of late."""
        losses = self.epoch_losses[np.isfinite(self.epoch_losses)][-4:]
        if len(losses) < 2 or not losses[0]:
            return float("nan")
        return (
            float(losses[0] - losses[-1]) / abs(losses[0]) / (len(losses) - 1)
        )

    @functools.cached_property
    def first_nonfinite(self) -> int | None:
        """The first sampled step whose numbers are not finite, or `None`.

        Steps that loss scaling skips do not count.
        """
        series = self.history.series
        bad = np.isinf(self.loss)
        norms = series.get("grad_norm/global")
        if norms is not None:
            bad |= ~np.isfinite(norms)
            if "loss" in series:
                bad |= np.isnan(self.loss) & ~np.isnan(self.first_loss)
        # TensorFlow's ReLU makes 0 of NaN: then it shows in the weights alone.
        for key, values in series.items():
            if key.startswith("update_ratio/") and len(values) == len(bad):
                bad |= np.isnan(values)
        if "skipped_steps" in series:
            bad &= series["skipped_steps"] == 0
        places = np.flatnonzero(bad)
        if len(places):
            return int(self.history.steps[places[0]])
        if not np.isfinite(self.epoch_losses).all():
            return int(self.history.steps[-1]) if len(self.history.steps) else 0
        return None

    def norms(self, kind: str = "grad_norm/") -> dict[str, np.ndarray]:
        """Return the finite values of each layer, in the layers' order."""
        return {
            layer: values[np.isfinite(values)]
            for layer, values in self.history.of_kind(kind).items()
        }

    @functools.cached_property
    def updates(self) -> np.ndarray:
        """Update ratios of the whole model, where it moved."""
        values = self.history.series.get("update_ratio/global", np.zeros(0))
        return values[np.isfinite(values) & (values > 0)]

    @functools.cached_property
    def travelled(self) -> float:
        """By how much of their length the weights can have moved at most."""
        if not len(self.updates):
            return 0.0
        steps = self.history.steps
        values = self.history.series["update_ratio/global"]
        # Each measured step stands for those up to the next one, of which
        # there may be more later in a run than in its beginning.
        apart = np.diff(steps)
        last = np.median(apart) if len(apart) else 1.0
        way = values * np.append(apart, last)
        return float(way[np.isfinite(way) & (values > 0)].sum())

    def epoch_of(self, step: int | None) -> int | None:
        """Return the epoch in which a step was taken."""
        if step is None or not self.history.steps_per_epoch:
            return self.history.epoch
        return step // self.history.steps_per_epoch


def is_accuracy(key: str) -> bool:
    """Return whether a key of Keras's logs is an accuracy."""
    return key.removeprefix("val_").endswith(_ACCURACIES)
