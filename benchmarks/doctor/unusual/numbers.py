"""Healthy regressions and autoencoders of unusual kinds."""

import keras
import numpy as np
from keras import layers, ops
from sklearn import datasets

from benchmarks.doctor.unusual.common import (
    case,
    dense,
    digits,
    explained,
    regress,
)


def friedman(scale: float = 1.0, offset: float = 0.0) -> tuple[np.ndarray, ...]:
    """Return standardized inputs, and targets of any scale."""
    x, y = datasets.make_friedman1(1200, 8, noise=0.5, random_state=4)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    y = (y * scale + offset).astype("float32")
    return x[:900], y[:900], x[900:], y[900:]


@case
def targets_of_hundreds(doctor):
    model = dense((8,), 64, 32, last=layers.Dense(1))
    optimizer = keras.optimizers.Adam(2e-2)
    return regress(
        doctor, model, friedman(30, 50), 0.75, optimizer=optimizer, epochs=40
    )


@case
def targets_of_millions(doctor):
    last = layers.Dense(1, bias_initializer=keras.initializers.Constant(1.4e6))
    scaled = keras.Sequential(
        [last, layers.Rescaling(1.0)]
    )  # a head that knows the targets' mean
    model = dense((8,), 64, 32, last=scaled)
    optimizer = keras.optimizers.Adam(0.5)
    data = friedman(1e5, 0)
    return regress(doctor, model, data, 0.75, optimizer=optimizer, epochs=40)


@case
def tiny_targets(doctor):
    model = dense((8,), 64, 32, last=layers.Dense(1))
    optimizer = keras.optimizers.Adam(4e-3)
    return regress(
        doctor, model, friedman(1e-2, 0), 0.75, optimizer=optimizer, epochs=40
    )


@case
def counts(doctor):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 6)).astype("float32")
    y = rng.poisson(np.exp(0.8 * x[:, 0] - 0.5 * x[:, 1] * x[:, 2]))
    y = y.astype("float32")
    model = dense((6,), 32, 32, last=layers.Dense(1, "exponential"))
    data = (x[:1100], y[:1100], x[1100:], y[1100:])
    return regress(doctor, model, data, 0.3, loss="poisson", epochs=15)


@case
def noisy_targets(doctor):
    x, y, x_test, y_test = friedman()
    rng = np.random.default_rng(4)
    y = y + rng.normal(0, 1.3 * y.std(), y.shape).astype("float32")
    y_seen = y_test + rng.normal(0, 1.3 * y.std() / 1.6, y_test.shape)
    model = dense((8,), 16, last=layers.Dense(1))
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit(
        x,
        (y - 14) / 5,
        epochs=12,
        validation_data=(x_test, (y_seen - 14) / 5),
        callbacks=[doctor],
        verbose=0,
    )
    answer = 14 + 5 * model.predict(x_test, verbose=0)
    return explained(y_test, answer), 0.6


def rebuild(doctor, model, good, epochs, low=0.0):
    """Train an autoencoder on digits in [low, 1], and score it."""
    images = digits(images=False)
    x, x_test = (low + (1 - low) * part for part in (images[0], images[2]))
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(
        x,
        x,
        epochs=epochs,
        validation_data=(x_test, x_test),
        callbacks=[doctor],
        verbose=0,
    )
    return explained(x_test, model.predict(x_test, verbose=0)), good


@case
def bottleneck_of_two(doctor):
    model = dense(
        (64,), 64, 2, 64, activation="elu", last=layers.Dense(64, "sigmoid")
    )
    return rebuild(doctor, model, 0.4, epochs=40)


@case
def tanh_autoencoder(doctor):
    model = dense(
        (64,), 32, 8, 32, activation="tanh", last=layers.Dense(64, "tanh")
    )
    return rebuild(doctor, model, 0.6, epochs=30, low=-1.0)


class Sampling(layers.Layer):
    """Draws from the normal distribution of a variational encoder."""

    def call(self, inputs):
        """Return a sample, and add the divergence to the loss."""
        mean, log_var = inputs
        cost = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
        self.add_loss(2e-3 * ops.mean(ops.sum(cost, axis=-1)))
        noise = keras.random.normal(ops.shape(mean))
        return mean + ops.exp(0.5 * log_var) * noise


@case
def variational_autoencoder(doctor):
    image = keras.Input((64,))
    x = layers.Dense(48, "relu")(image)
    z = Sampling()([layers.Dense(8)(x), layers.Dense(8)(x)])
    x = layers.Dense(48, "relu")(z)
    model = keras.Model(image, layers.Dense(64, "sigmoid")(x))
    x, _, x_test, _ = digits(images=False)
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    model.fit(x, x, epochs=40, callbacks=[doctor], verbose=0)
    return explained(x_test, model.predict(x_test, verbose=0)), 0.5


@case
def cosine_of_vectors(doctor):
    x, _, x_test, _ = digits(images=False)
    model = dense((64,), 32, last=layers.Dense(64))
    model.compile("adam", keras.losses.CosineSimilarity())
    model.fit(
        x,
        x,
        epochs=15,
        validation_data=(x_test, x_test),
        callbacks=[doctor],
        verbose=0,
    )
    return -float(model.evaluate(x_test, x_test, verbose=0)), 0.8
