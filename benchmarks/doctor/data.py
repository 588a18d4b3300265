"""The data sets: what ships with scikit-learn, and generated ones."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import datasets


@dataclass(frozen=True)
class Task:
    """A data set and what a healthy model reaches on it.

    Attributes:
        name: Its name.
        kind: `"binary"`, `"classes"`, `"regression"` or `"autoencoder"`.
        families: The families of models that can learn it.
        good: Score on unseen data from which on a model counts as healthy:
            accuracy, or the share of the targets' variance explained.
        load: Returns inputs as they were measured, and targets.
        train: Number of training samples.
    """

    name: str
    kind: str
    families: tuple[str, ...]
    good: float
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    train: int


@dataclass
class Split:
    """Arrays to train on and to judge by.

    Attributes:
        x, y: The training data.
        x_test, y_test: Unseen data, which also serves for validation.
        chance: The score of the best constant answer.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    chance: float


def _digits():
    x, y = datasets.load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8), y


def _flat_digits():
    return datasets.load_digits(return_X_y=True)


def _moons():
    return datasets.make_moons(1000, noise=0.15, random_state=1)


def _clusters():
    return datasets.make_classification(
        1200,
        20,
        n_informative=8,
        n_redundant=4,
        n_classes=4,
        n_clusters_per_class=1,
        class_sep=1.8,
        random_state=2,
    )


def _circles():
    return datasets.make_circles(900, noise=0.1, factor=0.45, random_state=9)


def _shells():
    """Three classes, one inside the other, in five features."""
    return datasets.make_gaussian_quantiles(
        n_samples=1200, n_features=5, n_classes=3, random_state=10
    )


def _rare():
    """Two classes, of which one makes 20 %."""
    return datasets.make_classification(
        1200,
        15,
        n_informative=8,
        n_clusters_per_class=1,
        weights=[0.8],
        class_sep=1.6,
        flip_y=0.01,
        random_state=11,
    )


def _impedance():
    """Features of unlike ranges, targets of a few hundred."""
    return datasets.make_friedman2(1100, noise=20.0, random_state=12)


def _linear():
    return datasets.make_regression(900, 12, noise=15.0, random_state=3)


def _friedman():
    return datasets.make_friedman1(1200, 8, noise=0.5, random_state=4)


def _stripes(samples=900, side=12):
    """Images of stripes in four directions, with noise."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 4, samples)
    angle = y * np.pi / 4 + rng.normal(0, 0.08, samples)
    wave = rng.uniform(0.8, 1.6, samples)
    phase = rng.uniform(0, 2 * np.pi, samples)
    i, j = np.mgrid[:side, :side]
    along = np.cos(angle)[:, None, None] * i + np.sin(angle)[:, None, None] * j
    x = np.sin(wave[:, None, None] * along + phase[:, None, None])
    return x + rng.normal(0, 0.4, x.shape), y


def _waves(samples=900, length=24):
    """Sequences of three shapes, or of noise, one number a step."""
    rng = np.random.default_rng(6)
    y = rng.integers(0, 3, samples)
    period = rng.uniform(6, 10, samples)
    t = np.arange(length) / period[:, None] + rng.uniform(0, 1, (samples, 1))
    shapes = (
        np.sin(2 * np.pi * t),
        np.sign(np.sin(2 * np.pi * t)) * 0.7,
        rng.normal(0, 0.7, t.shape),
    )
    x = np.choose(y[:, None], shapes) + rng.normal(0, 0.15, t.shape)
    return x[..., None], y


def _forecast(samples=900, length=20):
    """A noisy sine and the value that follows it."""
    rng = np.random.default_rng(7)
    t = np.arange(length + 1) / rng.uniform(5, 12, (samples, 1))
    curve = np.sin(2 * np.pi * (t + rng.uniform(0, 1, (samples, 1))))
    x = curve[:, :-1] + rng.normal(0, 0.08, (samples, length))
    return x[..., None], curve[:, -1]


def _majority(samples=900, length=16):
    """Sequences of two features: which of them is larger in the mean."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(samples, length, 2))
    return x, (x[..., 0].mean(1) > x[..., 1].mean(1)).astype(int)


