"""What the tests of `convert` compare."""

import warnings

import keras
import numpy as np

from keras_ext import convert

N_IN = 6


def data(rng):
    x = rng.normal(size=(32, N_IN)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def fit(model, x, y, epochs=2):
    history = model.fit(
        x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0
    )
    return history.history


def sequential(*layers):
    return keras.Sequential([keras.Input((N_IN,)), *layers])


def converted(model):
    """Returns the new model; fails if something is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "`convert` could not keep")
        return convert(model, print_fn=None)


def reported(model):
    """Returns the lines of the report."""
    reports = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`convert` could not keep")
        convert(model, print_fn=reports.append)
    return reports[0].splitlines()


def assert_same_values(old, new):
    for a, b in zip(old, new, strict=True):
        assert a is not b
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
        )


def assert_same_state(old, new):
    """Compares variables, flags and optimizer, before any training."""
    assert_same_values(old.variables, new.variables)
    assert [v.trainable for v in old.variables] == [
        v.trainable for v in new.variables
    ]
    if getattr(old, "optimizer", None) is not None:
        assert_same_optimizer(old.optimizer, new.optimizer)


def assert_same_optimizer(old, new):
    assert type(old).__name__ == type(new).__name__
    config = new.get_config()
    for name, value in old.get_config().items():
        if name != "inner_optimizer":
            assert config[name] == value, name
    assert old.built == new.built
    assert_same_values(old.variables, new.variables)


def assert_trains_alike(old, new, x, y):
    assert_same_state(old, new)
    expected = fit(old, x, y)
    history = fit(new, x, y)
    assert list(history) == list(expected)
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name], 1e-4, 1e-6, name)
