"""Healthy models with unusual outputs or losses."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.doctor.unusual.common import (
    case,
    dense,
    digits,
)


class Adversarial(keras.Model):
    """A generator and a discriminator of points, trained in one step each."""

    def __init__(self):
        super().__init__()
        self.generator = dense((4,), 32, 32, last=layers.Dense(2))
        self.discriminator = dense(
            (2,), 32, 32, activation="leaky_relu", last=layers.Dense(1)
        )

    def call(self, x):
        """Return the discriminator's output for points."""
        return self.discriminator(x)

    def compute_loss(self, x=None, y=None, y_pred=None, *args, **kwargs):
        """Return both losses; each part gets the gradient of its own."""
        fake = self.generator(y)
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        of_real = y_pred
        of_fake = self.discriminator(ops.stop_gradient(fake))
        fooled = self.discriminator(fake)
        ones, zeros = ops.ones_like(of_real), ops.zeros_like(of_real)
        real_or_fake = entropy(ones, of_real) + entropy(zeros, of_fake)
        return real_or_fake + 0.3 * entropy(ones, fooled)


@case
def adversarial(doctor):
    rng = np.random.default_rng(5)
    angle = rng.uniform(0, 2 * np.pi, 1500)
    x = np.stack([np.cos(angle), np.sin(angle)], -1).astype("float32")
    x += rng.normal(0, 0.1, x.shape).astype("float32")
    z = rng.normal(size=(1500, 4)).astype("float32")
    model = Adversarial()
    model(x[:2])
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
    model.fit(x, z, epochs=12, callbacks=[doctor], verbose=0)
    made = np.asarray(model.generator.predict(z[:400], verbose=0))
    return float(np.isfinite(made).all() and made.std() > 0.2), 1.0


@case
def two_outputs(doctor):
    x, y, x_test, y_test = digits(images=False)
    inputs = keras.Input((64,))
    h = layers.Dense(64, "relu")(inputs)
    model = keras.Model(
        inputs,
        {
            "digit": layers.Dense(10, "softmax", name="digit")(h),
            "even": layers.Dense(1, "sigmoid", name="even")(h),
        },
    )
    model.compile(
        "adam",
        {
            "digit": "sparse_categorical_crossentropy",
            "even": "binary_crossentropy",
        },
        metrics={"digit": ["accuracy"]},
    )
    model.fit(
        x,
        {"digit": y, "even": y % 2},
        epochs=12,
        validation_data=(x_test, {"digit": y_test, "even": y_test % 2}),
        callbacks=[doctor],
        verbose=0,
    )
    answer = np.asarray(model.predict(x_test, verbose=0)["digit"])
    return float((answer.argmax(-1) == y_test).mean()), 0.93


@case
def many_labels(doctor):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1500, 20)).astype("float32")
    y = (x @ rng.normal(size=(20, 30)) > 6.0).astype("float32")
    model = dense((20,), 64, last=layers.Dense(30, "sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["auc"])
    model.fit(
        x[:1100],
        y[:1100],
        epochs=20,
        validation_data=(x[1100:], y[1100:]),
        callbacks=[doctor],
        verbose=0,
    )
    answer = np.asarray(model.predict(x[1100:], verbose=0)) > 0.5
    return float((answer == (y[1100:] > 0.5)).mean()), 0.93


@case
def segmentation(doctor):
    rng = np.random.default_rng(7)
    i, j = np.mgrid[:16, :16]
    at = rng.uniform(4, 12, (500, 2))
    far = np.hypot(i - at[:, :1, None], j - at[:, 1:, None])
    y = (far < 3).astype("float32")[..., None]
    x = y + rng.normal(0, 0.5, y.shape)
    x = x.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    model.fit(
        x[:400],
        y[:400],
        epochs=12,
        batch_size=16,
        validation_data=(x[400:], y[400:]),
        callbacks=[doctor],
        verbose=0,
    )
    answer = np.asarray(model.predict(x[400:], verbose=0)) > 0.5
    return float((answer == (y[400:] > 0.5)).mean()), 0.95
