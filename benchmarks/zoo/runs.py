"""Trainings of one model, and what is left after them."""

import contextlib
import hashlib
import pathlib
import random
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.zoo import registry

SEED = 7


def made(name: str, source: str) -> registry.Case:
    """Make a model from fixed seeds, in a fresh Keras session."""
    known = len(sys.modules)
    case = _made(name, source)
    if len(sys.modules) > known:
        # An import may draw random numbers, but only the first time.
        case = _made(name, source)
    return case


def _made(name: str, source: str) -> registry.Case:
    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    case = registry.make(name, source)
    model = case.model
    if (
        keras.config.backend() == "tensorflow"
        and not source.startswith("From scratch")
        and model.built
        and model.optimizer is not None
    ):
        # A step that creates no variables is traced once, not twice. Models
        # from scratch take the way that people take.
        model.optimizer.build(model.trainable_variables)
    keras.utils.set_random_seed(SEED)
    return case


def train(
    case: registry.Case, callbacks: list[Any], steps: int | None = None
) -> dict[str, list[float]]:
    """Train, at most a number of steps, and return the history."""
    if case.train is not None:
        return case.train(case, callbacks, steps)
    if steps is not None:
        callbacks = [*callbacks, _Stop(steps)]
    history = case.model.fit(
        case.x,
        case.y,
        batch_size=None if case.is_dataset else case.batch_size,
        epochs=case.epochs,
        callbacks=callbacks,
        verbose=0,
    )
    return history.history


class _Stop(keras.callbacks.Callback):
    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps -= 1
        if self.steps <= 0:
            self.model.stop_training = True


def optimizers_of(model: Any) -> dict[str, Any]:
    """Return the optimizers that are attributes of a model."""
    found = {
        name: value
        for name, value in vars(model).items()
        if isinstance(value, keras.optimizers.Optimizer)
    }
    # `optimizer` is a private attribute behind a property in some versions.
    first = getattr(model, "optimizer", None)
    known = {id(value) for value in found.values()}
    if first is not None and id(first) not in known:
        found["optimizer"] = first
    return found


def state_of(model: Any) -> dict[str, list[np.ndarray]]:
    """Return copies of all numbers that a training changes."""
    return {
        "weights and seeds": arrays(model.variables),
        "metrics": arrays(model.metrics_variables),
        "optimizers": [
            array
            for optimizer in optimizers_of(model).values()
            for array in arrays(optimizer.variables)
        ],
        "random generators": [_random_state()],
    }


def arrays(variables: Any) -> list[np.ndarray]:
    """Return copies of the values of variables."""
    return [
        np.array(keras.ops.convert_to_numpy(v.value))
        for v in variables
        if not str(v.dtype).startswith("string")
    ]


def _random_state() -> np.ndarray:
    parts = [repr(random.getstate()), repr(np.random.get_state())]
    if keras.config.backend() == "torch":
        import torch

        parts.append(repr(torch.get_rng_state().tolist()))
    digest = hashlib.sha256("".join(parts).encode()).digest()
    return np.frombuffer(digest, "uint8")


def distance(first: Any, second: Any) -> float:
    """Return the largest difference, relative to the largest entry.

    It is taken array by array. It is infinite if the arrays do not match.
    """
    largest = 0.0
    if [a.shape for a in first] != [b.shape for b in second]:
        return float("inf")
    for a, b in zip(first, second, strict=True):
        if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            continue
        if a.dtype.kind not in "fc":
            return float("inf")
        scale = max(np.abs(a).max(), np.abs(b).max(), 1e-30)
        off = float(np.abs(a.astype("float64") - b).max() / scale)
        largest = max(largest, off if np.isfinite(off) else float("inf"))
    return largest


def brief(error: BaseException) -> str:
    """Return an error in one short line, with its place."""
    # Keras wraps the cause in the configs of everything around it.
    cause = str(error).split("Exception encountered:")[-1]
    message = " ".join(cause.split())
    if len(message) > 200:
        message = message[:197] + "..."
    frames = traceback.extract_tb(error.__traceback__)
    last = next(
        (f for f in reversed(frames) if "keras_ext" in f.filename), None
    )
    where = (
        f" ({pathlib.Path(last.filename).name}:{last.lineno})" if last else ""
    )
    return f"{type(error).__name__}{where}: {message}"


class FirstStep:
    """The gradients that optimizers received in a step.

    Attributes:
        norms: Maps the id of a `keras.Variable` to the norm of its gradient,
            of the last `apply` if there were several. A variable that
            received no gradient has none.
    """

    def __init__(self) -> None:
        self.norms: dict[int, float] = {}

    @property
    def global_norm(self) -> float:
        """The norm over all variables."""
        squares = np.square(np.array(list(self.norms.values()), "float64"))
        return float(np.sqrt(squares.sum()))

    def norm_of(self, variables: Any) -> float | None:
        """Return the norm over some variables, `None` without a gradient."""
        norms = [self.norms[id(v)] for v in variables if id(v) in self.norms]
        return float(np.linalg.norm(norms)) if norms else None

    @contextlib.contextmanager
    def recording(self, model: Any) -> Iterator[None]:
        """Record the optimizers' `apply`, for one step.

        It needs nothing of keras_ext: the compiled step passes the norms of
        the gradients that Keras's step computes to the host.
        """
        optimizers = list(optimizers_of(model).values())
        for optimizer in optimizers:
            vars(optimizer)["apply"] = self._recorded(optimizer)
        try:
            yield
        finally:
            for optimizer in optimizers:
                del vars(optimizer)["apply"]

    def _recorded(self, optimizer: Any) -> Any:
        apply = type(optimizer).apply

        def recorded(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = list(
                trainable_variables
                if trainable_variables is not None
                else optimizer._trainable_variables
            )
            pairs = [
                (v, g)
                for v, g in zip(variables, grads, strict=True)
                if g is not None
            ]
            ids = [id(v) for v, _ in pairs]

            def store(norms: Any) -> None:
                for key, norm in zip(ids, np.array(norms), strict=True):
                    self.norms[key] = float(norm)

            _emit(store, [_norm(g) for _, g in pairs])
            return apply(optimizer, grads, trainable_variables)

        return recorded


def _norm(gradient: Any) -> Any:
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if isinstance(gradient, tf.IndexedSlices):
            gradient = tf.convert_to_tensor(gradient)
    gradient = keras.ops.cast(gradient, "float32")
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(gradient)))


def _emit(store: Any, norms: list[Any]) -> None:
    """Pass numbers of a step that may be compiled to the host."""
    if not norms:
        return
    row = keras.ops.stack(norms)
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def store_and_return(row: Any) -> Any:
            store(row)
            return np.float32(0)

        tf.numpy_function(store_and_return, [row], tf.float32)
    elif backend == "jax":
        import jax

        jax.debug.callback(store, row)
    else:
        store(keras.ops.convert_to_numpy(row))
