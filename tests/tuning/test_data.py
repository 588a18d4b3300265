import numpy as np
import pytest

from keras_ext.cli.usage import UsageError
from tuning import data

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


@pytest.fixture
def archive(tmp_path):
    """Return a function that writes an archive in MNIST's format."""
    rng = np.random.default_rng(0)

    def write(**changes):
        arrays = {
            "x_train": rng.integers(0, 256, (120, 6, 6)).astype("uint8"),
            "y_train": np.arange(120) % 4,
            "x_test": rng.integers(0, 256, (20, 6, 6)).astype("uint8"),
            "y_test": np.arange(20) % 4,
        } | changes
        kept = {k: v for k, v in arrays.items() if v is not None}
        np.savez(tmp_path / "images.npz", **kept)
        return str(tmp_path / "images.npz")

    return write


def test_digits_are_split_alike():
    digits = data.load(None, 0)
    parts = digits.train, digits.validation, digits.test
    assert [len(part.y) for part in parts] == [1149, 288, 360]
    for part in parts:
        assert part.x.shape == (len(part.y), 64)
        shares = np.bincount(part.y) / len(part.y)
        np.testing.assert_allclose(shares, 0.1, atol=0.01)
    everything = np.concatenate([part.x for part in parts])
    assert len(np.unique(everything, axis=0)) == 1797


def test_the_seed_chooses_the_split():
    first, again, other = (data.load(None, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.test.x, again.test.x)
    assert not np.array_equal(first.test.y, other.test.y)


def test_statistics_are_those_of_the_training_part():
    digits = data.load(None, 0)
    np.testing.assert_allclose(digits.train.x.mean(axis=0), 0.0, atol=1e-5)
    assert digits.train.x.std() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(digits.test.x.mean(axis=0)).max() > 1e-3


def test_an_archive_with_constant_pixels(archive):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (120, 6, 6)).astype("uint8")
    x[:, 0, :] = 0
    images = data.load(archive(x_train=x), 0)
    assert images.train.x.shape == (100, 36)
    assert images.validation.x.shape == (20, 36)
    assert images.test.x.shape == (20, 36)
    assert images.classes == 4
    np.testing.assert_array_equal(images.train.x[:, :6], 0.0)
    # In the test images these pixels do vary.
    assert np.abs(images.test.x).max() < 10.0


def test_images_that_are_all_the_same(archive):
    same = data.load(archive(x_train=np.full((120, 6, 6), 7)), 0)
    np.testing.assert_array_equal(same.train.x, 0.0)
    assert np.isfinite(same.test.x).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"y_train": np.zeros(119, int)}, r"\(120, 6, 6\) and \(119,\)"),
        ({"x_train": np.zeros(120)}, "images of shape"),
        ({"x_test": np.zeros((0, 6, 6)), "y_test": np.zeros(0)}, "shape"),
        ({"x_test": np.zeros((20, 5, 6))}, "differ in shape"),
        ({"y_train": np.arange(120) / 4}, "labels must be integers"),
        ({"y_train": np.arange(120) - 1}, "labels must be integers"),
        ({"x_train": np.full((120, 6, 6), np.nan)}, "finite numbers"),
        ({"x_train": np.full((120, 6, 6), "a")}, "finite numbers"),
        ({"y_train": np.arange(120)}, "at least two training images"),
        ({"y_test": np.arange(20)}, "at least two training images"),
        (
            {"x_train": np.zeros((8, 6, 6)), "y_train": np.arange(8) % 4},
            "too few",
        ),
        ({"x_train": np.array([{}])}, "cannot be read"),
    ],
)
def test_unusable_archives(archive, changes, message):
    with pytest.raises(UsageError, match=message) as error:
        data.load(archive(**changes), 0)
    assert "images.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    with pytest.raises(UsageError, match="cannot be read"):
        data.load(str(text), 0)
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    with pytest.raises(UsageError, match="cannot be read"):
        data.load(str(single), 0)
    with pytest.raises(UsageError, match="there is no data file"):
        data.load(str(tmp_path / "missing.npz"), 0)
    with pytest.raises(UsageError, match="there is no data file"):
        data.load(str(tmp_path), 0)
