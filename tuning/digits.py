"""The search space for images of digits: multilayer perceptrons."""

from typing import Any

import keras
import keras_tuner

import keras_ext
from keras_ext.tuners import RandomSearch

ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "elu"]
INITIALIZERS = ["zeros", "small_normal", "glorot", "he"]
OPTIMIZERS = ["sgd", "rmsprop", "adam"]
BATCH_SIZE = 32


class DigitsModel(keras_tuner.HyperModel):
    """Perceptrons of 1 to 6 hidden layers, good choices and bad ones.

    The space holds on purpose what goes wrong, too (zeros, deep sigmoids),
    so that the gradient norms of the trials tell why.

    Args:
        pixels: Number of inputs.
        classes: Number of outputs.
        seed: Seed of the search.

    Attributes:
        trial: Number of the trial to build; each has random numbers of its
            own, the same ones from run to run.
    """

    def __init__(self, pixels: int, classes: int, seed: int):
        super().__init__()
        self.pixels = pixels
        self.classes = classes
        self.seed = seed
        self.trial = 0

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return a compiled model.

        Args:
            hp: Hyperparameters.
        """
        keras.utils.set_random_seed(trial_seed(self.seed, self.trial))
        depth = hp.Int("depth", 1, 6)
        width = hp.Choice("width", [64, 128, 256])
        activation = hp.Choice("activation", ACTIVATIONS)
        initializer = hp.Choice("initializer", INITIALIZERS)
        optimizer = hp.Choice("optimizer", OPTIMIZERS)
        rate = hp.Float("learning_rate", 3e-4, 3e-2, sampling="log")
        dropout = hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3, 0.4])
        normalized = hp.Boolean("batch_normalization")

        model = keras.Sequential([keras.Input((self.pixels,))])
        for i in range(depth):
            model.add(
                keras.layers.Dense(
                    width,
                    use_bias=not normalized,
                    kernel_initializer=_initializer(initializer),
                    name=f"dense_{i + 1}",
                )
            )
            if normalized:
                model.add(keras.layers.BatchNormalization())
            model.add(_activation(activation, f"{activation}_{i + 1}"))
            if dropout:
                model.add(keras.layers.Dropout(dropout))
        model.add(
            keras.layers.Dense(
                self.classes,
                activation="softmax",
                kernel_initializer=_initializer(initializer),
                name="output",
            )
        )
        model.compile(
            optimizer=_optimizer(optimizer, rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model


class DigitsSearch(RandomSearch):
    """A random search that tells its hypermodel which trial it builds."""

    def on_trial_begin(self, trial: Any) -> None:
        """Set the trial's random numbers."""
        self.hypermodel.trial = int(trial.trial_id)
        super().on_trial_begin(trial)


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed of a trial's random numbers."""
    return (seed * 10_000 + trial) % 2**32


def search_seed(seed: int) -> int:
    """Return the seed of the draws.

    keras-tuner counts upwards from its seed with each value that it draws;
    the factor keeps neighbouring seeds from drawing the same trials.
    """
    return seed * 1_000_003


def _initializer(name: str) -> keras.initializers.Initializer:
    if name == "zeros":
        return keras.initializers.Zeros()
    if name == "small_normal":
        return keras.initializers.RandomNormal(stddev=0.01)
    if name == "glorot":
        return keras.initializers.GlorotUniform()
    return keras_ext.initializers.HeNormal()


def _activation(kind: str, name: str) -> keras.layers.Layer:
    if kind == "leaky_relu":
        return keras_ext.layers.LeakyReLU(name=name)
    if kind == "relu":
        return keras.layers.Activation(keras_ext.activations.relu, name=name)
    return keras.layers.Activation(kind, name=name)


def _optimizer(name: str, rate: float) -> keras.optimizers.Optimizer:
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    if name == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    return keras_ext.optimizers.Adam(rate)
