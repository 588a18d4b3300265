"""Data in a bad order, the same data again, and leaks."""

import keras
import numpy as np
from keras import layers

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
    topics,
)
from benchmarks.doctor.programs.common import (
    Setup,
    changed,
    conv,
    dense,
    halved,
    one_hot,
    program,
    softmax,
    task,
    with_one_hot,
)

SGD = keras.optimizers.SGD


def in_order(split):
    """Return data whose training samples are sorted by class."""
    y = split.y.argmax(-1) if split.y.ndim > 1 else split.y
    order = np.argsort(y, kind="stable")
    return changed(split, x=split.x[order], y=split.y[order])


@program(
    "58237726",
    "A generator yields all samples of one class, then those of the other",
    "Single samples, shuffled, then batched",
    "data_pipeline",
    "learning_rate_too_high underfitting",
    listed="DeepFD",
)
def one_class_then_the_other(repaired):
    split = task("breast_cancer")
    split = split if repaired else in_order(split)
    model = dense((30,), 32, 16, last=layers.Dense(1, "sigmoid"))
    fit = {"shuffle": repaired}
    optimizer = SGD(0.3)
    return Setup(
        model, split, "binary_crossentropy", optimizer, 20, 16, fit=fit
    )


@program(
    "GitHub facebookresearch/fastText issue 74",
    "Bags of words are read in the order of their labels",
    "Shuffled samples",
    "data_pipeline",
    "learning_rate_too_high",
    licence="MIT",
)
def words_in_order(repaired):
    split = topics()
    split = split if repaired else in_order(split)
    model = dense((150,), 16, last=softmax(8), activation=None)
    optimizer, fit = SGD(0.5), {"shuffle": repaired}
    return Setup(model, split, CROSSENTROPY, optimizer, 2, 8, fit=fit)


@program(
    "Data Science 76951",
    "Each batch holds a single label",
    "Shuffled batches",
    "data_pipeline",
    "learning_rate_too_high underfitting",
)
def single_labels(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    split = split if repaired else in_order(split)
    model = dense((64,), 64, 32, last=softmax())
    optimizer, fit = SGD(0.2), {"shuffle": repaired}
    return Setup(model, split, CROSSENTROPY, optimizer, 15, fit=fit)


@program(
    "55776436",
    "Sorted classes, no shuffling, and the last third for validation",
    "Shuffled data",
    "data_pipeline",
    "overfitting misaligned_labels learning_rate_too_high underfitting",
    listed="NeuraLint",
)
def last_third(repaired):
    split = task("waves")
    split = split if repaired else in_order(split)
    split = with_one_hot(split, 3)
    model = conv((24, 1), 16, 16, last=softmax(3), dropout=0.3)
    fit = {"validation_split": 0.33, "shuffle": repaired}
    optimizer = keras.optimizers.Adam(2e-3)
    return Setup(model, split, CROSSENTROPY, optimizer, 20, fit=fit)


class Again(keras.utils.PyDataset):
    """Yields the same samples in every step."""

    def __init__(self, x, y, steps: int, batch_size: int = 32):
        super().__init__()
        self.x, self.y = x[:batch_size], y[:batch_size]
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        return self.x, self.y


@program(
    "GitHub mpkuse/cartwheel_train issue 7",
    "The generator never refreshes the images that it loaded first",
    "New images in every step",
    "data_pipeline",
    "overfitting",
    licence="the repository's",
)
def never_refreshed(repaired):
    split = images()
    batches = None if repaired else Again(split.x, split.y, 30)
    unseen = (split.x_test, one_hot(split.y_test, 10))
    return Setup(
        lenet(softmax()),
        split,
        CROSSENTROPY,
        "adam",
        12,
        batches=batches,
        fit={"validation_data": unseen},
    )


@program(
    "GitHub keras-team/keras issue 5818",
    "A generator repeats the first samples from the second epoch on",
    "The generator goes through all samples",
    "data_pipeline",
    "overfitting",
    licence="Apache-2.0",
)
def repeated_samples(repaired):
    split = with_one_hot(task("digits", "minmax"), 10)
    batches = None if repaired else Again(split.x, split.y, 30, 48)
    model = dense((64,), 64, last=softmax())
    return Setup(model, split, CROSSENTROPY, "adam", 15, batches=batches)


@program(
    "TheDeepChecker, CNN with wrong augmentation",
    "Heavy noise and erased boxes change what the images are",
    "Weak noise",
    "data_pipeline",
    "underfitting overfitting",
    listed="TheDeepChecker",
    licence="none stated",
)
def heavy_noise(repaired):
    split = images()
    rng = np.random.default_rng(21)
    x = split.x + rng.normal(0, 0.05 if repaired else 1.5, split.x.shape)
    if not repaired:
        for image in x:
            i, j = rng.integers(0, 4, 2)
            image[i : i + 5, j : j + 5] = rng.uniform(0, 3)
    split = changed(split, x=x.astype("float32"))
    fit = {"validation_data": (split.x_test, one_hot(split.y_test, 10))}
    return Setup(lenet(softmax()), split, CROSSENTROPY, "adam", 12, fit=fit)


def noisy(samples):
    """Return few samples of many features, of which most are noise."""
    rng = np.random.default_rng(22)
    x = rng.normal(size=(samples, 100))
    y = x[:, 0] + x[:, 1] + rng.normal(0, 1, samples) > 0
    return halved(x, y.astype(int), 0.4)


@program(
    "GitHub ai-forever/ru-gpts issue 23",
    "The training data hold all validation data",
    "Validation on data that were not trained on",
    "validation_leak",
    "overfitting",
    licence="Apache-2.0",
)
def validation_in_training(repaired):
    split = noisy(500)
    n = len(split.x) // 2
    seen = (split.x[:n], split.y[:n])
    unseen = (split.x_test[:n], split.y_test[:n])
    model = dense((100,), 64, last=layers.Dense(1, "sigmoid"), dropout=0.3)
    fit = {"validation_data": unseen if repaired else seen}
    loss = "binary_crossentropy"
    return Setup(model, split, loss, "adam", 7, score="honesty", fit=fit)


@program(
    "GitHub MakazhanAlpamys/Soup issue 680",
    "Rows are repeated before the split, so that both parts hold them",
    "The split comes before the repetition",
    "validation_leak",
    "overfitting",
    licence="the repository's",
)
def repeated_before_the_split(repaired):
    split = noisy(500)
    order = np.random.default_rng(23).permutation(3 * len(split.x))
    n = len(split.x)
    fit = {"validation_data": (split.x_test[:n], split.y_test[:n])}
    x, y = np.tile(split.x, (3, 1))[order], np.tile(split.y, 3)[order]
    if not repaired:
        cut = len(x) * 2 // 3
        fit = {"validation_data": (x[cut:], y[cut:])}
        x, y = x[:cut], y[:cut]
    split = changed(split, x=x, y=y)
    model = dense((100,), 64, last=layers.Dense(1, "sigmoid"), dropout=0.3)
    loss = "binary_crossentropy"
    return Setup(model, split, loss, "adam", 3, score="honesty", fit=fit)
