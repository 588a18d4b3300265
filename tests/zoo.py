"""Models that hold every component, and data for them.

`twin(keras)` and `twin(keras_ext)` are made by the same lines, so whatever
differs between the two is the package's doing. `novelties()` holds what
Keras has no counterpart of.
"""

import keras
import numpy as np
from keras import ops

import keras_ext

SAMPLES, FEATURES = 24, 8


def data():
    """Return inputs, and labels for the outputs of both models."""
    rng = np.random.default_rng(7)
    x = {
        "features": rng.normal(size=(SAMPLES, FEATURES)).astype("float32"),
        "image": rng.normal(size=(SAMPLES, 6, 6, 2)).astype("float32"),
    }
    signal = x["features"][:, :1] - x["features"][:, 1:2] ** 2
    number = np.concatenate([signal, 1 - signal], axis=-1)
    label = rng.integers(0, 3, size=(SAMPLES, 1))
    binary = (number > 0).astype("float32")
    one_hot = np.eye(3, dtype="float32")[label[:, 0]]
    y = {
        "mse": number,
        "mae": number,
        "mape": number,
        "huber": number,
        "log_cosh": number,
        "binary": binary,
        "categorical": one_hot,
        "sparse": label,
        "sparse_logits": label,
        "binary_focal": binary,
        "categorical_focal": one_hot,
        "kl": one_hot,
        "hinge": binary,
        "quantile": signal,
        "exponential": binary,
        "multi_label": binary,
        "categorical_bits": one_hot,
        "sparse_bits": label,
        "fires": binary[:, :1],
    }
    return x, y


def twin(source, optimizer=None, penalties=True, **compile_arguments):
    """Return a compiled model of components from `keras` or `keras_ext`.

    The branches lie side by side, so that a difference in rounding does not
    grow from layer to layer.
    """
    act, init, lay = source.activations, source.initializers, source.layers
    loss, reg = source.losses, source.regularizers
    features = keras.Input((FEATURES,), name="features")
    image = keras.Input((6, 6, 2), name="image")

    def dense(units, **arguments):
        arguments.setdefault("kernel_initializer", init.GlorotUniform(seed=11))
        return lay.Dense(units, **arguments)

    kernels = [
        init.GlorotNormal(seed=1),
        init.GlorotUniform(seed=2),
        init.HeNormal(seed=3),
        init.HeUniform(seed=4),
        init.LecunNormal(seed=5),
        init.LecunUniform(seed=6),
        init.RandomNormal(stddev=0.3, seed=7),
        init.RandomUniform(-0.5, 0.5, seed=8),
        "he_normal",
    ]
    activations = [
        act.linear,
        act.sigmoid,
        act.tanh,
        act.relu,
        act.leaky_relu,
        act.elu,
        act.selu,
        act.swish,
        act.softmax,
    ]
    penalty = [None] * 4
    if penalties:
        penalty = [reg.L1(1e-3), reg.L2(1e-3), "l2", reg.L1L2(1e-3, 1e-3)]
    branches = [
        dense(
            4,
            activation=activation,
            kernel_initializer=kernel,
            bias_initializer=init.Zeros(),
            kernel_regularizer=penalty[i % 3],
            bias_regularizer=penalty[3],
        )(features)
        for i, (kernel, activation) in enumerate(
            zip(kernels, activations, strict=True)
        )
    ]
    for layer in (
        lay.ReLU(max_value=2.0, negative_slope=0.1),
        lay.LeakyReLU(0.2),
        lay.ELU(0.5),
        lay.Softmax(),
    ):
        branches.append(layer(dense(4)(features)))
    h = lay.BatchNormalization()(dense(6)(features))
    branches.append(lay.Dropout(0.3, seed=5)(h))
    h = keras.layers.Conv2D(
        4,
        3,
        kernel_initializer=init.HeNormal(seed=9),
        kernel_regularizer=penalty[1],
    )(image)
    h = lay.BatchNormalization(momentum=0.9)(h)
    h = lay.ReLU()(h)
    h = keras.layers.TimeDistributed(dense(3, activation="tanh"))(h)
    branches.append(keras.layers.GlobalAveragePooling2D()(h))
    h = keras.layers.Concatenate()(branches)

    outputs = {
        "mse": dense(2),
        "mae": dense(2),
        "mape": dense(2),
        "huber": dense(2),
        "log_cosh": dense(2),
        "binary": dense(2, activation=act.sigmoid),
        "categorical": dense(3, activation=act.softmax),
        "sparse": dense(3, activation="softmax"),
        "sparse_logits": dense(3),
        "binary_focal": dense(2, activation="sigmoid"),
        "categorical_focal": dense(3, activation="softmax"),
        "kl": dense(3, activation="softmax"),
        "hinge": dense(2, activation=act.tanh),
    }
    # In mixed precision, outputs are float32, as Keras advises.
    outputs = {
        name: keras.layers.Identity(name=name, dtype="float32")(layer(h))
        for name, layer in outputs.items()
    }
    model = keras.Model([features, image], outputs)
    model.compile(
        optimizer or source.optimizers.Adam(0.01),
        {
            "mse": loss.MeanSquaredError(),
            "mae": loss.MeanAbsoluteError(),
            "mape": loss.MeanAbsolutePercentageError(),
            "huber": loss.Huber(0.5),
            "log_cosh": loss.LogCosh(reduction="sum"),
            "binary": loss.BinaryCrossentropy(label_smoothing=0.1),
            "categorical": loss.CategoricalCrossentropy(label_smoothing=0.1),
            "sparse": loss.SparseCategoricalCrossentropy(),
            "sparse_logits": loss.SparseCategoricalCrossentropy(
                from_logits=True, ignore_class=2
            ),
            "binary_focal": loss.BinaryFocalCrossentropy(
                apply_class_balancing=True
            ),
            "categorical_focal": loss.CategoricalFocalCrossentropy(),
            "kl": loss.KLDivergence(),
            "hinge": loss.Hinge(),
        },
        # So that no loss drowns the others.
        loss_weights={name: 1e-3 if name == "mape" else 1 for name in outputs},
        **compile_arguments,
    )
    return model


