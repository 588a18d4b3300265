"""Small models and data that the tests of taps and monitors share."""

import keras
import numpy as np

LAYERS = keras.layers


def data(samples=64, shape=(6,), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *shape)).astype("float32")
    return x, rng.integers(0, classes, samples)


def mlp(dropout=0.0):
    return keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(16, activation="relu", name="first"),
            LAYERS.BatchNormalization(name="norm"),
            LAYERS.Dropout(dropout, seed=3, name="drop"),
            LAYERS.Dense(8, name="second"),
            LAYERS.ReLU(name="second_relu"),
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            LAYERS.Conv2D(4, 3, activation="relu", name="conv"),
            LAYERS.MaxPooling2D(name="pool"),
            LAYERS.DepthwiseConv2D(2, name="depthwise"),
            LAYERS.Activation("relu", name="depthwise_relu"),
            LAYERS.Flatten(name="flat"),
            LAYERS.Dense(3, activation="softmax", name="out"),
        ]
    )


def functional():
    """Nested model, shared layer, residual sum, an operation as ReLU."""
    inputs = keras.Input((6,), name="in")
    shared = LAYERS.Dense(6, activation="relu", name="shared")
    encoder = keras.Sequential(
        [LAYERS.Dense(6, activation="relu", name="hidden")], name="encoder"
    )
    x = shared(inputs)
    x = LAYERS.add([shared(x), encoder(x)], name="sum")
    x = keras.ops.relu(LAYERS.Dense(5, name="plain")(x))
    outputs = LAYERS.Dense(3, activation="softmax", name="out")(x)
    return keras.Model(inputs, outputs, name="functional")


def dropout_mlp():
    return mlp(dropout=0.3)


MODELS = {
    "mlp": (dropout_mlp, (6,)),
    "cnn": (cnn, (8, 8, 2)),
    "functional": (functional, (6,)),
}


def compiled(build, optimizer=None, seed=7, **kwargs):
    """Build and compile a model with fixed seeds."""
    keras.utils.set_random_seed(seed)
    model = build()
    model.compile(
        optimizer or keras.optimizers.Adam(1e-2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **kwargs,
    )
    return model


def state(model):
    """Return all numbers that training changes, as arrays."""
    variables = model.variables + model.optimizer.variables
    return [v.numpy() for v in variables]
