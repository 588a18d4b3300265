"""The hyperparameters of the training, for all searches."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_ext import losses, optimizers
from keras_ext.cli.search.definition import (
    BINARY,
    CLASSES,
    REGRESSION,
    Definition,
    Task,
)
from keras_ext.metrics import BalancedAccuracy

BATCH_SIZES = (32, 16, 64, 128)
_CLIPPING = {"value": "clipvalue", "norm": "clipnorm", "all": "global_clipnorm"}


class Training(Definition):
    """The base of the definitions, with the arguments of `fit`."""

    def fit_arguments(
        self, hp: Any, task: Task, objective: Any
    ) -> dict[str, Any]:
        """Return batch size, epochs and callbacks; see `Definition`."""
        options = {"monitor": objective.name, "mode": objective.direction}
        callbacks: list[keras.callbacks.Callback] = []
        if hp.get("schedule") == "plateau":
            callbacks.append(
                keras.callbacks.ReduceLROnPlateau(
                    factor=0.5, patience=3, **options
                )
            )
        if hp.get("early_stopping"):
            patience = hp.get("patience")
            callbacks.append(
                keras.callbacks.EarlyStopping(patience=patience, **options)
            )
        return {
            "batch_size": hp.get("batch_size"),
            "epochs": hp.get("epochs") if task.tuned_epochs else task.epochs,
            "callbacks": callbacks,
        }


def compiled(
    hp: Any, model: keras.Model, task: Task, faults: bool = False
) -> keras.Model:
    """Ask for the hyperparameters of a model's training, and compile it.

    Args:
        hp: The hyperparameters.
        model: The model.
        task: What the model is for.
        faults: Whether to add a loss that is wrong for classes.
    """
    # A grid first varies the hyperparameters that come last here.
    loss = _loss(hp, task, faults)
    hp.Boolean("early_stopping")
    with hp.conditional_scope("early_stopping", [True]):
        hp.Choice("patience", [5, 3, 10])
    epochs = task.epochs
    if task.tuned_epochs:
        shares = (1, 2, 4)
        choices = dict.fromkeys(max(1, task.epochs // n) for n in shares)
        epochs = hp.Choice("epochs", list(choices))
    sizes = [size for size in BATCH_SIZES if size <= task.rows]
    batch_size = hp.Choice("batch_size", sizes or [task.rows])
    steps = epochs * -(-task.rows // batch_size)
    model.compile(
        optimizer=_optimizer(hp, steps), loss=loss, metrics=_metrics(task)
    )
    return model


def _optimizer(hp: Any, steps: int) -> keras.optimizers.Optimizer:
    clipping = hp.Choice("clipping", ["none", *_CLIPPING])
    with hp.conditional_scope("clipping", list(_CLIPPING)):
        limit = hp.Float("clip_at", 0.1, 10.0, sampling="log", default=1.0)
    options: dict[str, Any] = {}
    if clipping != "none":
        options[_CLIPPING[clipping]] = limit
    name = hp.Choice("optimizer", ["adam", "sgd", "rmsprop", "adagrad"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        momentum = hp.Choice("momentum", [0.9, 0.0, 0.5, 0.99])
        with hp.conditional_scope("momentum", [0.9, 0.5, 0.99]):
            nesterov = hp.Boolean("nesterov")
    with hp.conditional_scope("optimizer", ["rmsprop"]):
        rho = hp.Choice("rho", [0.9, 0.99])
    with hp.conditional_scope("optimizer", ["adam"]):
        beta_1 = hp.Choice("beta_1", [0.9, 0.5, 0.95])
        epsilon_hat = hp.Boolean("epsilon_hat", default=True)
    rate = _learning_rate(hp, steps)
    if name == "sgd":
        return optimizers.SGD(
            rate, momentum=momentum, nesterov=bool(nesterov), **options
        )
    if name == "rmsprop":
        return optimizers.RMSprop(rate, rho=rho, **options)
    if name == "adagrad":
        return optimizers.Adagrad(rate, **options)
    return optimizers.Adam(
        rate, beta_1=beta_1, epsilon_hat=epsilon_hat, **options
    )


def _learning_rate(hp: Any, steps: int) -> Any:
    """Return the learning rate, or its schedule over `steps` steps."""
    schedule = hp.Choice(
        "schedule", ["constant", "exponential", "cosine", "plateau"]
    )
    with hp.conditional_scope("schedule", ["exponential"]):
        # The share of the learning rate that is left at the end.
        decay = hp.Choice("decay", [0.1, 0.01])
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    if schedule == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(rate, steps, decay)
    if schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return rate


def _loss(hp: Any, task: Task, faults: bool) -> keras.losses.Loss:
    if task.kind == REGRESSION:
        return _loss_of_numbers(hp)
    names = ["crossentropy", "focal"]
    name = hp.Choice("loss", names + ["mean_squared_error"] * faults)
    with hp.conditional_scope("loss", ["crossentropy"]):
        smoothing = hp.Choice("label_smoothing", [0.0, 0.05, 0.1])
    with hp.conditional_scope("loss", ["focal"]):
        gamma = hp.Choice("focal_gamma", [2.0, 1.0, 3.0])
    if name == "mean_squared_error":
        return losses.MeanSquaredError()
    binary = task.kind == BINARY
    if name == "focal":
        focal: Callable[..., keras.losses.Loss] = (
            losses.BinaryFocalCrossentropy
            if binary
            else losses.CategoricalFocalCrossentropy
        )
        return focal(gamma=gamma)
    entropy: Callable[..., keras.losses.Loss] = (
        losses.BinaryCrossentropy if binary else losses.CategoricalCrossentropy
    )
    return entropy(label_smoothing=smoothing)


def _loss_of_numbers(hp: Any) -> keras.losses.Loss:
    name = hp.Choice(
        "loss",
        ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh"],
    )
    with hp.conditional_scope("loss", ["huber"]):
        delta = hp.Choice("huber_delta", [1.0, 0.5, 2.0])
    if name == "huber":
        return losses.Huber(delta=delta)
    if name == "log_cosh":
        return losses.LogCosh()
    if name == "mean_absolute_error":
        return losses.MeanAbsoluteError()
    return losses.MeanSquaredError()


def _metrics(task: Task) -> Sequence[Any]:
    """Return the metrics, which have the same meaning in all trials."""
    metrics = keras.metrics
    if task.kind == REGRESSION:
        return [
            metrics.MeanAbsoluteError(name="mae"),
            metrics.RootMeanSquaredError(name="rmse"),
        ]
    balanced = BalancedAccuracy(task.classes)
    if task.kind == CLASSES:
        entropy = metrics.CategoricalCrossentropy(name="crossentropy")
        return [metrics.CategoricalAccuracy(name="accuracy"), balanced, entropy]
    entropy = metrics.BinaryCrossentropy(name="crossentropy")
    return [metrics.BinaryAccuracy(name="accuracy"), balanced, entropy]