TASKS = {
    task.name: task
    for task in (
        Task("digits", "classes", ("mlp",), 0.9, _flat_digits, 1000),
        Task("digit_images", "classes", ("cnn",), 0.9, _digits, 1000),
        Task("digit_rows", "classes", ("rnn",), 0.85, _digits, 1000),
        Task(
            "wine",
            "classes",
            ("mlp",),
            0.92,
            lambda: datasets.load_wine(return_X_y=True),
            112,
        ),
        Task(
            "breast_cancer",
            "binary",
            ("mlp",),
            0.93,
            lambda: datasets.load_breast_cancer(return_X_y=True),
            384,
        ),
        Task(
            "diabetes",
            "regression",
            ("mlp",),
            0.33,
            lambda: datasets.load_diabetes(return_X_y=True, scaled=False),
            320,
        ),
        Task("moons", "binary", ("mlp",), 0.93, _moons, 640),
        Task("clusters", "classes", ("mlp",), 0.88, _clusters, 768),
        Task("linear", "regression", ("mlp",), 0.9, _linear, 640),
        Task("friedman", "regression", ("mlp",), 0.8, _friedman, 768),
        Task("circles", "binary", ("mlp",), 0.95, _circles, 600),
        Task("shells", "classes", ("mlp",), 0.8, _shells, 800),
        Task("rare", "binary", ("mlp",), 0.92, _rare, 800),
        Task("impedance", "regression", ("mlp",), 0.9, _impedance, 700),
        Task("stripes", "classes", ("cnn",), 0.9, _stripes, 640),
        Task("waves", "classes", ("rnn",), 0.9, _waves, 640),
        Task("forecast", "regression", ("rnn",), 0.85, _forecast, 640),
        Task("majority", "binary", ("rnn",), 0.9, _majority, 640),
        Task("coded_digits", "autoencoder", ("ae",), 0.5, _flat_digits, 1000),
        Task(
            "coded_cancer",
            "autoencoder",
            ("ae",),
            0.6,
            lambda: datasets.load_breast_cancer(return_X_y=True),
            384,
        ),
        Task("coded_clusters", "autoencoder", ("ae",), 0.4, _clusters, 768),
    )
}


@functools.cache
def _loaded(name: str) -> tuple[np.ndarray, np.ndarray]:
    return TASKS[name].load()


def split(name: str, scaling: str, seed: int) -> Split:
    """Return the data of a task, shuffled and scaled.

    Args:
        name: The task's name.
        scaling: `"standard"`: each feature, or with images and sequences
            all of them together, has mean 0 and standard deviation 1 in the
            training data; `"minmax"`: lies in [0, 1] there.
        seed: Of the split.
    """
    task = TASKS[name]
    x, y = _loaded(name)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float64"), y[order]
    train = x[: task.train]
    # The last axis of sequences and images is no feature of its own.
    axis = 0 if x.ndim == 2 and "digits" not in name else None
    if scaling == "minmax":
        low, high = train.min(axis), train.max(axis)
        x = (x - low) / np.where(high > low, high - low, 1)
    else:
        std = train.std(axis)
        x = (x - train.mean(axis)) / np.where(std > 0, std, 1)
    if task.families == ("cnn",):
        x = x[..., None]
    x = x.astype("float32")
    if task.kind == "autoencoder":
        y = x
    elif task.kind == "regression":
        y = (y - y[: task.train].mean()) / y[: task.train].std()
        y = y.astype("float32")
    n, end = task.train, task.train + 400
    y_test = y[n:end]
    chance = 0.0
    if task.kind in ("binary", "classes"):
        chance = float(np.bincount(y_test).max() / len(y_test))
    return Split(x[:n], y[:n], x[n:end], y_test, chance)


def raw(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs of `split` as they were measured."""
    task = TASKS[name]
    x = _loaded(name)[0]
    x = x[np.random.default_rng(seed).permutation(len(x))].astype("float32")
    if task.families == ("cnn",):
        x = x[..., None]
    return x[: task.train], x[task.train : task.train + 400]
