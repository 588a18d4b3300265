"""Shared by all tests: the backend, warnings and models.

Run with `KERAS_BACKEND` set to `tensorflow`, `jax` or `torch`; one process
tests one backend.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    backend = keras.config.backend()
    for item in items:
        marker = item.get_closest_marker("backend")
        if marker and backend not in marker.args:
            item.add_marker(
                pytest.mark.skip(reason=f"not a test of {backend}")
            )


@pytest.fixture
def rng():
    return np.random.default_rng(1234)
