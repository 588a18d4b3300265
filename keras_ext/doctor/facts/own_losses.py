"""Recognizing a person's own loss by its values on known inputs."""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ext.doctor.facts.attempt import tried

_DISTRIBUTIONS = np.array(
    [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.15, 0.7, 0.15]], "float32"
)
_SHARES = np.array([[0.3], [0.8], [0.6]], "float32")
_LABELS = np.array([2, 0, 0], "int32")
_ONE_HOT = np.eye(3, dtype="float32")[_LABELS]
_BINARY = np.array([[0.0], [1.0], [1.0]], "float32")
_NUMBERS = np.array([[1.4], [-0.6], [0.1]], "float32")
# Name, targets, predictions.
_CASES = (
    ("categorical_crossentropy", _ONE_HOT, _DISTRIBUTIONS),
    ("sparse_categorical_crossentropy", _LABELS, _DISTRIBUTIONS),
    ("sparse_categorical_crossentropy", _LABELS[:, None], _DISTRIBUTIONS),
    ("binary_crossentropy", _BINARY, _SHARES),
    ("mean_squared_error", _NUMBERS, _SHARES),
    ("mean_absolute_error", _NUMBERS, _SHARES),
)
_TOLERANCE = 1e-4


def recognized(loss: Callable) -> tuple[str | None, bool]:
    """Return which loss of Keras a function equals.

    It is called on a few numbers outside of any training. Random generators
    and variables stay as they are.

    Args:
        loss: A function of targets and predictions, or a `keras.losses.Loss`.

    Returns:
        The name of Keras's function, or `None`; and whether the loss takes
        logits. The latter is known for every loss that does not change if all
        predictions of a sample grow by the same number.
    """
    with _same_random_numbers(), keras.StatelessScope():
        for name, y, p in _CASES:
            value = _value(loss, y, p)
            if value is None:
                continue
            for from_logits in (False, True):
                if _equals(value, _reference(name, y, p, from_logits)):
                    return name, from_logits
        return None, any(
            map(lambda c: _ignores_shift(loss, *c[1:]), _CASES[:3])
        )


def _value(loss: Callable, y: np.ndarray, p: np.ndarray) -> Any:
    tensors = ops.convert_to_tensor(y), ops.convert_to_tensor(p)
    value = tried(lambda: ops.convert_to_numpy(loss(*tensors)), None)
    if value is None or not np.isfinite(value).all():
        return None
    return value


def _reference(
    name: str, y: np.ndarray, p: np.ndarray, from_logits: bool
) -> np.ndarray | None:
    function = getattr(keras.losses, name)
    options = {"from_logits": True} if from_logits else {}
    if from_logits and "crossentropy" not in name:
        return None
    return ops.convert_to_numpy(
        function(ops.convert_to_tensor(y), ops.convert_to_tensor(p), **options)
    )


def _equals(value: np.ndarray, samples: np.ndarray | None) -> bool:
    """Return whether a loss, reduced or not, is that of these samples."""
    if samples is None:
        return False
    sums = (np.mean(samples), np.sum(samples))
    return any(
        abs(float(np.mean(value)) - s) <= _TOLERANCE * abs(s)
        for s in (sums if value.size == 1 else sums[:1])
    )


def _ignores_shift(loss: Callable, y: np.ndarray, p: np.ndarray) -> bool:
    here, there = _value(loss, y, p), _value(loss, y, p + np.float32(0.1))
    other = _value(loss, y, p[:, ::-1].copy())
    if here is None or there is None or other is None:
        return False
    depends = not np.allclose(here, other, rtol=_TOLERANCE)
    return depends and np.allclose(here, there, rtol=_TOLERANCE)


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    backend: Any = contextlib.nullcontext()
    if keras.config.backend() == "torch":
        import torch

        backend = torch.random.fork_rng(devices=[])
    try:
        with backend:
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
