"""The published rules of others, applied to the same runs.

The rules follow their papers, documentation and sources. Their measurements
are the rows of `probe.Probe`, a callback that makes one pass on a batch at the
end of each epoch. Where a rule counts steps, a step here is an epoch, which
makes false alarms rarer. Each symptom stands for all problems that it could
mean.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ext.doctor.run_history import RunHistory

EXPLODING = {
    "exploding_gradient",
    "numerical_instability",
    "learning_rate_too_high",
}
SLOW = {"learning_rate_too_low", "underfitting", "output_loss_mismatch"}


@dataclass
class View:
    """A run as the peers see it.

    Attributes:
        history: For Keras's logs and what is known of the model and data.
        rows: The rows of `probe.Probe`, the first from before training.
        kinds: The hidden activations.
    """

    history: RunHistory
    rows: Mapping[str, np.ndarray]
    kinds: list[str]

    @property
    def epochs(self) -> int:
        """Epochs that were trained."""
        return len(self.rows["loss"]) - 1

    def log(self, key: str, epoch: int) -> np.ndarray:
        """Return one of Keras's logs up to an epoch."""
        return self.history.logs.get(key, np.zeros(0))[: epoch + 1]

    def of(self, key: str, *kinds: str) -> Callable[[int], np.ndarray]:
        """Return a function of the row: the layers with such activations."""
        chosen = [i for i, kind in enumerate(self.kinds) if kind in kinds]
        return lambda row: self.rows[key][row][chosen]


Symptoms = Iterator[set[str]]


def autotrainer(run: View, epoch: int) -> Symptoms:
    """AUTOTRAINER (Zhang et al. 2021), every third epoch.

    Gradients are judged only while accuracy is below 0.6. Where there is no
    accuracy, the loss having fallen by less than half stands for it.
    """
    if (epoch + 1) % 3 and epoch + 1 < run.epochs:
        return
    row, loss = epoch + 1, run.log("loss", epoch)
    norms = run.rows["grad_norm"][row]
    if not (np.isfinite(loss).all() and np.isfinite(norms).all()):
        yield EXPLODING
        return
    late = epoch + 1 >= 0.3 * run.epochs
    accuracy = run.log("accuracy", epoch)
    validated = run.log("val_accuracy", epoch)
    both = [a for a in (accuracy, validated) if len(a)]
    if both:
        low = late and min(a.max() for a in both) < 0.6
        gains = [np.diff(a).max(initial=0) for a in both]
        slow = late and max(gains) < 0.01
    else:
        low = late and loss[-1] > 0.5 * loss[0]
        slow = low and -np.diff(loss).min(initial=0) < 0.01 * abs(loss[0])
    if low or slow:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = norms[0] / norms[-1]
        # Zero entries of all gradients; layers are nearly of one size.
        if run.rows["grad_zeros"][row].mean() >= 0.7:
            yield {"dying_relu", "symmetric_units"}
        elif ratio > 70:
            yield EXPLODING
        elif ratio < 1e-3 and norms[0] < 1e-4:
            yield {"vanishing_gradient"}
        elif slow:
            yield SLOW | {"unscaled_input"}
    elif late and both and _swings(both[0]) >= 0.2 * len(both[0]):
        yield {"learning_rate_too_high"}


def _swings(accuracy: np.ndarray, height: float = 0.03) -> int:
    inner = accuracy[1:-1]
    up = inner[(inner >= accuracy[:-2]) & (inner >= accuracy[2:])]
    down = inner[(inner <= accuracy[:-2]) & (inner <= accuracy[2:])]
    n = min(len(up), len(down))
    return int((up[:n] - down[:n] >= height).sum())


def deep_diagnosis(run: View, epoch: int) -> Symptoms:
    """DeepDiagnosis (Wardat et al. 2022)."""
    row, batch = epoch + 1, run.history.batch
    gradients = run.rows["grad_mean"][row]
    if not np.isfinite([run.rows["loss"][row], *gradients]).all():
        yield EXPLODING
    if _outside(run.rows["x_low"][0], run.rows["x_high"][0], 1.0):
        yield {"unscaled_input"}
    if (run.of("nonpositive", "relu")(row) >= 0.7).any():
        yield {"dying_relu"}
    if (run.of("beyond_5", "tanh", "sigmoid")(row) > 0.5).any():
        yield {"saturated_activation"}
    variance = run.rows["weight_variance"][row]
    if ((variance < 1e-5) | (variance > 10)).any():
        yield {"symmetric_units", "vanishing_gradient", *EXPLODING}
    if (gradients < 1e-7).any():
        yield {"vanishing_gradient"}
    if batch is not None and _out_of_range(run, batch):
        yield {"output_loss_mismatch"}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (
            run.rows["learning_rate"][row]
            * run.rows["grad_norm"][row]
            / run.rows["weight_norm"][row]
        )
    if (ratio < 1e-5).any():
        yield {"learning_rate_too_low", "vanishing_gradient"}
    if (ratio > 0.1).any():
        yield {"learning_rate_too_high", "exploding_gradient"}
    loss = run.log("loss", epoch)
    if len(loss) > 3 and (np.diff(loss[-4:]) >= 0).all():
        yield {"learning_rate_too_high", *SLOW}


def _outside(low: float, high: float, bound: float) -> bool:
    return not (low >= -bound and high <= bound)


def _out_of_range(run: View, batch: Any) -> bool:
    """Whether the output unit's range does not hold the targets."""
    for output in run.history.facts.outputs:
        loss = output.loss or ""
        if output.activation in (None, "linear", "relu"):
            if "categorical" in loss and not output.from_logits:
                return True
        if "sparse" in loss:
            continue
        lowest = {"sigmoid": 0, "softmax": 0, "relu": 0, "tanh": -1}
        highest = {"sigmoid": 1, "softmax": 1, "tanh": 1}
        activation = output.activation or ""
        if batch.y_low < lowest.get(activation, -np.inf):
            return True
        if batch.y_high > highest.get(activation, np.inf):
            return True
    return False


