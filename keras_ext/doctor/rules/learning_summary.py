"""Numbers that several rules need: how well a run learns, and since when."""

import functools
import math

import numpy as np

from keras_ext.doctor.run_history import RunHistory

_CROSSENTROPIES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
)
_ACCURACIES = ("accuracy", "acc", "auc")

# Improvements are normalized ones, see `LearningSummary.improvement`. Paces
# are relative decreases of the loss per epoch.
LEARNED = 0.5
LEARNING, LEARNING_PACE, ENDING = 0.2, 0.02, 0.9
MIN_EPOCHS, HAD_TIME, FAILED = 3, 0.3, 0.25
FAIR_IMPROVEMENT = 0.8
PLATEAU_PACE, FINAL_PLATEAU_PACE = 0.01, 0.03
PLATEAU_SHARE, MIN_STEPS = 0.6, 20
STRONG_PENALTY = 0.05
# Batch normalization's moving averages need `SETTLING_STEPS` steps to become
# right. With Keras's momentum, `MOVING_STEPS` steps cover a fifth of that.
SETTLING_STEPS, MOVING_STEPS, AT_REST = 300, 20, 0.05
UNFITTED = 0.7
ABOVE_BASELINE = 1.5

DEFINITIONS = {
    "A run learns if": f"""
its normalized improvement is above {LEARNED:.0%};
or, before {ENDING:.0%} of training, it is above {LEARNING:.0%}
  and the loss falls by {LEARNING_PACE:.0%} an epoch.
""",
    "A run fails if": f"""
{MIN_EPOCHS} epochs or {HAD_TIME:.0%} of training are done,
its normalized improvement is below {FAILED:.0%},
and its loss falls by at most {LEARNING_PACE:.0%} an epoch;
or, at any time, if the loss or a gradient is not finite.
""",
    "The loss has plateaued if": f"""
after {MIN_EPOCHS} epochs, {MIN_STEPS} steps, {PLATEAU_SHARE:.0%} of training,
it falls by at most {PLATEAU_PACE:.0%} an epoch,
  or {FINAL_PLATEAU_PACE:.0%} an epoch when training is over.
""",
    "With batch normalization, the validation loss counts 3 epochs after": f"""
step {SETTLING_STEPS};
or step {2 * SETTLING_STEPS // 3}, if it moves under {AT_REST:.0%} in 6 epochs;
or step {SETTLING_STEPS // 3}, if it also is below {UNFITTED:g} of the baseline
  and these 6 epochs have {MOVING_STEPS} steps.
""",
}


