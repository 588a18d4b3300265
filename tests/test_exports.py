"""Every public component, figure and part of tracking: its documentation."""

import ast
import doctest
import importlib
import inspect
import re

import keras
import pytest

COMPONENTS = [
    f"keras_ext.{name}"
    for name in (
        "activations",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "optimizers",
        "regularizers",
    )
]
MODULES = [*COMPONENTS, "keras_ext.plots", "keras_ext.tracking"]


def exports(modules):
    for module_name in modules:
        module = importlib.import_module(module_name)
        for name, value in sorted(vars(module).items()):
            home = getattr(value, "__module__", None) or ""
            is_ours = callable(value) and home.startswith("keras_ext.")
            if is_ours and not name.startswith("_"):
                yield pytest.param(value, id=f"{module_name}.{name}")


EXPORTS = list(exports(MODULES))


def documented_arguments(docstring):
    """Return the text about each argument of the `Args:` section."""
    match = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.M | re.S)
    if match is None:
        return {}
    parts = re.split(r"^    (\*{0,2}\w+): ", match[1], flags=re.M)
    return {
        name.strip("*"): " ".join(text.split())
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_there_are_exports():
    names = {param.id for param in EXPORTS}
    assert {
        "keras_ext.activations.relu",
        "keras_ext.initializers.HeNormal",
        "keras_ext.layers.LeakyReLU",
        "keras_ext.losses.Huber",
        "keras_ext.optimizers.Adam",
        "keras_ext.plots.gradient_heatmap",
        "keras_ext.tracking.metric_key",
    } <= names


@pytest.mark.parametrize("module_name", MODULES)
def test_module_docstring(module_name):
    assert importlib.import_module(module_name).__doc__


@pytest.mark.parametrize("component", EXPORTS)
def test_docstring(component):
    docstring = inspect.cleandoc(component.__doc__)
    assert docstring.partition("\n")[0].endswith(".")
    assert re.search(r"Example:\n *>>> ", docstring)


# The other examples run in `test_docstrings.py`.
@pytest.mark.parametrize("component", list(exports(COMPONENTS)))
def test_example(component):
    finder = doctest.DocTestFinder(recurse=False)
    tests = finder.find(component, component.__name__, globs={})
    assert sum(len(test.examples) for test in tests) > 0
    for test in tests:
        output = []
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(test, out=output.append)
        assert runner.summarize(verbose=False).failed == 0, "".join(output)


@pytest.mark.parametrize("component", list(exports(COMPONENTS)))
def test_registered_under_the_package(component):
    # An alias is registered once, under the name of its class.
    name = f"keras_ext>{component.__name__}"
    assert keras.saving.get_registered_name(component) == name
    assert keras.saving.get_registered_object(name) is component


@pytest.mark.parametrize(
    "component", [param for param in EXPORTS if "TrackingError" not in param.id]
)
def test_documented_defaults_are_the_real_ones(component):
    documented = documented_arguments(inspect.cleandoc(component.__doc__))
    parameters = inspect.signature(component).parameters.values()
    assert set(documented) == {p.name for p in parameters}
    for parameter in parameters:
        default = re.search(r"Defaults to `(.+?)`", documented[parameter.name])
        if parameter.default is parameter.empty:
            assert default is None, parameter.name
        else:
            assert default is not None, parameter.name
            assert ast.literal_eval(default[1]) == parameter.default
