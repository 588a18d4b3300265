"""Images to classify: scikit-learn's digits, or an MNIST archive."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuning.settings import UsageError

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass
class Split:
    """Inputs of shape `(images, pixels)` and labels of shape `(images,)`."""

    x: np.ndarray
    y: np.ndarray


@dataclass
class Data:
    """Standardized images in three parts, each class in each alike.

    Attributes:
        train: What the models are fitted to.
        validation: What the trials are compared on.
        test: What nothing is chosen by.
        classes: Number of classes.
        mean: What was subtracted, per pixel.
        scale: What the rest was multiplied with.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    mean: np.ndarray
    scale: float


def load(data_file: str | None, seed: int) -> Data:
    """Load, split and standardize the images.

    The built-in images are split 64 : 16 : 20; an archive comes with its own
    test images, and a sixth of its training images become the validation
    part. Mean and scale are those of the training part alone.

    Args:
        data_file: Path of an archive in the format of Keras's `mnist.npz`;
            `None` for scikit-learn's 1,797 images of digits.
        seed: Seed of the split.

    Returns:
        The data.

    Raises:
        UsageError: If the file cannot be used.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            'scikit-learn is missing: pip install "keras-ext[tuner]"'
        ) from error
    if data_file is None:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        rest, test = _split(x, y, 0.2, seed)
        train, validation = _split(rest.x, rest.y, 0.2, seed)
    else:
        x, y, x_test, y_test = read_archive(Path(data_file))
        train, validation = _split(x, y, 1 / 6, seed)
        test = Split(x_test, y_test)
    mean, scale = statistics(train.x)
    train, validation, test = (
        Split(standardize(part.x, mean, scale), part.y.astype("int32"))
        for part in (train, validation, test)
    )
    return Data(train, validation, test, int(y.max()) + 1, mean, scale)


def read_archive(path: Path) -> list[np.ndarray]:
    """Read an archive in the format of Keras's `mnist.npz`.

    Args:
        path: The file.

    Returns:
        `x_train`, `y_train`, `x_test` and `y_test`, the images flattened.

    Raises:
        UsageError: If it is missing, no such archive, or holds other shapes.
    """
    check_is_file(path)
    name = repr(str(path))
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
            raise UsageError(f"{name}: labels must be integers from 0 on")
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
    return [x.reshape(len(x), -1), y, x_test.reshape(len(x_test), -1), y_test]


def check_is_file(path: Path) -> None:
    """Raise `UsageError` if `path` is no file."""
    if not path.is_file():
        raise UsageError(f"there is no data file {str(path)!r}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def statistics(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of each pixel and one scale for all of them.

    The scale is 1 / σ over all pixels. A pixel's own σ may be zero, and where
    few images have ink it is so small that they would outshout all others.

    Args:
        x: Images of shape `(images, pixels)`.
    """
    mean = x.mean(axis=0, dtype="float64")
    std = float(np.std(np.subtract(x, mean, dtype="float32")))
    return mean, 1.0 / std if std > 0.0 else 1.0


def standardize(x: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Return `(x - mean) * scale` as float32."""
    return ((x - mean) * scale).astype("float32")


def _split(
    x: np.ndarray, y: np.ndarray, share: float, seed: int
) -> tuple[Split, Split]:
    from sklearn.model_selection import train_test_split

    x_a, x_b, y_a, y_b = train_test_split(
        x, y, test_size=share, random_state=seed, stratify=y
    )
    return Split(x_a, y_a), Split(x_b, y_b)