class LearningSummary:
    """Numbers that several rules need.

    Args:
        history: What was measured.

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
        """Whether there were enough steps to judge what was learned."""
        steps = self.history.steps
        return bool(len(steps)) and int(steps[-1]) + 1 >= MIN_STEPS

    @property
    def share_done(self) -> float:
        """The share of the planned training that is done."""
        if self.history.finished:
            return 1.0
        planned = self.history.planned_epochs or max(2 * self.epochs, 1)
        return min(self.epochs / planned, 1.0)

    @property
    def had_time(self) -> bool:
        """Whether the run is old enough to have failed."""
        return self.epochs >= MIN_EPOCHS or self.share_done >= HAD_TIME

    @functools.cached_property
    def baseline(self) -> float | None:
        """The loss of the best constant prediction.

        `None` if it is not known for the loss.
        """
        batch, outputs = self.history.batch, self.history.facts.outputs
        if batch is None or len(outputs) != 1:
            return None
        loss = outputs[0].loss
        shares = batch.class_shares[batch.class_shares > 0]
        if loss in _CROSSENTROPIES and len(shares):
            # A batch may lack classes, so the entropy has a lower bound.
            return max(float(-(shares * np.log(shares)).sum()), 0.3)
        if loss == "binary_crossentropy" and not batch.y_whole:
            return None  # The best loss is not 0 where targets are shares.
        if loss == "binary_crossentropy" and 0 <= batch.y_mean <= 1:
            p = min(max(batch.y_mean, 1e-3), 1 - 1e-3)
            return -(p * math.log(p) + (1 - p) * math.log(1 - p))
        spread = batch.y_std
        if np.isfinite(batch.y_unit_std) and batch.y_unit_std > 0:
            n = max(batch.size, 2)  # Bessel's correction
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
        first = self.loss[:1]
        finite = len(first) and np.isfinite(first[0])
        return float(first[0]) if finite else float("nan")

    @functools.cached_property
    def reference(self) -> float:
        """The baseline and the initial penalties; else the first loss.

        A constant prediction pays the model's penalties, too. Strong
        penalties are left out, since they are a fault.
        """
        if self.baseline is None:
            return self.first_loss
        return self.baseline + self._penalties

    @functools.cached_property
    def _penalties(self) -> float:
        """The L2 penalty of the initial weights, approximately."""
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
        """The normalized improvement: (baseline - loss) / baseline.

        0 is the constant-prediction baseline, 1 a perfect fit. The last
        epoch's loss and accuracies give one value each, in training and in
        validation, and the best counts: dropout and penalties raise the
        training loss.
        """
        candidates = [0.0]
        logs = self.history.logs
        # A custom `test_step` may call another number `loss`.
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
        """Return an accuracy's improvement over the most frequent class."""
        batch = self.history.batch
        if batch is None or len(batch.class_shares) < 2:
            return 0.0
        chance = float(batch.class_shares.max())
        return (accuracy - chance) / (1 - chance) if chance < 1 else 0.0

    def improvement_of(self, loss: float) -> float:
        """Return the normalized improvement of a loss."""
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

        Its moving averages start far from the data's.
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
            return since < SETTLING_STEPS
        moved = 6 * history.steps_per_epoch >= MOVING_STEPS
        low = self.baseline is not None and val[-1] < UNFITTED * self.baseline
        return since < (1 if moved and low else 2) * SETTLING_STEPS / 3

    @property
    def fails_on_validation(self) -> bool:
        """Whether the validation loss stays far above the baseline."""
        val = self.history.logs.get("val_loss", np.zeros(0))
        if self.baseline is None or len(val) < 3 or self.is_settling:
            return False
        return bool(np.min(val) > ABOVE_BASELINE * self.reference)

    @property
    def validates_like_baseline(self) -> bool:
        """Whether the validation loss is near the baseline, or above."""
        val = self.history.logs.get("val_loss", np.zeros(0))
        if self.baseline is None or not len(val):
            return False
        return bool(np.median(val[-3:]) > UNFITTED * self.reference)

    @property
    def learns(self) -> bool:
        """Whether the run has improved a lot, or still improves."""
        if self.first_nonfinite is not None:
            return False
        if self.improvement > LEARNED:
            return True
        return (
            self.share_done <= ENDING
            and self.improvement > LEARNING
            and self.recent_decrease > LEARNING_PACE
        )

    @property
    def fails(self) -> bool:
        """Whether the run had its time and learned next to nothing."""
        if self.first_nonfinite is not None:
            return True
        return (
            self.had_time
            and self.improvement < FAILED
            and not self.recent_decrease > LEARNING_PACE
        )

    @property
    def is_late(self) -> bool:
        """Whether the run is old enough to have plateaued."""
        return self.share_done >= PLATEAU_SHARE and self.epochs >= MIN_EPOCHS

    def has_plateaued(self, improvement: float) -> bool:
        """Return whether the loss plateaued below an improvement."""
        if not self.is_late or not self.has_begun:
            return False
        pace = FINAL_PLATEAU_PACE if self.history.finished else PLATEAU_PACE
        return self.improvement < improvement and not (
            self.recent_decrease > pace
        )

    @functools.cached_property
    def decrease(self) -> float:
        """The loss's relative decrease since the first step."""
        finite = self.loss[np.isfinite(self.loss)]
        if not len(finite) or not finite[0]:
            return 0.0
        last = self.epoch_losses[-1:] if self.epochs else finite[-1:]
        last = last[np.isfinite(last)]
        if not len(last):
            return 0.0
        return float((finite[0] - min(last[0], finite[-1])) / abs(finite[0]))

    @functools.cached_property
    def recent_decrease(self) -> float:
        """The loss's relative decrease per epoch, in the last four epochs."""
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
        # TensorFlow's ReLU turns NaN into 0. Then only the weights show it.
        # A single layer may have no value, and NaN for that reason.
        ratios = series.get("update_ratio/global", np.zeros(0))
        if len(ratios) == len(bad):
            bad |= np.isnan(ratios)
        if "skipped_steps" in series:
            bad &= ~(series["skipped_steps"] > 0)
        places = np.flatnonzero(bad)
        if len(places):
            return int(self.history.steps[places[0]])
        if not np.isfinite(self.epoch_losses).all():
            return int(self.history.steps[-1]) if len(self.history.steps) else 0
        return None

    def norms(self, kind: str = "grad_norm/") -> dict[str, np.ndarray]:
        """Return each layer's finite values, in the order of the layers."""
        return {
            layer: values[np.isfinite(values)]
            for layer, values in self.history.of_kind(kind).items()
        }

    @functools.cached_property
    def updates(self) -> np.ndarray:
        """The whole model's ||dw|| / ||w||, in steps that moved it."""
        values = self.history.series.get("update_ratio/global", np.zeros(0))
        return values[np.isfinite(values) & (values > 0)]

    @functools.cached_property
    def path_length(self) -> float:
        """The sum of ||dw|| / ||w|| over all steps, approximately."""
        if not len(self.updates):
            return 0.0
        steps = self.history.steps
        values = self.history.series["update_ratio/global"]
        # Each sampled step stands for those up to the next sampled step.
        apart = np.diff(steps)
        last = np.median(apart) if len(apart) else 1.0
        lengths = values * np.append(apart, last)
        return float(lengths[np.isfinite(lengths) & (values > 0)].sum())

    def epoch_of(self, step: int | None) -> int | None:
        """Return the epoch of a step."""
        if step is None or not self.history.steps_per_epoch:
            return self.history.epoch
        return step // self.history.steps_per_epoch


def is_accuracy(key: str) -> bool:
    """Return whether a key of Keras's logs is an accuracy."""
    return key.removeprefix("val_").endswith(_ACCURACIES)
