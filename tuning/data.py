"""The data of the searches: images of digits, and tables of numbers."""

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ext.cli.search.definition import (
    CLASSES,
    REGRESSION,
    Data,
    Split,
)
from keras_ext.cli.usage import UsageError

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def add_data_file(parser: argparse.ArgumentParser) -> None:
    """Add `--data-file` to the parser of a search on images."""
    parser.add_argument(
        "--data-file",
        metavar="NPZ",
        help="images in the format of Keras's mnist.npz; default: "
        "scikit-learn's digits",
    )


def load(data_file: str | None, seed: int, form: str = "pixels") -> Data:
    """Load, split and standardize images.

    The split of the built-in images is 64 : 16 : 20. An archive has test
    images of its own, and a sixth of its training images are for validation.
    Only the training images define mean and scale.

    Args:
        data_file: Path of an archive in the format of Keras's `mnist.npz`;
            `None` for scikit-learn's 1,797 images of digits.
        seed: Seed of the split.
        form: `"pixels"` for inputs of shape `(height * width,)`, `"images"`
            for `(height, width, channels)`, `"sequences"` for
            `(height, width * channels)`.

    Raises:
        UsageError: The file cannot be used.
    """
    require_scikit_learn()
    if data_file is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        train, validation, test = split(digits.images, digits.target, seed)
    else:
        x, y, x_test, y_test = read_archive(Path(data_file))
        train, validation = _halves(x, y, 1 / 6, seed, stratify=True)
        test = Split(x_test, y_test)
    classes = int(train.y.max()) + 1
    shape = _shape(train.x.shape[1:], form)
    mean, scale = statistics(train.x)
    train, validation, test = (
        Split(
            standardize(part.x, mean, scale).reshape(len(part.x), *shape),
            part.y.astype("int32"),
        )
        for part in (train, validation, test)
    )
    preparation = {
        "formula": "(x - mean) * scale",
        "mean": mean.tolist(),
        "scale": scale,
        "shape": list(shape),
    }
    return Data(
        train, validation, test, CLASSES, classes, preparation, "images"
    )


def from_scikit_learn(name: str, kind: str, rows: str, seed: int) -> Data:
    """Load, split and standardize one of scikit-learn's tables of numbers.

    The training part has 64 % of the rows. In it, each column and the target
    of a regression have mean 0 and standard deviation 1.

    Args:
        name: `wine` or `diabetes`.
        kind: `CLASSES` or `REGRESSION`.
        rows: What a row is, in the plural, such as `wines`.
        seed: Seed of the split.
    """
    require_scikit_learn()
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    table = getattr(datasets, f"load_{name}")(**options)
    parts = split(table.data, table.target, seed, stratify=kind == CLASSES)
    mean, deviation = parts[0].x.mean(axis=0), parts[0].x.std(axis=0)
    for part in parts:
        part.x = ((part.x - mean) / deviation).astype("float32")
    preparation = {
        "formula": "(x - mean) / deviation",
        "columns": list(table.feature_names),
        "mean": mean.tolist(),
        "deviation": deviation.tolist(),
    }
    if kind == REGRESSION:
        unit, note = standardize_targets(parts, preparation)
        return Data(*parts, kind, 1, preparation, rows, unit=unit, notes=[note])
    return Data(*parts, kind, int(table.target.max()) + 1, preparation, rows)


