"""A small search, and how to look at it in MLflow."""

import csv
import pathlib

import keras
import numpy as np

from keras_ext import tuners

EPOCHS = 2


def images(seed=0):
    """Return 96 inputs of 8 numbers, and their classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(96, 8)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def build(hp):
    width = hp.Int("width", 2, 8)
    last = hp.Choice("last", ["tanh", "linear"])
    with hp.conditional_scope("last", ["tanh"]):
        hp.Float("slope", 0.1, 1.0, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(width, activation="relu", name="hidden"),
            keras.layers.Dense(4, activation=last, name="top"),
            keras.layers.Dense(2, activation="softmax", name="output"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def tuner(
    folder,
    tracking_uri,
    hypermodel=build,
    kind=tuners.RandomSearch,
    **options,
):
    defaults = {
        "objective": "val_loss",
        "max_trials": 3,
        "seed": 0,
        "directory": str(folder),
        "project_name": "search",
        "experiment": f"search in {folder}",
        "tracking_uri": tracking_uri,
    }
    return kind(hypermodel, **(defaults | options))


def search(tuner, **options):
    x, y = images()
    defaults = {"validation_split": 0.25, "epochs": EPOCHS, "batch_size": 24}
    tuner.search(x, y, **(defaults | options))


def parent(tuner):
    return tuner.client.get_run(tuner.run_id)


def children(tuner, parent_id=None):
    """Return the runs below a run, in the order in which they began."""
    return tuner.client.search_runs(
        [parent(tuner).info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent_id or tuner.run_id}'",
        order_by=["attributes.start_time ASC"],
    )


def statuses(tuner):
    return [
        (run.data.tags["trial_id"], run.info.status) for run in children(tuner)
    ]


def artifact(tuner, run_id, path, folder):
    """Return the content of an artifact."""
    local = tuner.client.download_artifacts(run_id, path, str(folder))
    return pathlib.Path(local).read_bytes()


def table(tuner, folder):
    """Return the rows of `trials.csv`."""
    text = artifact(tuner, tuner.run_id, "trials.csv", folder).decode()
    return list(csv.DictReader(text.splitlines()))
