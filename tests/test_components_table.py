"""The table of components is complete and correct."""

import importlib
import inspect
import re
from pathlib import Path

import keras
import pytest

import keras_ext

ROOT = Path(__file__).parents[1]
COLUMNS = [
    "algorithm",
    "component",
    "formula",
    "built-in",
    "deviation",
    "test",
    "speed",
]
# Every algorithm that a component has to implement.
ALGORITHMS = {
    "Activations": [
        *("linear (identity)", "step", "sigmoid", "tanh", "ReLU"),
        *("leaky ReLU", "ELU", "SELU", "Swish (SiLU)", "softmax"),
    ],
    "Losses": [
        "mean squared error",
        "mean absolute error",
        "mean absolute percentage error",
        *("Huber", "log-cosh", "quantile (pinball)"),
        "binary crossentropy (log loss)",
        "categorical crossentropy",
        "multi-label (per-class) crossentropy",
        "focal crossentropy",
        "Kullback-Leibler divergence (relative entropy)",
        *("exponential (AdaBoost)", "hinge"),
    ],
    "Initializers": [
        *("zeros", "random normal", "random uniform", "scaled normal"),
        *("Glorot (Xavier) normal", "Glorot (Xavier) uniform"),
        *("He normal", "He uniform", "LeCun normal", "LeCun uniform"),
    ],
    "Regularizers": [
        *("L1 penalty", "L2 penalty", "L1 and L2 penalty (elastic net)"),
    ],
    "Optimizers": [
        *("gradient descent", "momentum", "Nesterov accelerated gradient"),
        *("Adagrad", "RMSprop", "Adam", "AdamW", "gradient clipping"),
        "weight decay, EMA, gradient accumulation, loss scaling, sparse "
        "gradients",
        "learning-rate schedules",
    ],
    "Layers": [
        *("dense (fully connected)", "perceptron", "dropout"),
        *("ReLU", "leaky ReLU", "ELU", "softmax", "step"),
        "SELU, Swish, sigmoid, tanh, linear",
        *("batch normalization", "standardization", "min-max scaling"),
        "residual (skip) connection",
    ],
}
ROOMS = [section.lower() for section in ALGORITHMS]


def rows():
    """Yield the section and the cells of each row."""
    section = None
    for line in (ROOT / "docs/components.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and "---" not in line:
            # A bar within a formula is written `\\|`.
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            cells = [cell.strip() for cell in cells]
            assert len(cells) == len(COLUMNS), line
            if cells != COLUMNS:
                yield section, dict(zip(COLUMNS, cells, strict=True))


ROWS = list(rows())
CELLS = [pytest.param(*row, id=row[1]["component"]) for row in ROWS]


def names(cell):
    return re.findall(r"`(\w+\.\w+)[^`]*`", cell)


def find(path):
    value = keras_ext
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("section", ALGORITHMS)
def test_every_algorithm_has_its_component(section):
    listed = {row["algorithm"] for where, row in ROWS if where == section}
    assert set(ALGORITHMS[section]) <= listed


def test_every_component_has_its_row():
    public = {
        f"{room}.{name}"
        for room in ROOMS
        for name, value in vars(
            importlib.import_module(f"keras_ext.{room}")
        ).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("keras_ext.")
    }
    listed = {name for _, row in ROWS for name in names(row["component"])}
    # Loss functions and lower-case aliases share the row of their class.
    listed |= {
        name
        for name in public
        if name == name.lower() and not name.startswith("activations.")
    }
    assert public == listed


@pytest.mark.parametrize(("section", "row"), CELLS)
def test_row(section, row):
    cell = row["component"]
    components = [find(name) for name in names(cell)]
    assert components or cell.startswith("all: ")
    assert all(row[column] for column in COLUMNS)
    assert len(row["deviation"].split()) <= 15
    for path in re.findall(r"`([^`]+)`", row["test"]):
        assert (ROOT / path).is_file(), path

    builtins = re.findall(r"`keras\.([\w.]+)`", row["built-in"])
    assert builtins or row["built-in"] == "none"
    found = {path.rpartition(".")[2]: builtin(path) for path in builtins}
    for component in components:
        if row["deviation"].startswith("new"):
            bases = tuple(found.values())
            assert not bases or issubclass(component, bases)
        elif inspect.isclass(component):
            assert issubclass(component, found[component.__name__])
            assert component is not found[component.__name__]
        else:
            assert component is not found[component.__name__]


def builtin(path):
    value = keras
    for part in path.split("."):
        value = getattr(value, part)
    return value


# Names of the variants of one class in docs/benchmarks.md.
VARIANTS = {
    "optimizers.SGD(momentum=β)": "momentum",
    "optimizers.SGD(momentum=β, nesterov=True)": "Nesterov",
}


def measured(component):
    """Yield the ratios on TensorFlow of the benchmarks of a component."""
    name = VARIANTS.get(component, component.rpartition(".")[2])
    for line in (ROOT / "docs/benchmarks.md").read_text().splitlines():
        first, *ratios = [cell.strip() for cell in line.split("|")[1:-1]] or [
            ""
        ]
        if re.match(rf"`?{name}\b", first):
            yield ratios[0].split()[0]


@pytest.mark.parametrize(("section", "row"), CELLS)
def test_speeds_are_those_of_the_benchmarks(section, row):
    components = re.findall(r"`([^`]+)`", row["component"])
    listed = re.findall(r"\d+\.\d+", row["speed"])
    assert listed or row["speed"] == "–"
    known = [set(measured(component)) for component in components]
    for ratio in listed:
        assert any(ratio in ratios for ratios in known), ratio
