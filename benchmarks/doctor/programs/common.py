"""What the published programs share."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.doctor import data
from benchmarks.doctor.data import Split
from benchmarks.doctor.unusual.common import dense as dense, softmax as softmax
from keras_ext.doctor import PROBLEMS

# Problems that the doctor does not look for yet.
COMING = (
    "too_few_epochs",
    "unscaled_target",
    "misaligned_labels",
    "class_imbalance",
    "validation_leak",
    "frozen_weights",
    "data_pipeline",
)
LABELS = tuple(dict.fromkeys((*PROBLEMS, *COMING)))
HALVES = ("dev", "report")
POST = "CC BY-SA"


@dataclass
class Setup:
    """A model and how it is trained.

    Attributes:
        model: Not compiled.
        data: What it is trained on, and unseen inputs with the true answers.
        loss, optimizer: Of `compile`.
        epochs: That the program trains.
        batch_size: Of `fit`.
        score: How its answers are judged, a key of `scoring.SCORES`.
        decode: Turns the model's answers into those that are judged.
        batches: What `fit` gets instead of the arrays of `data`.
        fit: Further options of `fit`.
    """

    model: Any
    data: Split
    loss: Any
    optimizer: Any
    epochs: int
    batch_size: int = 32
    score: str = "accuracy"
    decode: Callable[[np.ndarray], np.ndarray] = np.asarray
    batches: Any = None
    fit: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A published faulty program and its repair.

    Attributes:
        name: Its name in this bench.
        source: Where it was published.
        listed: The paper or tool whose bench has it; may be empty.
        licence: Of the source. Only its facts are used.
        fault, repair: One line each.
        first: The labels that are right when named first.
        truth: All labels that are right among the findings.
        build: Returns the faulty version, or with `True` the repaired one.
    """

    name: str
    source: str
    listed: str
    licence: str
    fault: str
    repair: str
    first: tuple[str, ...]
    truth: tuple[str, ...]
    build: Callable[[bool], Setup]

    @property
    def half(self) -> str:
        """The half that it belongs to, by a hash of its name."""
        return HALVES[hashlib.sha256(self.name.encode()).digest()[0] % 2]

    @property
    def file(self) -> str:
        """The file that builds it."""
        return inspect.getsourcefile(self.build) or ""


PROGRAMS: dict[str, Program] = {}


def program(
    source: str,
    fault: str,
    repair: str,
    first: str,
    also: str = "",
    listed: str = "",
    licence: str = POST,
) -> Callable[[Callable[[bool], Setup]], Callable[[bool], Setup]]:
    """Put a function that builds a program into `PROGRAMS`.

    Args:
        source: Where it was published: the number of a Stack Overflow post,
            or words.
        fault: One line.
        repair: One line.
        first: The labels that are right when named first, the truest first.
        also: Further labels that are right among the findings.
        listed: The paper or tool whose bench has it.
        licence: Of the source.
    """

    def put(build: Callable[[bool], Setup]) -> Callable[[bool], Setup]:
        name = build.__name__
        if name in PROGRAMS:
            raise ValueError(f"Two programs are named {name!r}.")
        where = f"Stack Overflow {source}" if source.isdigit() else source
        PROGRAMS[name] = Program(
            name,
            where,
            listed,
            licence,
            fault,
            repair,
            tuple(first.split()),
            tuple(f"{first} {also}".split()),
            build,
        )
        return build

    return put


def task(name: str, scaling: str = "standard") -> Split:
    """Return one of the data sets of `benchmarks.doctor.data`."""
    return data.split(name, scaling, 0)


def as_measured(name: str) -> Split:
    """Return a data set whose inputs are as they were measured."""
    scaled = task(name)
    x, x_test = data.raw(name, 0)
    return Split(x, scaled.y, x_test, scaled.y_test, scaled.chance)


def halved(x: Any, y: Any, train: float = 0.7) -> Split:
    """Return arrays, shuffled, as data to train on and unseen data."""
    x = np.asarray(x, "float32")
    order = np.random.default_rng(0).permutation(len(x))
    n = round(train * len(x))
    x, y = x[order], np.asarray(y)[order]
    return Split(x[:n], y[:n], x[n:], y[n:], 0.0)


def all_of(x: Any, y: Any) -> Split:
    """Return data so small that they are judged on as well."""
    x, y = np.asarray(x, "float32"), np.asarray(y)
    return Split(x, y, x, y, 0.0)


def changed(split: Split, **parts: Any) -> Split:
    """Return data with other arrays in places: `x`, `y`, `x_test`, `y_test`."""
    return Split(**{**vars(split), **parts})


def standardized(split: Split) -> Split:
    """Return data with inputs of mean 0 and standard deviation 1."""
    mean, std = split.x.mean(0), split.x.std(0)
    std = np.where(std > 0, std, 1)
    x, x_test = (split.x - mean) / std, (split.x_test - mean) / std
    return changed(split, x=x, x_test=x_test)


def one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    """Return labels as rows with a single 1."""
    return np.eye(classes, dtype="float32")[y]


def with_one_hot(split: Split, classes: int) -> Split:
    """Return data whose training labels are rows with a single 1."""
    return changed(split, y=one_hot(split.y, classes))


def conv(
    shape: tuple[int, ...],
    *filters: int,
    last: Any,
    activation: Any = "relu",
    units: tuple[int, ...] = (32,),
    dropout: float = 0.0,
    kernel: int = 3,
    **options: Any,
) -> Any:
    """Return a plain convolutional model; options go to its convolutions."""
    parts: list[Any] = [keras.Input(shape)]
    for n in filters:
        conv_nd = layers.Conv2D if len(shape) == 3 else layers.Conv1D
        pool = layers.MaxPooling2D if len(shape) == 3 else layers.MaxPooling1D
        parts.append(
            conv_nd(n, kernel, padding="same", activation=activation, **options)
        )
        parts.append(pool(2))
    parts.append(layers.Flatten())
    parts += [layers.Dense(n, activation) for n in units]
    if dropout:
        parts.append(layers.Dropout(dropout))
    return keras.Sequential([*parts, last])
