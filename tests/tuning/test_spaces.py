"""Every model that a search may ask for can be built and trained a step."""

import random

import keras
import keras_tuner
import numpy as np
import pytest

from keras_ext import optimizers
from keras_ext.cli.search.definition import (
    BINARY,
    CLASSES,
    REGRESSION,
    Task,
)
from tuning.searches import SEARCHES

TASKS = {
    "digits": [Task(CLASSES, (16,), 10, 200, 20)],
    "wine": [Task(CLASSES, (13,), 3, 113, 20)],
    "regression": [Task(REGRESSION, (10,), 1, 282, 20)],
    "cnn": [Task(CLASSES, (8, 8, 1), 10, 200, 20)],
    "rnn": [Task(CLASSES, (8, 8), 10, 200, 20)],
    "csv": [
        Task(BINARY, (5,), 2, 40, 20),
        Task(REGRESSION, (1,), 1, 12, 1),
        Task(CLASSES, (5,), 4, 100, 3, tuned_epochs=False),
    ],
}
CASES = [(name, task) for name, tasks in TASKS.items() for task in tasks]
OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


def drawn(values):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def choices(parameter):
    values = list(parameter.values)
    return values if len(values) <= 10 else [values[0], values[-1]]


@pytest.mark.backend("torch")
@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_value_of_every_choice_builds(name, task):
    # What is not active is in the space, too.
    space = keras_tuner.HyperParameters()
    SEARCHES[name].build(space, task)
    rng = random.Random(0)
    known = {h.name: h for h in space.space}
    missing = [(h.name, value) for h in space.space for value in choices(h)]
    while missing:
        values = {n: rng.choice(choices(h)) for n, h in known.items()}
        wanted, value = missing[0]
        values[wanted] = value
        for condition in known[wanted].conditions:
            values[condition.name] = condition.values[0]
        hp = drawn(values)
        model = SEARCHES[name].build(hp, task)
        fit = SEARCHES[name].fit_arguments(hp, task, OBJECTIVE)
        units = task.classes if task.kind == CLASSES else 1
        assert model.output_shape == (None, units)
        assert 1 <= fit["epochs"] <= task.epochs
        assert 1 <= fit["batch_size"] <= task.rows
        assert hp.get(wanted) == value
        active = {n for n in known if hp.is_active(n)}
        missing = [
            (n, v) for n, v in missing if n not in active or values[n] != v
        ]


@pytest.mark.parametrize("name", TASKS)
def test_the_default_model_trains(name):
    task = TASKS[name][0]
    hp = keras_tuner.HyperParameters()
    model = SEARCHES[name].build(hp, task)
    x = np.random.default_rng(0).normal(size=(64, *task.shape))
    y = np.arange(64) % max(2, task.classes)
    y = y[:, None]
    if task.kind == CLASSES:
        y = keras.utils.to_categorical(y[:, 0], task.classes)
    history = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_what_belongs_to_one_choice_is_asked_there_alone():
    task = TASKS["wine"][0]
    for optimizer, own in (
        ("sgd", {"momentum", "nesterov"}),
        ("rmsprop", {"rho"}),
        ("adam", {"beta_1", "epsilon_hat"}),
        ("adagrad", set()),
    ):
        hp = keras_tuner.HyperParameters()
        hp.values = {"optimizer": optimizer}
        SEARCHES["wine"].build(hp, task)
        asked = {"momentum", "nesterov", "rho", "beta_1", "epsilon_hat"}
        assert asked & set(hp.values) == own


def test_the_values_reach_the_model():
    hp = keras_tuner.HyperParameters()
    hp.values = {
        "optimizer": "sgd",
        "momentum": 0.5,
        "nesterov": True,
        "clipping": "norm",
        "clip_at": 0.3,
        "schedule": "cosine",
        "learning_rate": 0.02,
        "batch_size": 16,
        "epochs": 10,
        "activation": "leaky_relu",
        "negative_slope": 0.3,
        "dropout": 0.2,
        "penalty": "l2",
        "penalty_factor": 1e-3,
        "depth": 3,
        "units": 8,
        "residual": True,
        "loss": "focal",
        "focal_gamma": 3.0,
    }
    task = TASKS["wine"][0]
    model = SEARCHES["wine"].build(hp, task)
    assert isinstance(model.optimizer, optimizers.SGD)
    assert model.optimizer.momentum == 0.5 and model.optimizer.nesterov
    assert model.optimizer.clipnorm == 0.3
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    # 10 epochs of 113 rows in batches of 16.
    assert schedule["decay_steps"] == 80
    assert schedule["initial_learning_rate"] == 0.02
    assert model.loss.gamma == 3.0
    blocks = [x for x in model.layers if x.name.startswith("residual")]
    assert len(blocks) == 3
    kernels = [
        v
        for v in model.trainable_variables
        if v.name == "kernel" and "projection" not in v.path
    ]
    squares = [
        keras.ops.convert_to_numpy(k).astype(float) ** 2 for k in kernels
    ]
    penalty = keras.ops.convert_to_numpy(sum(model.losses))
    expected = 1e-3 * sum(square.sum() for square in squares)
    assert float(penalty) == pytest.approx(expected, rel=1e-4)


def test_callbacks_of_the_hyperparameters():
    hp = keras_tuner.HyperParameters()
    hp.values = {"schedule": "plateau", "early_stopping": True, "patience": 3}
    task = TASKS["wine"][0]
    SEARCHES["wine"].build(hp, task)
    objective = keras_tuner.Objective("val_mae", "min")
    fit = SEARCHES["wine"].fit_arguments(hp, task, objective)
    plateau, early = fit["callbacks"]
    assert isinstance(plateau, keras.callbacks.ReduceLROnPlateau)
    assert isinstance(early, keras.callbacks.EarlyStopping)
    assert early.patience == 3
    assert {plateau.monitor, early.monitor} == {"val_mae"}
    assert {plateau.mode, early.mode} == {"min"}
