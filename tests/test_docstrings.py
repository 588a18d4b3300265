"""The examples in the docstrings of callbacks, figures and tuners run."""

import doctest

import keras
import pytest

import keras_ext

CLASSES = [
    value
    for module in (keras_ext.plots, keras_ext.tracking)
    for name, value in vars(module).items()
    if callable(value) and not name.startswith("_")
]
CLASSES += [
    keras_ext.callbacks.GradientNormLogger,
    keras_ext.callbacks.DeadReLULogger,
    keras_ext.callbacks.UpdateRatioLogger,
    keras_ext.callbacks.ActivationLogger,
    keras_ext.callbacks.MLflowLogger,
    keras_ext.tuners.RandomSearch,
    keras_ext.tuners.GridSearch,
    keras_ext.tuners.BayesianOptimization,
    keras_ext.tuners.Hyperband,
    keras_ext.tuners.OptunaSearch,
    keras_ext.tuners.OptunaOracle,
    keras_ext.tuners.TrackedTuner,
    keras_ext.tuners.Pruner,
    keras_ext.tuners.TrialHistory,
    keras_ext.tuners.MedianPruner,
    keras_ext.tuners.ASHAPruner,
]


# The examples leave it to Python to remove their folders.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.backend("torch")
@pytest.mark.parametrize("subject", CLASSES, ids=lambda c: c.__name__)
def test_example(subject, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.clear_session()
    found = doctest.DocTestFinder(recurse=False).find(subject)
    assert any(test.examples for test in found)
    for test in found:
        result = doctest.DocTestRunner().run(test)
        assert result.failed == 0
