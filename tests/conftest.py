"""Shared by all tests: the backend, warnings and models.

Run with `KERAS_BACKEND` set to `tensorflow`, `jax` or `torch`; one process
tests one backend.
"""

import contextlib
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Processes of tests share the processors; threads that wait for each other
# would take what is left.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where the processor has no AVX-512, TensorFlow convolves channels first only
# with oneDNN, which it leaves off there. And there PyTorch 2.13 corrupts the
# memory in the backward pass of a 1x1 convolution with strides and channels
# last, without Keras, too: oneDNN's kernels for AVX2 do.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if os.environ["KERAS_BACKEND"] == "torch":
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "SSE41")
# Models of tests take longer to compile than to train, and many are the same.
if os.environ["KERAS_BACKEND"] == "jax":
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true",
    )
    cache = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# No test talks to anything outside this machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import keras
import numpy as np
import pytest


def pytest_collection_modifyitems(config, items):
    backend = keras.config.backend()
    others = [
        item
        for item in items
        if (marker := item.get_closest_marker("backend"))
        and backend not in marker.args
    ]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(autouse=True)
def mlflows_own_store(monkeypatch):
    """Let no test set MLflow's global store for the next one."""
    # MLflow writes it into the environment, too, which is put back.
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri or "")
    if uri is None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    yield
    mlflow = sys.modules.get("mlflow")
    if hasattr(mlflow, "set_tracking_uri"):
        mlflow.set_tracking_uri(None)


@pytest.fixture(autouse=True)
def both_programs_of_jax(request, monkeypatch):
    """Let the few steps of a monitor's test run both programs of JAX."""
    of_monitors = {"taps", "callbacks"} & set(request.path.parts)
    if of_monitors and keras.config.backend() == "jax":
        from keras_ext.taps import jax as taps

        monkeypatch.setattr(taps, "PATIENCE", 1)


@pytest.fixture
def rng():
    return np.random.default_rng(1234)


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """A new MLflow database for all tests of a session, artifacts beside it.

    Making one takes seconds, so tests share it and use experiments of their
    own.
    """
    mlflow = pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    # MLflow puts the artifacts below the directory where the store is made.
    with contextlib.chdir(folder):
        mlflow.MlflowClient(tracking_uri=uri)
    return uri