def deep_checker(run: View, epoch: int) -> Symptoms:
    """TheDeepChecker (Ben Braiek and Khomh 2023)."""
    row = epoch + 1
    gradients = run.rows["grad_mean"]
    if not np.isfinite([run.rows["loss"][row], *gradients[row]]).all():
        yield EXPLODING
        return
    if epoch == 0:
        # Its checks before training.
        low, high = run.rows["x_low"][0], run.rows["x_high"][0]
        if _outside(low, high, 10.0):
            yield {"unscaled_input"}
        if (run.rows["weight_variance"][0] == 0).any():
            yield {"symmetric_units"}
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = gradients[1 : row + 1] / gradients[:row]
        moved = run.rows["update_norm"][row] / run.rows["weight_norm"][row]
        size = np.log10(moved)
    if (gradients[row] < 1e-6).any():
        yield {"vanishing_gradient"}
    if epoch >= 3 and (rates[-3:] <= 0.5).all(0).any():
        yield {"vanishing_gradient"}
    if (gradients[row] > 1e6).any():
        yield EXPLODING
    if epoch >= 3 and (rates[-3:] >= 2).all(0).any():
        yield EXPLODING
    if (run.of("silent_units", "relu")(row) > 0.5).any():
        yield {"dying_relu"}
    if (run.of("squashed", "tanh", "sigmoid")(row) > 0.5).any():
        yield {"saturated_activation"}
    if (size > -1).any():
        yield {"learning_rate_too_high", "exploding_gradient"}
    if (size < -4).any():
        yield {"learning_rate_too_low", "vanishing_gradient"}
    loss = run.log("loss", epoch)
    if len(loss) >= 5:
        if loss[-1] >= 2 * loss.min() and loss[-2] >= 2 * loss.min():
            yield {"learning_rate_too_high", "exploding_gradient"}
        drops = (loss[-5:-1] - loss[-4:]) / np.abs(loss[-5:-1])
        if (drops < 0.05).all():
            yield SLOW | {"unscaled_input"}


def sagemaker(run: View, epoch: int) -> Symptoms:
    """The built-in rules of Amazon SageMaker Debugger."""
    row = epoch + 1
    gradients = run.rows["grad_mean"]
    if not np.isfinite([run.rows["loss"][row], *gradients[row]]).all():
        yield EXPLODING
        return
    if (gradients[row] < 1e-7).any():
        yield {"vanishing_gradient"}
    if (run.of("inactive_units", "relu")(row) > 0.5).any():
        yield {"dying_relu"}
    if (run.of("beyond_9", "tanh")(row) > 0.5).any():
        yield {"saturated_activation"}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = run.rows["update_norm"][row] / run.rows["weight_norm"][row]
    if (ratio > 10).any():
        yield {"learning_rate_too_high", "exploding_gradient"}
    if (ratio < 1e-8).any():
        yield {"learning_rate_too_low", "vanishing_gradient"}
    if (run.rows["weight_variance"][0] == 0).any():
        yield {"symmetric_units"}
    loss, validated = run.log("loss", epoch), run.log("val_loss", epoch)
    if len(validated) > 1:
        gap = (validated[-2:] - loss[-2:]) / np.abs(loss[-2:])
        if (gap > 0.1).all():
            yield {"overfitting"}
    if len(loss) > 10 and loss[-1] > 0.999 * loss[-11]:
        yield SLOW | {"learning_rate_too_high", "unscaled_input"}


def bttackler(run: View, epoch: int) -> Symptoms:
    """BTTackler (Guan et al. 2024), which compares no trials here."""
    row, loss = epoch + 1, run.log("loss", epoch)
    gradients = run.rows["grad_mean"][row]
    if not np.isfinite([loss[-1], *gradients]).all():
        yield EXPLODING
        return
    first_half = epoch < run.epochs // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.median(gradients[:-1] / gradients[1:])
    if np.median(gradients) > 1e4 or ratio > 1e4:
        yield EXPLODING
    if first_half:
        if np.median(gradients) < 1e-5 or ratio < 1e-4:
            yield {"vanishing_gradient"}
        if len(loss) >= 3 and _spread(loss) < 0.01:
            yield SLOW | {"unscaled_input", "symmetric_units"}
    if len(loss) >= 5 and np.median(run.rows["grad_zeros"][row]) > 0.5:
        yield {"dying_relu", "symmetric_units"}
    if not first_half and len(loss) >= 6:
        for curve in (loss, run.log("val_loss", epoch)):
            last = curve[-max(4, run.epochs // 4) :]
            if len(last) < 4 or not np.isfinite(last).all():
                continue
            slope = np.polyfit(np.arange(len(last)), last, 1)[0]
            if slope >= 0 and _spread(last) > 0.1:
                yield {"learning_rate_too_high", "overfitting"}


def _spread(curve: np.ndarray) -> float:
    return float(np.std(curve) / max(abs(np.mean(curve)), 1e-12))


PEERS: dict[str, Callable[[View, int], Symptoms]] = {
    "AUTOTRAINER": autotrainer,
    "DeepDiagnosis": deep_diagnosis,
    "TheDeepChecker": deep_checker,
    "SageMaker Debugger": sagemaker,
    "BTTackler": bttackler,
}


def first_symptom(name: str, run: View) -> set[str]:
    """Return the problems that a peer's first symptom could mean."""
    rules = PEERS[name]
    for epoch in range(run.epochs):
        for problems in rules(run, epoch):
            return problems
    return set()
