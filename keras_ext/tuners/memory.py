"""Collecting garbage without looking at all that is no garbage."""

import contextlib
import gc
from collections.abc import Iterator

import keras

# So often JAX's programs are let go of: what the next trial needs again is
# compiled once more.
TRIALS_BETWEEN = 8


@contextlib.contextmanager
def quick_collections() -> Iterator[None]:
    """Leave the objects that exist now out of garbage collections.

    keras-tuner collects garbage twice for each model that it builds. Nearly
    all of the objects looked at belong to the libraries and stay; with
    TensorFlow and MLflow looking at them takes 0.7 seconds per trial.
    """
    if gc.get_freeze_count():
        # Whoever froze them has plans of their own.
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def forget_programs() -> None:
    """Let go of what JAX compiled for models that are gone.

    It keeps every program for as long as the process lives: 12 MB for each
    trial of a search over small models.
    """
    if keras.config.backend() == "jax":
        import jax

        jax.clear_caches()