def require_scikit_learn() -> None:
    """Raise `UsageError` if scikit-learn is missing."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            'scikit-learn is missing: pip install "keras-ext[tuner]"'
        ) from error


def split(
    x: np.ndarray, y: np.ndarray, seed: int, stratify: bool = True
) -> tuple[Split, Split, Split]:
    """Split rows 64 : 16 : 20 for training, validation and test.

    Args:
        x: Inputs.
        y: Targets.
        seed: Seed of the split.
        stratify: Whether each part has the same share of each class.
    """
    rest, test = _halves(x, y, 0.2, seed, stratify)
    train, validation = _halves(rest.x, rest.y, 0.2, seed, stratify)
    return train, validation, test


def standardize_targets(
    parts: Sequence[Split], preparation: dict[str, Any]
) -> tuple[float, str]:
    """Give the targets of the training part mean 0 and deviation 1.

    Args:
        parts: The parts, the training part first; changed in place.
        preparation: Gets the formula that returns to the target's units.

    Returns:
        The standard deviation, and a line about it to print.
    """
    mean, unit = float(parts[0].y.mean()), float(parts[0].y.std()) or 1.0
    for part in parts:
        part.y = ((part.y - mean) / unit).astype("float32")
    preparation["target"] = {
        "formula": "target = prediction * deviation + mean",
        "mean": mean,
        "deviation": unit,
    }
    return unit, (
        f"errors are in standard deviations of the target, {unit:.4g} each"
    )


def read_archive(path: Path) -> list[np.ndarray]:
    """Read an archive in the format of Keras's `mnist.npz`.

    Args:
        path: The file.

    Returns:
        `x_train`, `y_train`, `x_test` and `y_test`.

    Raises:
        UsageError: The file is missing, is no such archive, or has arrays of
            other shapes.
    """
    name = repr(str(path))
    if not path.is_file():
        raise UsageError(f"there is no data file {name}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in ARRAYS if key not in archive]
            if missing:
                raise UsageError(f"{name} lacks {', '.join(missing)}")
            arrays = [archive[key] for key in ARRAYS]
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{name} cannot be read as an npz archive of arrays "
            "(with x_train, y_train, x_test and y_test)"
        ) from error
    for x, y in (arrays[:2], arrays[2:]):
        if x.ndim < 2 or y.shape != x.shape[:1] or not x.size:
            raise UsageError(
                f"{name}: images of shape (n, height, width) and labels of "
                f"shape (n,) are needed, not {x.shape} and {y.shape}"
            )
        if y.dtype.kind not in "iu" or y.min() < 0:
            raise UsageError(f"{name}: labels must be integers >= 0")
        if x.dtype.kind not in "iuf" or not np.isfinite(x).all():
            raise UsageError(f"{name}: images must be finite numbers")
    x, y, x_test, y_test = arrays
    if x.shape[1:] != x_test.shape[1:]:
        raise UsageError(
            f"{name}: training and test images differ in shape: "
            f"{x.shape[1:]} and {x_test.shape[1:]}"
        )
    counts = np.bincount(y)
    if y_test.max() >= len(counts) or counts[counts > 0].min() < 2:
        raise UsageError(
            f"{name}: every class needs at least two training images"
        )
    if len(y) // 6 < np.count_nonzero(counts):
        raise UsageError(f"{name}: {len(y)} training images are too few")
    return arrays


def statistics(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of each pixel and one scale for all of them.

    The scale is 1 / σ over all pixels. The σ of one pixel may be zero, or so
    small that a few images dominate all others.

    Args:
        x: Images of shape `(images, pixels)`.
    """
    mean = x.mean(axis=0, dtype="float64")
    std = float(np.std(np.subtract(x, mean, dtype="float32")))
    return mean, 1.0 / std if std > 0.0 else 1.0


def standardize(x: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Return `(x - mean) * scale` as float32."""
    return ((x - mean) * scale).astype("float32")


def _halves(
    x: np.ndarray, y: np.ndarray, share: float, seed: int, stratify: bool
) -> tuple[Split, Split]:
    from sklearn.model_selection import train_test_split

    x_a, x_b, y_a, y_b = train_test_split(
        x,
        y,
        test_size=share,
        random_state=seed,
        stratify=y if stratify else None,
    )
    return Split(x_a, y_a), Split(x_b, y_b)


def _shape(image: tuple[int, ...], form: str) -> tuple[int, ...]:
    channels = int(np.prod(image[2:]))
    if form == "pixels":
        return (int(np.prod(image)),)
    if len(image) < 2:
        raise UsageError(
            "images of shape (n, height, width) are needed, not of shape "
            f"(n, {', '.join(map(str, image))})"
        )
    if form == "images":
        return (image[0], image[1], channels)
    return (image[0], image[1] * channels)
