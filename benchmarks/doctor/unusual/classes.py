"""Healthy classifiers of unusual kinds."""

import keras
import numpy as np
from keras import layers
from sklearn import datasets

from benchmarks.doctor.unusual.common import (
    case,
    classify,
    dense,
    digits,
    right,
    softmax,
)

BINARY = {"loss": "binary_crossentropy"}


@case
def residual_cnn_with_batch_norm(doctor):
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same")(image)
    for _ in range(3):
        y = layers.BatchNormalization()(x)
        y = layers.Conv2D(16, 3, padding="same")(layers.ReLU()(y))
        y = layers.BatchNormalization()(y)
        y = layers.Conv2D(16, 3, padding="same")(layers.ReLU()(y))
        x = x + y
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = keras.Model(image, softmax()(x))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    return classify(doctor, model, digits(), 0.93, optimizer, epochs=12)


@case
def augmented_cnn(doctor):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.RandomTranslation(0.1, 0.1),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            softmax(),
        ]
    )
    return classify(doctor, model, digits(), 0.9, epochs=15)


@case
def much_dropout(doctor):
    model = keras.Sequential(
        [keras.Input((64,))]
        + [
            part
            for _ in range(3)
            for part in (layers.Dense(256, "relu"), layers.Dropout(0.5))
        ]
        + [softmax()]
    )
    return classify(doctor, model, digits(images=False), 0.93, epochs=12)


@case
def very_small_batches(doctor):
    x, y, *test = digits(images=False)
    model = dense((64,), 32, last=softmax())
    optimizer = keras.optimizers.SGD(0.01)
    data = (x[:600], y[:600], *test)
    return classify(
        doctor, model, data, 0.88, optimizer, batch_size=2, epochs=6
    )


@case
def noisy_validation(doctor):
    x, y, x_test, y_test = digits(images=False)
    model = dense((64,), 64, last=softmax())
    data = (x, y, x_test[:24], y_test[:24])
    return classify(doctor, model, data, 0.85, epochs=40)


@case
def long_with_cosine(doctor):
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 80 * 41)
    model = dense((64,), 64, 64, last=softmax())
    optimizer = keras.optimizers.Adam(rate)
    data = digits(images=False)
    return classify(doctor, model, data, 0.93, optimizer, epochs=80)


@case
def rate_reduced_on_plateau(doctor):
    model = dense((64,), 64, activation="tanh", last=softmax())
    reduce = keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.2)
    return classify(
        doctor,
        model,
        digits(images=False),
        0.93,
        keras.optimizers.RMSprop(3e-3),
        epochs=40,
        callbacks=(reduce,),
    )


@case
def smoothed_labels(doctor):
    x, y, x_test, y_test = digits(images=False)
    model = dense((64,), 64, 64, last=softmax())
    model.compile(
        "adam",
        keras.losses.CategoricalCrossentropy(label_smoothing=0.2),
        metrics=["accuracy"],
    )
    hot = np.eye(10, dtype="float32")
    model.fit(
        x,
        hot[y],
        epochs=25,
        validation_data=(x_test, hot[y_test]),
        callbacks=[doctor],
        verbose=0,
    )
    return right(model, x_test, y_test), 0.93


@case
def fine_tuned(doctor):
    x, y, x_test, y_test = digits()
    body = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, "relu"),
        ]
    )
    model = keras.Sequential([body, softmax(5)])
    low = y < 5
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[low], y[low], epochs=10, verbose=0)
    body.trainable = False
    model = keras.Sequential([body, softmax()])
    data = (x, y, x_test, y_test)
    score, _ = classify(doctor, model, data, 0.7, epochs=15)
    if doctor.findings and doctor.findings[0].severity != "info":
        return score, 0.7
    body.trainable = True
    rate = keras.optimizers.Adam(1e-5)
    return classify(doctor, model, data, 0.75, rate, epochs=6)


def rare(share: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return data of two classes, of which the second is rare."""
    x, y = datasets.make_classification(
        2000,
        12,
        n_informative=6,
        weights=[1 - share],
        class_sep=2,
        random_state=seed,
    )
    x = x.astype("float32")
    return x[:1500], y[:1500], x[1500:], y[1500:]


@case
def rare_class(doctor):
    data = rare(0.03, 5)
    model = dense((12,), 32, 16, last=layers.Dense(1, "sigmoid"))
    return classify(
        doctor, model, data, 0.975, **BINARY, metrics=("accuracy", "auc")
    )


@case
def rare_class_weighted(doctor):
    data = rare(0.05, 6)
    model = dense((12,), 32, last=layers.Dense(1, "sigmoid"))
    return classify(
        doctor, model, data, 0.9, **BINARY, class_weight={0: 1.0, 1: 19.0}
    )


@case
def logistic_regression(doctor):
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    data = (x[:400], y[:400], x[400:], y[400:])
    model = dense((30,), last=layers.Dense(1, "sigmoid"))
    optimizer = keras.optimizers.SGD(0.1)
    return classify(doctor, model, data, 0.95, optimizer, **BINARY)


@case
def deep_residual(doctor):
    inputs = keras.Input((64,))
    x = layers.Dense(48)(inputs)
    for _ in range(20):
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(48)(layers.Dense(48, "gelu")(y))
    model = keras.Model(inputs, softmax()(layers.LayerNormalization()(x)))
    rate = keras.optimizers.AdamW(1e-3)
    return classify(doctor, model, digits(images=False), 0.9, rate, epochs=6)


@case
def one_epoch(doctor):
    x, y, *test = digits(images=False)
    x, y = np.tile(x, (6, 1)), np.tile(y, 6)
    model = dense((64,), 64, last=softmax())
    return classify(doctor, model, (x, y, *test), 0.9, epochs=1, batch_size=16)


@case
def early_stopping(doctor):
    model = dense((64,), 128, 128, last=softmax())
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    return classify(
        doctor,
        model,
        digits(images=False),
        0.93,
        epochs=200,
        callbacks=(stop,),
        metrics=(),
    )


@case
def hard_data(doctor):
    """Two classes that overlap: 0.75 is about the best score."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3000, 10)).astype("float32")
    chance = 1 / (1 + np.exp(-1.5 * x[:, 0] + x[:, 1] * x[:, 2]))
    y = (rng.random(3000) < chance).astype(int)
    data = (x[:2400], y[:2400], x[2400:], y[2400:])
    model = dense((10,), 32, last=layers.Dense(1, "sigmoid"))
    return classify(doctor, model, data, 0.7, **BINARY, epochs=15)


@case
def sigmoid_units(doctor):
    model = dense((64,), 64, 32, activation="sigmoid", last=softmax())
    optimizer = keras.optimizers.Adam(3e-3)
    return classify(doctor, model, digits(images=False), 0.93, optimizer)