def novelties(optimizer=None, rate=0.3, **compile_arguments):
    """Return a compiled model of what only keras_ext has."""
    act, init, lay = (
        keras_ext.activations,
        keras_ext.initializers,
        keras_ext.layers,
    )
    loss = keras_ext.losses
    features = keras.Input((FEATURES,), name="features")
    image = keras.Input((6, 6, 2), name="image")

    def dense(units, **arguments):
        arguments.setdefault("kernel_initializer", init.XavierUniform(seed=3))
        return lay.Dense(units, **arguments)

    x, _ = data()
    scaled = lay.Standardization()
    scaled.adapt(x["features"])
    scaled_image = lay.MinMaxScaling(feature_range=(-1, 1))
    scaled_image.adapt(x["image"])

    h = scaled(features)
    branches = [
        layer(dense(4, kernel_initializer=kernel)(h))
        for layer, kernel in (
            (lay.SELU(), init.LecunNormal(seed=1, truncated=False)),
            (lay.Swish(), init.XavierNormal(seed=2)),
            (lay.Sigmoid(), init.ScaledNormal(seed=3)),
            (lay.Tanh(), init.GlorotNormal(seed=4, truncated=False)),
            (lay.Linear(), init.RandomNormal(seed=5)),
            (lay.Step(), init.HeNormal(seed=6, truncated=False)),
        )
    ]
    classic = lay.Dropout(rate, seed=5, inverted=False)
    branches.append(classic(dense(4, activation=act.elu)(h)))
    same = lay.Residual(
        [dense(FEATURES, activation="relu"), dense(FEATURES)],
    )
    branches.append(same(h))
    projected = lay.Residual(
        [
            keras.layers.Conv2D(4, 3, strides=2, padding="same"),
            lay.BatchNormalization(),
        ],
        activation="relu",
    )
    h = projected(scaled_image(image))
    branches.append(keras.layers.GlobalAveragePooling2D()(h))
    h = keras.layers.Concatenate()(branches)

    outputs = {
        "quantile": dense(3),
        "exponential": dense(2),
        "multi_label": dense(2, activation=act.sigmoid),
        "categorical_bits": dense(3, activation=act.softmax),
        "sparse_bits": dense(3),
        "fires": lay.Perceptron(1),
    }
    outputs = {
        name: keras.layers.Identity(name=name, dtype="float32")(layer(h))
        for name, layer in outputs.items()
    }
    model = keras.Model([features, image], outputs)
    model.compile(
        optimizer or keras_ext.optimizers.Adam(0.01, epsilon_hat=False),
        {
            "quantile": loss.Quantile([0.1, 0.5, 0.9]),
            "exponential": loss.Exponential(),
            "multi_label": loss.MultiLabelCrossentropy(),
            "categorical_bits": loss.CategoricalCrossentropy(base=2),
            "sparse_bits": loss.SparseCategoricalCrossentropy(
                from_logits=True, base=2
            ),
            "fires": loss.MeanAbsoluteError(),
        },
        **compile_arguments,
    )
    return model


def fit(model, epochs=2, batch_size=8):
    """Train without shuffling; returns the history."""
    x, y = data()
    y = {name: y[name] for name in model.output_names}
    return model.fit(
        x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0
    ).history


def predict(model, samples=SAMPLES, batch_size=32):
    x, _ = data()
    x = {name: value[:samples] for name, value in x.items()}
    return model.predict(x, batch_size=batch_size, verbose=0)


def call(model, samples=SAMPLES):
    """Return the outputs without Keras's loop, as arrays."""
    x, _ = data()
    outputs = model([x["features"][:samples], x["image"][:samples]])
    return {name: ops.convert_to_numpy(y) for name, y in outputs.items()}
