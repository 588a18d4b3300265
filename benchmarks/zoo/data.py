"""Toy data that a small model can learn."""

import numpy as np

SAMPLES = 64


def images(size, classes=3, samples=SAMPLES, channels=3, seed=0):
    """Return noisy images; the label is the place of a bright stripe."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    x = rng.normal(0, 0.3, (samples, size, size, channels))
    width = size // classes
    for image, label in zip(x, y, strict=True):
        image[:, label * width : (label + 1) * width, label % channels] += 1.5
    return x.astype("float32"), y


def pictures(size, samples=SAMPLES, channels=1, seed=0):
    """Return images in [0, 1] of one bright square each."""
    rng = np.random.default_rng(seed)
    x = np.zeros((samples, size, size, channels), "float32")
    for image in x:
        i, j = rng.integers(0, size // 2, 2)
        image[i : i + size // 2, j : j + size // 2] = rng.uniform(0.5, 1)
    return x


def masks(size, samples=SAMPLES, channels=3, seed=0):
    """Return images of squares on noise, and the masks of the squares."""
    square = pictures(size, samples, 1, seed)
    rng = np.random.default_rng(seed + 1)
    noise = rng.normal(0, 0.2, (samples, size, size, channels))
    return (square + noise).astype("float32"), (square > 0).astype("int32")


def tokens(length=16, vocabulary=64, classes=2, samples=SAMPLES, seed=0):
    """Return ids; the label is the part of the vocabulary they come from."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    part = (vocabulary - 4) // classes
    x = rng.integers(4, 4 + part, (samples, length)) + part * y[:, None]
    return x.astype("int32"), y


def sequences(length=16, vocabulary=64, samples=SAMPLES, seed=0):
    """Return ids that count upwards, and the next id at each place."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, vocabulary, (samples, 1))
    ids = 4 + (start + np.arange(length + 1)) % (vocabulary - 4)
    return ids[:, :-1].astype("int32"), ids[:, 1:].astype("int32")


def masked(length=16, vocabulary=64, places=3, samples=SAMPLES, seed=0):
    """Return ids with masked places, these places, and their true ids."""
    ids, _ = sequences(length, vocabulary, samples, seed)
    rng = np.random.default_rng(seed)
    where = np.stack(
        [np.sort(rng.permutation(length)[:places]) for _ in range(samples)]
    ).astype("int32")
    truth = np.take_along_axis(ids, where, 1)
    np.put_along_axis(ids, where, 1, 1)
    return ids, where, truth


def vectors(width=8, samples=SAMPLES, classes=3, seed=0):
    """Return vectors and the index of their largest leading entry."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, width)).astype("float32")
    return x, x[:, :classes].argmax(1)


def series(length=24, width=2, samples=SAMPLES, classes=2, seed=0):
    """Return noisy waves and the class of their frequency."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    time = np.arange(length)[None, :, None]
    phase = rng.uniform(0, 6, (samples, 1, width))
    x = np.sin((0.3 + 0.5 * y[:, None, None]) * time + phase)
    x += rng.normal(0, 0.1, x.shape)
    return x.astype("float32"), y


def clouds(points=32, samples=SAMPLES, classes=2, seed=0):
    """Return clouds of points in space: a sphere, or a plane."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    x = rng.normal(size=(samples, points, 3))
    sphere = x / np.linalg.norm(x, axis=-1, keepdims=True)
    plane = x * [1, 1, 0.05]
    x = np.where(y[:, None, None] == 0, sphere, plane)
    return x.astype("float32"), y


def graphs(nodes=10, width=4, samples=SAMPLES, seed=0):
    """Return features of nodes, adjacency matrices, and labels of nodes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (samples, nodes))
    x = rng.normal(0, 0.5, (samples, nodes, width))
    x[..., 0] += 1.5 * y
    alike = y[:, :, None] == y[:, None, :]
    linked = rng.random((samples, nodes, nodes)) < np.where(alike, 0.6, 0.1)
    linked |= linked.transpose(0, 2, 1) | np.eye(nodes, dtype=bool)
    return x.astype("float32"), linked.astype("float32"), y
