"""How the answers of a program are judged, and which pairs count."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.doctor.programs.common import Setup
from benchmarks.doctor.runs import LOST
from benchmarks.doctor.unusual.common import explained

# A repaired program is this much better than the best constant answer.
GOOD = 0.15


class Score(NamedTuple):
    """A way to judge answers; more is better.

    Attributes:
        of: Returns the score of the true answers and the given ones.
        chance: Returns what the best constant answer scores.
    """

    of: Callable[[np.ndarray, np.ndarray], float]
    chance: Callable[[np.ndarray], float]


def labels(y: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return the labels that answers stand for, in the form of `y`."""
    if y.ndim > 1:
        return answer.reshape(y.shape) > 0.5
    if answer.ndim > 1 and answer.shape[-1] > 1:
        return answer.argmax(-1)
    answer = answer.reshape(-1)
    return np.rint(answer) if y.max() > 1 else answer > 0.5


def _accuracy(y: np.ndarray, answer: np.ndarray) -> float:
    return float((labels(y, answer) == y).mean())


def _most_frequent(y: np.ndarray) -> float:
    if y.ndim > 1:
        return float(np.maximum(y.mean(0), 1 - y.mean(0)).mean())
    return float(np.unique(y, return_counts=True)[1].max() / len(y))


def _balanced(y: np.ndarray, answer: np.ndarray) -> float:
    right = labels(y, answer) == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def _r2(y: np.ndarray, answer: np.ndarray) -> float:
    return max(0.0, explained(y, answer))


def _likelihood(y: np.ndarray, answer: np.ndarray) -> float:
    """Return the part of the classes' entropy that the answers explain."""
    if answer.shape[-1] == 1:
        answer = np.concatenate([1 - answer, answer], -1)
    chosen = np.clip(answer[np.arange(len(y)), y], 1e-7, 1)
    shares = np.unique(y, return_counts=True)[1] / len(y)
    entropy = -np.sum(shares * np.log(shares))
    return max(-1.0, float(1 + np.log(chosen).mean() / entropy))


SCORES = {
    "accuracy": Score(_accuracy, _most_frequent),
    "balanced": Score(_balanced, lambda y: 1 / len(np.unique(y))),
    "r2": Score(_r2, lambda y: 0.0),
    "likelihood": Score(_likelihood, lambda y: 0.0),
    # Of a validation: 1 less the accuracy by which it flatters.
    "honesty": Score(_accuracy, lambda y: 0.0),
}


def judged(setup: Setup) -> tuple[float, float]:
    """Return the score of a trained program, and that of a constant."""
    score, y = SCORES[setup.score], setup.data.y_test
    chance = score.chance(y)
    reached = _score(setup, score, setup.data.x_test, y)
    if setup.score == "honesty":
        seen = _score(setup, score, *setup.fit["validation_data"])
        reached = 1 - max(0.0, seen - reached)
    return reached, chance


def _score(setup: Setup, score: Score, x: np.ndarray, y: np.ndarray) -> float:
    answer = np.asarray(setup.model.predict(x, len(x), verbose=0))
    if not np.isfinite(answer).all():
        return score.chance(y)
    return score.of(y, setup.decode(answer.astype("float64")))


def counts(faulty: dict, repaired: dict) -> bool:
    """Return whether the fault shows in what two versions have reached.

    The repaired version is better than the best constant answer by `GOOD`.
    The faulty one has lost at least the share `LOST` of that improvement. A
    version that the backend raises at was not trained, and does not count.
    """
    if faulty.get("raised") or repaired.get("raised"):
        return False
    gain = repaired["score"] - repaired["chance"]
    return (
        gain >= GOOD and faulty["score"] - faulty["chance"] <= (1 - LOST) * gain
    )
