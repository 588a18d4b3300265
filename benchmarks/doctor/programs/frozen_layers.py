"""Layers that are not trained."""

import keras
from keras import layers

from benchmarks.doctor.programs.class_layers import (
    CROSSENTROPY,
    images,
    lenet,
)
from benchmarks.doctor.programs.common import (
    Setup,
    dense,
    program,
    softmax,
    task,
)


@program(
    "GitHub keras-team/keras issue 2506",
    "All layers are frozen: accuracy stays at chance",
    "Layers that are trained",
    "frozen_weights",
    "underfitting learning_rate_too_low",
    licence="Apache-2.0",
)
def all_layers_frozen(repaired):
    model = lenet(softmax(), dropout=0.25)
    if not repaired:
        for layer in model.layers:
            layer.trainable = False
    return Setup(model, images(), CROSSENTROPY, "adam", 10)


@program(
    "GitHub keras-team/keras issue 4910",
    "The hidden layers are frozen at their random weights",
    "Layers that are trained",
    "frozen_weights",
    "underfitting",
    licence="Apache-2.0",
)
def hidden_layers_frozen(repaired):
    model = dense((2,), 6, 6, last=layers.Dense(1, "sigmoid"))
    if not repaired:
        for layer in model.layers[:-1]:
            layer.trainable = False
    optimizer = keras.optimizers.Adam(0.02)
    split = task("circles")
    return Setup(model, split, "binary_crossentropy", optimizer, 40)


@program(
    "GitHub mateusz93/Car-recognition commit 94b36eae",
    "A base that never saw such images is frozen",
    "The base is trained as well",
    "frozen_weights",
    "underfitting",
    listed="NeuraLint",
    licence="the repository's",
)
def frozen_base(repaired):
    split = task("stripes")
    parts = [keras.Input((12, 12, 1))]
    for _ in range(3):
        parts.append(layers.Conv2D(8, 3, activation="relu"))
    base = keras.Sequential([*parts, layers.GlobalAveragePooling2D()])
    base.trainable = repaired
    model = keras.Sequential([keras.Input((12, 12, 1)), base, softmax(4)])
    optimizer = keras.optimizers.Adam(0.01)
    fit = {"validation_data": (split.x_test, split.y_test)}
    loss = "sparse_categorical_crossentropy"
    return Setup(model, split, loss, optimizer, 20, fit=fit)
